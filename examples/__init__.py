"""Stories that each run by one command: python -m examples.diabetes."""
