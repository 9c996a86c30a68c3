"""Which features moved a prediction, by how much, and how sure that is. Models are asked through their scores alone."""

from rai.explainers.attribution import Attribution
from rai.explainers.shapley import shapley_values

__all__ = ["Attribution", "shapley_values"]
