"""The tape of a forward pass: which parameters were used where, so that rows' gradients can be told apart afterwards.

Layers that learn compute with stand-ins of their parameters, so a backward pass stops at their outputs. What reaches a
parameter itself was used in a way that no rule saw, and is refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from rai.errors import InputError


class Contribution(Protocol):
    """What one use of some parameters adds to every row's gradient, in a form that need not hold it row by row."""

    def squares(self) -> Tensor:
        """The squared length of each row's part, (rows,)."""
        ...

    def sums(self, scale: Tensor) -> Mapping[Tensor, Tensor]:
        """The sum over rows, each multiplied by its `scale` (rows,)."""
        ...

    def per_row(self) -> Mapping[Tensor, Tensor]:
        """Each row's part outright, (rows, *the parameter's shape)."""
        ...


class Use(NamedTuple):
    """Where parameters were used: the edges of the graph whose gradients tell what they added, and how."""

    parameters: tuple[Tensor, ...]
    edges: tuple[GradientEdge, ...]
    contribution: Callable[..., Contribution]
    read: tuple[tuple[Tensor, int], ...]


@dataclass(frozen=True)
class Tape:
    """What the layers of one forward pass wrote down. `rows` is how many rows the batch has."""

    rows: int
    paths: Mapping[nn.Module, str]
    uses: list[Use] = field(default_factory=list)

    def keep(
        self,
        parameters: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        contribution: Callable[..., Contribution],
        *inputs: Tensor,
    ) -> None:
        """Write down that `outputs` were computed from `inputs` with stand-ins of `parameters`.

        `contribution` will be handed the gradients at `outputs`. Outputs that no gradient reaches are left out.
        """
        learning = tuple([each for each in parameters if each is not None and learns(each)])
        if learning and outputs[0].requires_grad:
            edges = tuple(map(get_gradient_edge, outputs))
            read = tuple([(each, each._version) for each in inputs])  # noqa: SLF001 - torch's only word on changes in place
            self.uses.append(Use(learning, edges, contribution, read))

    def require_rows(self, module: nn.Module, inputs: Tensor) -> None:
        """Raise `InputError` unless the first dimension of `inputs` counts the rows of the batch."""
        if inputs.dim() == 0 or inputs.shape[0] != self.rows:
            raise self.refusal(module, f"is handed shape {tuple(inputs.shape)} for a batch of {self.rows} rows")

    def refusal(self, module: nn.Module, why: str) -> InputError:
        """The error that says which layer the book-keeping cannot follow."""
        return refusal(self.paths[module], module, why)


Rule = Callable[..., Any]
"""A layer's forward pass on a tape: `rule(tape, module, *arguments)` answers what `module(*arguments)` would."""


def refusal(path: str, module: nn.Module, why: str) -> InputError:
    """The error that says which layer the book-keeping cannot follow, and what to do instead."""
    named = f"layer '{path}' ({type(module).__name__})" if path else f"the module itself ({type(module).__name__})"
    return InputError(why, where=f"book-keeping, {named}", do='choose gradients = "auto", "hooks" or "ghost"')


def replaced(parameter: Tensor) -> Tensor:
    """The same numbers, apart from the parameter in the graph; all that is no trained parameter stays as it is."""
    return parameter.detach().requires_grad_() if learns(parameter) else parameter


def stand_in(parameter: Tensor | None) -> Tensor | None:
    """`replaced` for a parameter that may be missing, such as a bias."""
    return None if parameter is None else replaced(parameter)


def learns(parameter: Tensor | None) -> bool:
    """Whether there is such a parameter and it is trained; weights computed from others (weight norm) are none."""
    return parameter is not None and parameter.requires_grad and parameter.is_leaf


@contextmanager
def followed(layers: Mapping[nn.Module, Rule], tape: Tape) -> Iterator[None]:
    """Let each of `layers` compute by its rule until the block ends."""
    try:
        for module, rule in layers.items():
            module.__dict__["forward"] = partial(rule, tape, module)  # past nn.Module's slow __setattr__
        yield
    finally:
        for module in layers:
            module.__dict__.pop("forward", None)
