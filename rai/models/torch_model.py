"""A PyTorch module as a Model: evaluation mode, no gradients, float32 rows or int64 tokens, in batches."""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rai.card import Head
from rai.errors import InputError
from rai.models.batches import in_batches, shaped, some
from rai.models.draft import Draft, Ending
from rai.models.guard import guarded
from rai.subject import Floats, Trust

OLDEST = (2, 10)
FEW = 8
ENTRANCES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {0: ("num_embeddings",), 2: ("in_features",), 3: ("input_size", "in_features"), 4: ("in_channels",)}
)
"""What layers call the width of their inputs: of tables, sequences and images by their dimensions, of texts at 0."""
ENDINGS: Mapping[str, Ending] = MappingProxyType(
    {
        "Sigmoid": "sigmoid",
        "Softmax": "softmax",
        "LogSoftmax": "log_softmax",
        "Addmm": "linear",
        "Mm": "linear",
        "sigmoid": "sigmoid",
        "softmax": "softmax",
        "log_softmax": "log_softmax",
        "linear": "linear",
        "addmm": "linear",
    }
)
VIEWS = frozenset(
    """Squeeze Unsqueeze View UnsafeView ReshapeAlias Select Slice Clone ToCopy Alias Transpose
    squeeze unsqueeze view reshape flatten select slice contiguous""".split()  # noqa: SIM905 - two lines, not twenty
)


@dataclass(frozen=True)
class TorchModel:
    """A module in evaluation mode. `head` is provisional until the model was examined; `advice` goes into errors.

    With `tokens` the module is handed whole numbers (int64), else numbers of its weights' own kind (float32).
    """

    module: nn.Module
    name: str
    trust: Trust
    advice: str = ""
    head: Head = Head.VALUE
    tokens: bool = False

    def width(self, inputs: Any) -> int | None:
        """How many numbers, features, channels or tokens the first layer of their kind takes, where it can be seen."""
        words = ENTRANCES[0 if self.tokens else np.ndim(inputs)]
        for each in self.module.modules():
            for word in words:
                if isinstance(getattr(each, word, None), int):
                    return int(getattr(each, word))
        wide = [each.shape[1] for each in self.module.parameters() if each.dim() == 2]
        return int(wide[0]) if wide and words == ENTRANCES[2] else None

    def scores(self, inputs: Any) -> Floats:
        """Raw outputs, shape (rows, outputs), asked for in batches of at most 4096 rows, fewer where they are large."""
        with guarded("the inputs are not all numbers", where=self.name):
            rows = _whole(inputs, self.name) if self.tokens else _numbers(inputs)
        return in_batches(self._ask, rows, tokens=self.tokens)

    def _ask(self, rows: NDArray[Any]) -> Floats:
        kind = "tokens" if self.tokens else "numbers"
        what = f"the model failed on {' × '.join(map(str, rows.shape))} {kind}"
        with guarded(what, where=self.name, do=self.advice, name_error=True), torch.inference_mode():
            answer = _one_tensor(self.module(self._given(rows)), self.name)
            return shaped(answer.float().cpu().numpy(), len(rows), self.name)

    def _given(self, rows: NDArray[Any]) -> torch.Tensor:
        if self.tokens:
            return torch.from_numpy(rows.copy())
        kinds = (each.dtype for each in self.module.parameters() if each.is_floating_point())
        return torch.from_numpy(rows.copy()).to(next(kinds, torch.float32))

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:
        """Run `procedure(module, inputs, **arguments)`, with the module in evaluation mode."""
        return procedure(self.module, inputs, **arguments)

    def ending(self, inputs: Any) -> Ending | None:
        """The last operation, read off the graph that torch keeps for gradients, or off a TorchScript graph."""
        try:
            with warnings.catch_warnings(), torch.enable_grad():
                warnings.simplefilter("ignore")
                if isinstance(self.module, torch.jit.ScriptModule):
                    return _script_ending(self.module)
                few = some(inputs, 0, FEW)
                rows = (
                    self._given(_whole(few, self.name)) if self.tokens else self._given(_numbers(few)).requires_grad_()
                )
                return _graph_ending(_one_tensor(self.module(rows), self.name).grad_fn)
        except Exception:  # noqa: BLE001 - whatever a module does here, the outputs still tell
            return None

    def reading(self, *, tokens: bool) -> "TorchModel":
        """The same model, to be handed token numbers as whole numbers, or anything else as 32-bit numbers."""
        return replace(self, tokens=tokens)

    def headed(self, head: Head) -> "TorchModel":
        """The same model, its outputs to be read as `head` says."""
        return replace(self, head=head)


def require_torch(version: str = torch.__version__) -> None:
    """Raise `InputError` when the installed PyTorch is older than 2.10, whose loaders have known holes."""
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < OLDEST:
        raise InputError(f"PyTorch {version} is installed", expected="2.10 or newer", do="pip install --upgrade torch")


def draft(module: nn.Module, *, name: str, kind: str, trust: Trust, notes: tuple[str, ...] = ()) -> Draft:
    """Make a module ready to be asked: evaluation mode, finite weights, half precision turned into float32."""
    found = [*notes, *_calm(module), *_widened(module, kind)]
    for label, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"tensor {label!r} holds NaN or infinity", where=name, do="train the model again")
    advice = "export it with a dynamic batch dimension" if kind == "torch.export archive" else ""
    return Draft(TorchModel(module, name, trust, advice), kind, tuple(found))


def _calm(module: nn.Module) -> tuple[str, ...]:
    """Set evaluation mode; an exported graph has it, or has it not, baked in."""
    training = any(each.training for each in module.modules())
    try:
        module.eval()
    except NotImplementedError:
        return ()
    return ("the model came in training mode; it was set to evaluation mode",) if training else ()


def _widened(module: nn.Module, kind: str) -> tuple[str, ...]:
    half = {each.dtype for each in module.parameters()} & {torch.float16, torch.bfloat16}
    if not half or kind == "torch.export archive":
        return ()
    module.float()
    return tuple(f"{str(each).removeprefix('torch.')} weights were turned into float32" for each in half)


def _numbers(inputs: Any) -> Floats:
    """Rows as 32-bit numbers; the missing cells of a pandas frame become NaN, whatever its columns call them."""
    if hasattr(inputs, "iloc"):
        return np.asarray(inputs.to_numpy(dtype=np.float32, na_value=np.nan))
    return np.asarray(inputs, dtype=np.float32)


def _whole(inputs: Any, where: str) -> NDArray[np.int64]:
    """Token numbers as 64-bit whole numbers; raise `InputError` for numbers that are none."""
    found = np.asarray(inputs)
    if found.dtype.kind not in "iu" and not bool(np.all(np.isfinite(found) & (found == np.floor(found)))):
        raise InputError("the inputs are no token numbers", where=where, expected="whole numbers, the first token is 0")
    return found.astype(np.int64)


def _one_tensor(answer: Any, where: str) -> torch.Tensor:
    if isinstance(answer, tuple | list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, torch.Tensor):
        raise InputError(f"the model answers with a {type(answer).__name__}", where=where, expected="one tensor")
    if answer.is_complex():
        raise InputError("the model answers with complex numbers", where=where, expected="real numbers")
    return answer


def _graph_ending(node: Any) -> Ending | None:
    while node is not None:
        name = re.sub(r"Backward\d*$", "", node.name())
        if name not in VIEWS:
            return ENDINGS.get(name, "other")
        node = node.next_functions[0][0]
    return None


def _script_ending(module: torch.jit.ScriptModule) -> Ending | None:
    graph = module.inlined_graph  # its nodes live as long as it does
    node = next(graph.outputs()).node()
    while True:
        name = node.kind().removeprefix("aten::")
        if name not in VIEWS:
            return ENDINGS.get(name, "other")
        node = next(node.inputs()).node()
