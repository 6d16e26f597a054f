"""Many tunnels from one file: `nodepass run`, `nodepass check`, `nodepass status`."""
