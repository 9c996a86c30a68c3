"""Explaining: single decisions of a model, on request, from memory or from a file."""

from rai.explaining.files import explain_case, explain_file, write
from rai.explaining.memory import explain, sample

__all__ = ["explain", "explain_case", "explain_file", "sample", "write"]
