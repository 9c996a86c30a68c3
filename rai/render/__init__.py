"""Pages drawn from a record."""
