"""The data plane: bytes between two ends."""
