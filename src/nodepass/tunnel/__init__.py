"""Two peers: handshake, pool, control channel, ingress, egress."""
