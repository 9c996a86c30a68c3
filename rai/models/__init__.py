"""A file on disk becomes a Model."""
