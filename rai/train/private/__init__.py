"""Training with differential privacy: the noise, the account of it, and a check of all that would get past it."""

from rai.train.private.training import fit_private

__all__ = ["fit_private"]
