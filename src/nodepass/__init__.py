"""A tunnel for TCP and UDP."""

__version__ = "0.1.0"
