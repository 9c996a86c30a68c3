"""Rules for convolutions: every place of an image or a sequence is one position of a weighted sum."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from rai.train.private.contributions import Affine, PerRow, of_affine
from rai.train.private.tape import Contribution, Tape, learns, replaced, stand_in

Convolution = nn.Conv1d | nn.Conv2d


def convolution(tape: Tape, module: Convolution, inputs: Tensor) -> Tensor:
    """`nn.Conv1d` on (rows, channels, places), `nn.Conv2d` on (rows, channels, height, width)."""
    tape.require_rows(module, inputs)
    if inputs.dim() != module.weight.dim():
        raise tape.refusal(module, f"is handed shape {tuple(inputs.shape)}, one image without rows")
    compute = module._conv_forward  # noqa: SLF001 - torch keeps its ways of padding there
    outputs: Tensor = compute(inputs, replaced(module.weight), stand_in(module.bias))
    tape.keep((module.weight, module.bias), (outputs,), partial(_of_windows, module, inputs.detach()), inputs)
    return outputs


def _of_windows(module: Convolution, inputs: Tensor, gradient: Tensor) -> Contribution:
    told = gradient.flatten(2)
    if not learns(module.weight):
        return PerRow(_offset(module, told))
    windows = _windows(module, inputs)
    if module.groups == 1:
        return of_affine(Affine(module.weight, module.bias), windows.mT, told.mT)
    return PerRow(_by_groups(module, windows, told))


def _offset(module: Convolution, told: Tensor) -> dict[Tensor, Tensor]:
    return {} if module.bias is None or not learns(module.bias) else {module.bias: told.sum(2)}


def _by_groups(module: Convolution, windows: Tensor, told: Tensor) -> dict[Tensor, Tensor]:
    """Each row's gradient where channels are read in groups: windows (rows, in, places), told (rows, out, places)."""
    apart = (len(told), module.groups, -1, told.shape[2])
    weight = told.reshape(apart) @ windows.reshape(apart).mT
    return {module.weight: weight.reshape(-1, *module.weight.shape), **_offset(module, told)}


def _windows(module: Convolution, inputs: Tensor) -> Tensor:
    """What the kernel sees at every place, (rows, channels × kernel, places)."""
    padded, padding = _padded(module, inputs)
    if inputs.dim() == 4:
        return functional.unfold(padded, module.kernel_size, module.dilation, padding, module.stride)
    sides = [(1, each[0]) for each in (module.kernel_size, module.dilation, module.stride)]
    return functional.unfold(padded[:, :, None], sides[0], sides[1], (0, padding[0]), sides[2])


def _padded(module: Convolution, inputs: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """The inputs with padding that `unfold` cannot add itself, and the padding that it can."""
    if module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return inputs, module.padding
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    sides = module._reversed_padding_repeated_twice  # noqa: SLF001 - as torch itself pads
    return functional.pad(inputs, sides, mode=mode), (0,) * len(module.kernel_size)
