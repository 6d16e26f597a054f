"""Several processes of one instance."""
