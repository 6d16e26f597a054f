"""The wire and file formats: bytes in, events out. No sockets, no clock, no event loop."""
