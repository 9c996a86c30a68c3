"""Do gradients add up, and do LIME's answers stay the same under another seed? Beside captum, shap and lime.

Track 1: completeness on thirteen architectures with random weights, eight rows each: how far the values miss the change
of the score, |sum of values - change| / |change|, median and largest over rows. Ours (integrated gradients) against
captum's DeepLift and shap's DeepExplainer, which are handed a copy of each model; where a rival raises, its error is
printed and it has no figure. A rival counts as wrong where its median gap is above 5 % or it raised.
Track 2: a network of 12 features; the five strongest features of a row under ten seeds, compared in pairs by the
Jaccard index; lime with 1,000 samples, ours with at most 5,000 and with its own stopping rule;
seconds per row, ten rows one at a time.
"""

from benchmarks.common import Bound, fix_threads, main, median_seconds

fix_threads()

import copy  # noqa: E402 - after the threads are fixed
import warnings  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from itertools import combinations  # noqa: E402
from typing import Any  # noqa: E402

import captum.attr  # type: ignore[import-untyped]  # noqa: E402
import numpy as np  # noqa: E402
import shap  # type: ignore[import-untyped]  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from rai.card import Head  # noqa: E402
from rai.explainers import Question, Target, method  # noqa: E402
from rai.explaining import explain  # noqa: E402
from rai.subject import Data, Floats, Kind, Player, Trust, Vocabulary  # noqa: E402

Gaps = NDArray[np.float64]
WRONG = 0.05
BOUNDS = (
    Bound("rai integrated gradients, largest median gap", at_most=0.01),
    Bound("rai integrated gradients, largest gap", at_most=0.01),
    Bound("rai integrated gradients, architectures wrong", at_most=0),
    Bound("rai lime_fast, at most 5,000 samples, top-5 Jaccard", at_least=0.9),
    Bound("rai lime_fast, its own budget, top-5 Jaccard", at_least=0.95),
    Bound("seconds per row, rai lime_fast with 5,000 / lime", at_most=1.5),
)


class Functional(nn.Module):
    """A network whose ReLU is a function and no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, 32), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> Any:
        """Score rows."""
        return self.last(functional.relu(self.first(x)))


class Reused(nn.Module):
    """A network with one ReLU layer in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, 1)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> Any:
        """Score rows."""
        return self.last(self.relu(self.middle(self.relu(self.first(x)))))


class Recurrent(nn.Module):
    """The last state of a recurrent cell."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cell, self.last = kind(4, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> Any:
        """Score rows."""
        return self.last(self.cell(x)[0][:, -1])


class Encoder(nn.Module):
    """A transformer of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(30, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder, self.last = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 1)

    def forward(self, tokens: torch.Tensor) -> Any:
        """Score rows."""
        return self.last(self.encoder(self.token(tokens)).mean(dim=1))


class Residual(nn.Module):
    """Two convolutions around a bypass, and a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.pool, self.last = nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.Linear(8 * 36, 1)
        self.early, self.late = nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> Any:
        """Score rows."""
        x = self.early(self.norm(self.first(x)))
        return self.last(self.pool(self.late(self.second(x) + x)).flatten(1))


def mlp(act: nn.Module, norm: nn.Module | None = None) -> nn.Module:
    """One hidden layer of 32."""
    return nn.Sequential(nn.Linear(10, 32), norm or nn.Identity(), act, nn.Linear(32, 1))


def pooled() -> nn.Module:
    """Two convolutions with max pools."""
    first = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*first, nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 1))


ARCHITECTURES: Mapping[str, tuple[Kind, Callable[[], nn.Module]]] = {
    "SiLU": ("table", lambda: mlp(nn.SiLU())),
    "ReLU": ("table", lambda: mlp(nn.ReLU())),
    "GELU": ("table", lambda: mlp(nn.GELU())),
    "LayerNorm": ("table", lambda: mlp(nn.ReLU(), nn.LayerNorm(32))),
    "GroupNorm": ("table", lambda: mlp(nn.ReLU(), nn.GroupNorm(4, 32))),
    "functional ReLU": ("table", Functional),
    "reused ReLU": ("table", Reused),
    "in-place ReLU": ("table", lambda: mlp(nn.ReLU(inplace=True))),
    "LSTM": ("sequence", lambda: Recurrent(nn.LSTM)),
    "GRU": ("sequence", lambda: Recurrent(nn.GRU)),
    "TransformerEncoder": ("text", Encoder),
    "MaxPool CNN": ("image", pooled),
    "ResNet": ("image", Residual),
}
SHAPES: Mapping[Kind, tuple[int, ...]] = {"table": (10,), "sequence": (9, 4), "text": (12,), "image": (1, 12, 12)}


class Inside:
    """A torch module as a model."""

    head = Head.VALUE
    trust: Trust = "in memory"

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()

    def scores(self, inputs: Any) -> Floats:
        """Raw outputs."""
        with torch.no_grad():
            return np.asarray(self.module(torch.tensor(inputs)).numpy())

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:
        """Run a procedure on the module."""
        return procedure(self.module, inputs, **arguments)


def drawn(kind: Kind, count: int, seed: int) -> Data:
    """Random rows; one player for each input."""
    rng, shape = np.random.default_rng(seed), SHAPES[kind]
    found = rng.integers(2, 30, (count, *shape)) if kind == "text" else rng.normal(size=(count, *shape))
    inputs = found if kind == "text" else (found + 0.5 * (kind == "image")).astype(np.float32)
    players = tuple(Player(str(each), (each,)) for each in range(inputs[0].size))
    words = Vocabulary(tuple(map(str, range(30))), pad=0, mask=1)
    return Data(kind, inputs, inputs.reshape(count, -1).astype(np.float64), None, {}, players, vocabulary=words)


def measure(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Both tracks."""
    return {**completeness(), **stability(rows=5 if quick else 20)}


def completeness() -> Mapping[str, float]:
    """Track 1: the gap of each method on each architecture, and how many a method gets wrong."""
    methods = {"rai integrated gradients": ours, "captum.DeepLift": deep_lift, "shap.DeepExplainer": deep_explainer}
    figures: dict[str, float] = {}
    for name, gap in methods.items():
        worst, medians, wrong = 0.0, [0.0], 0
        for architecture, (kind, build) in ARCHITECTURES.items():
            found = tried(f"{architecture}, {name}", gap, kind, build)
            wrong += int(found is None or float(np.median(found)) > WRONG)
            if found is not None:
                figures[f"{architecture}, {name}, median gap"] = float(np.median(found))
                medians.append(float(np.median(found)))
                worst = max(worst, float(found.max()))
        figures[f"{name}, largest median gap"] = max(medians)
        figures[f"{name}, largest gap"] = worst
        figures[f"{name}, architectures wrong"] = wrong
    return figures


def tried(label: str, gap: Callable[[nn.Module, Kind], Gaps], kind: Kind, build: Callable[[], nn.Module]) -> Any:
    """Gaps of a method on a copy of a model, or None with a printed line where it raised."""
    torch.manual_seed(3)
    module = build().eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gap(copy.deepcopy(module), kind)
    except Exception as error:  # noqa: BLE001 - a rival may raise anything; that is the finding
        print(f"{label}: {type(error).__name__}: {' '.join(str(error).split())[:90]}")
        return None


def ours(module: nn.Module, kind: Kind) -> Gaps:
    """Integrated gradients with steps doubled until they add up."""
    asked = Question(Inside(module), Target(), drawn(kind, 8, 1), drawn(kind, 20, 2))
    return method("integrated_gradients")(asked).gap


def deep_lift(module: nn.Module, kind: Kind) -> Gaps:
    """DeepLift of captum between the same rows and the same baseline."""
    rows, start = ways(kind)
    values = captum.attr.DeepLift(module).attribute(rows, start)
    return missed(module, values.detach().numpy(), rows, start)


def deep_explainer(module: nn.Module, kind: Kind) -> Gaps:
    """DeepExplainer of shap with the same baseline as its one background row."""
    rows, start = ways(kind)
    values = shap.DeepExplainer(module, start).shap_values(rows, check_additivity=False)
    return missed(module, np.asarray(values), rows, start)


def ways(kind: Kind) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and the mean of the background; for tokens the mask, as whole numbers."""
    rows, known = drawn(kind, 8, 1).inputs, drawn(kind, 20, 2).inputs
    start = np.ones_like(rows[:1]) if kind == "text" else known.mean(axis=0, keepdims=True)
    return torch.tensor(rows), torch.tensor(start)


def missed(module: nn.Module, values: Floats, rows: torch.Tensor, start: torch.Tensor) -> Gaps:
    """How far values miss the change of the score, as a share of it."""
    with torch.no_grad():
        change = (module(rows) - module(start)).numpy()[:, 0]
    return np.asarray(np.abs(values.reshape(len(values), -1).sum(axis=1) - change) / np.abs(change))


def stability(rows: int) -> Mapping[str, float]:
    """Track 2: how far ten seeds agree on the five strongest of 12 features, and what that costs."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(12, 64)) / np.sqrt(12) * 2, rng.normal(size=(64, 64)) / 8 * 2
    last, shift = rng.normal(size=(64, 1)) / 8, rng.normal(size=64)
    table = rng.normal(size=(100, 12))  # as many as a background holds, so that seeds change the samples alone

    def score(x: Floats) -> Floats:
        return np.asarray(np.maximum(np.maximum(x @ first + shift, 0) @ second, 0) @ last)

    def answers(name: str, budget: int | None, seed: int) -> Floats:
        return explain(score, table[:rows], reference=table, method=name, budget=budget, random_state=seed).values

    def one_by_one(name: str, budget: int | None) -> None:
        for row in range(10):
            explain(score, table[row : row + 1], reference=table, method=name, budget=budget)

    def agreed(name: str, budget: int | None) -> float:
        return agreement([answers(name, budget, seed) for seed in range(10)])

    slow = median_seconds(lambda: one_by_one("lime", 1000), 5) / 10
    fast = median_seconds(lambda: one_by_one("lime_fast", 5000), 5) / 10
    shared = median_seconds(lambda: answers("lime_fast", None, 0), 5) / rows
    return {
        "lime, 1,000 samples, top-5 Jaccard": agreed("lime", 1000),
        "rai lime_fast, at most 5,000 samples, top-5 Jaccard": agreed("lime_fast", 5000),
        "rai lime_fast, its own budget, top-5 Jaccard": agreed("lime_fast", None),
        "lime, seconds per row": slow,
        "rai lime_fast, at most 5,000 samples, seconds per row": fast,
        "rai lime_fast, its own budget, all rows at once, seconds per row": shared,
        "seconds per row, rai lime_fast with 5,000 / lime": fast / slow,
    }


def agreement(answers: list[Floats]) -> float:
    """Mean Jaccard index of the five strongest features, over rows and pairs of seeds."""
    tops = [[set(np.argsort(-np.abs(row))[:5].tolist()) for row in each] for each in answers]
    pairs = [(a, b) for one, other in combinations(tops, 2) for a, b in zip(one, other, strict=True)]
    return float(np.mean([len(a & b) / len(a | b) for a, b in pairs]))


if __name__ == "__main__":
    main("explain_methods", measure, BOUNDS)
