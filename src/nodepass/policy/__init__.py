"""Decisions without I/O; time is passed in."""
