"""Gradients turned away from the adversary's: the step of adversarial training, tensor by tensor.

Source: Zhang, Lemoine & Mitchell 2018, "Mitigating Unwanted Biases with Adversarial Learning" (arXiv:1801.07593),
equation 1.
"""

import torch
from torch import Tensor


def opposed(gradient: Tensor, adversary: Tensor, strength: float) -> Tensor:
    """Return the gradient that the predictor follows: g - proj_u g - strength · u, in the words of the paper.

    Both have the shape of one parameter, whatever that is: a matrix counts as one long list of numbers. `adversary` is
    u, the gradient of the adversary's loss by the predictor's parameter; one of length 0 takes nothing away. A step
    down what is returned does not help the adversary, and by `strength` it makes the adversary worse.
    """
    length = torch.linalg.vector_norm(adversary).clamp(min=torch.finfo(adversary.dtype).tiny)
    share = torch.dot(gradient.flatten(), adversary.flatten()) / length / length
    return torch.addcmul(gradient, adversary, share + strength, value=-1)
