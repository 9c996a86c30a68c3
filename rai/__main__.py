"""Run the command line: python -m rai."""

from rai.cli import run

run()
