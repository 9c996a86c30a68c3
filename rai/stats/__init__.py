"""Intervals, exact bootstraps, permutation tests and multiplicity: pure functions of numpy arrays."""
