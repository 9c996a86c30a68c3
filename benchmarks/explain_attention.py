"""Does looking at the attention of a transformer change its answer, and what does it cost?

A 4-layer, 4-head `torch.nn.TransformerEncoder` of width 64 reads 256 texts of 8 to 64 tokens. The answer while maps are
read is held against PyTorch's plain path; maps are read, followed (rollout) and weighed by gradients (3 outputs), each
beside a plain forward of the same rows in the same batches.
"""

from benchmarks.common import Bound, fix_threads, main, median_seconds, peak_mib

fix_threads()

from collections.abc import Callable, Mapping  # noqa: E402 - after the threads are fixed

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from rai.card import Head  # noqa: E402
from rai.explainers import Question, Target, method  # noqa: E402
from rai.explainers.attention_heads import heads  # noqa: E402
from rai.explainers.attention_maps import recorded, tensor  # noqa: E402
from rai.explainers.attention_seats import seats  # noqa: E402
from rai.models.torch_model import TorchModel  # noqa: E402
from rai.subject import Data, Player, Vocabulary  # noqa: E402

ROWS, TOKENS, NAMES, WIDTH = 256, 64, 1000, 64
METHODS = ("attention", "attention.rollout", "attention.gradient")
BOUNDS = (
    Bound("largest difference of the answer from the plain path", at_most=0.0),
    Bound("largest attention mass on padding", at_most=0.0),
    Bound("attention, time / plain forward", at_most=6.0),
)


class Encoder(nn.Module):
    """Tokens in, three logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(NAMES, WIDTH)
        block = nn.TransformerEncoderLayer(WIDTH, 4, 128, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 4, enable_nested_tensor=False)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits, (rows, 3)."""
        ids = ids.long()
        found: torch.Tensor = self.encoder(self.table(ids), src_key_padding_mask=ids.eq(0))
        return self.last(found[:, 0])  # type: ignore[no-any-return]


def texts() -> Data:
    """Texts of random tokens and lengths, filled up with 0."""
    rng = np.random.default_rng(0)
    ids = rng.integers(1, NAMES, size=(ROWS, TOKENS))
    ids[np.arange(TOKENS) >= rng.integers(8, TOKENS + 1, size=ROWS)[:, None]] = 0
    players = tuple(Player(f"token {each + 1}", (each,)) for each in range(TOKENS))
    words = Vocabulary(tuple(map(str, range(NAMES))))
    return Data("text", ids, ids.astype(np.float64), None, {}, players, vocabulary=words)


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Difference, padding mass, and times."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module, data, repeats = Encoder().eval(), texts(), 3 if quick else 11
    where = seats(data)
    model = TorchModel(module, "encoder", "in memory", tokens=True)
    asked = Question(model, Target(Head.LOGITS, names=tuple("abc")), data, data)
    _ = asked.full  # scoring is no part of the figures
    forward = median_seconds(lambda: [answer(module, data.inputs[part]) for part in where.batches()], repeats)
    times = {name: median_seconds(_asking(name, asked), repeats) / forward for name in METHODS}
    return {
        "largest difference of the answer from the plain path": difference(module, data),
        "largest attention mass on padding": float(heads(module, data.inputs, where=where).padding.max()),
        "plain forward of 256 texts, seconds": forward,
        **{f"{name}, time / plain forward": ratio for name, ratio in times.items()},
        "peak memory, MiB": peak_mib(),
    }


def answer(module: nn.Module, ids: np.ndarray) -> torch.Tensor:
    """The module's answer by PyTorch's plain path, as its fast path computes no maps."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        with torch.inference_mode():
            found: torch.Tensor = module(tensor(module, ids))
    finally:
        torch.backends.mha.set_fastpath_enabled(value=before)
    return found


def difference(module: nn.Module, data: Data) -> float:
    """How far the answer while maps are read is from the plain one, at most."""
    plain = answer(module, data.inputs)
    with torch.inference_mode(), recorded(module) as found:
        watched = module(tensor(module, data.inputs))
    if len(found) != 4:
        raise RuntimeError(f"{len(found)} maps of 4 layers")
    return float((plain - watched).abs().max())


def _asking(name: str, asked: Question) -> Callable[[], object]:
    return lambda: method(name)(asked)


if __name__ == "__main__":
    main("explain_attention", measure_all, BOUNDS)
