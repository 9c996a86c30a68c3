"""Training by several sites that keep their rows, with Flower: simulated in one process, private, and written down."""

from rai.train.federated.fitting import fit_federated

__all__ = ["fit_federated"]
