"""What the user asked for: URLs, parameters, tunables. No I/O."""
