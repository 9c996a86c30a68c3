"""A recipe becomes a trained model with its card and its ledger, ready to be audited."""

from rai.training.making import Made, checkpoint_of, train
from rai.training.recipe import Recipe, Rows, read_recipe
from rai.training.together import leading

__all__ = ["Made", "Recipe", "Rows", "checkpoint_of", "leading", "read_recipe", "train"]
