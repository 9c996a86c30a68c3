"""Files on disk become Data."""
