"""Training under a criterion of group fairness: what is gained by it, and what it costs, is measured beside it."""

from rai.train.fair.fitting import fit_fair

__all__ = ["fit_fair"]
