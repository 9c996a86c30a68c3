"""The architectures a card can name."""
