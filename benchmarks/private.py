"""What does a private training step cost, beside plain SGD and beside Opacus?

A step is forward, backward, clipping, noise and update, for networks of several kinds on one thread. All ways take
turns on the same batch, and the least time of each counts: CPU time of the one thread, which is wall time where nothing
else runs. Opacus runs as its users run it: `PrivacyEngine`, modes
hooks and ghost, on the module that its `ModuleValidator` mends. Peak memory is that of a process of its own for each
way, above what it held before its first step.
"""

from benchmarks.common import Bound, fix_threads, main

fix_threads()

import copy  # noqa: E402 - after the threads are fixed
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Iterator, Mapping  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from rai.networks.cnn import cnn  # noqa: E402
from rai.networks.mlp import mlp  # noqa: E402
from rai.networks.recurrent import recurrent  # noqa: E402
from rai.networks.transformer import transformer  # noqa: E402
from rai.train.batches import Batch  # noqa: E402
from rai.train.private.gradients_book_keeping import book_keeping  # noqa: E402
from rai.train.private.noise import add_noise, set_gradients  # noqa: E402
from rai.train.private.sampling import secret  # noqa: E402

torch.set_num_threads(1)
Step = Callable[[], object]
WAYS = ("plain", "ours", "clipping", "hooks", "ghost")
ROWS = 256
RATE, NOISE, LIMIT = 1e-3, 1.0, 1.0
BEYOND_OPACUS = ("transformer of rai",)
"""What Opacus' engine cannot train, so that there is nothing to hold ours against."""
REPEATS, SECONDS = 60, 6.0
"""Each way runs so often, or until a case has taken so long; but five times at least."""


class Lstm(nn.Module):
    """An LSTM of torch and a weighted sum of what it says last."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.LSTM(8, 32, batch_first=True)
        self.head = nn.Linear(32, 2)

    def forward(self, sequences: Tensor) -> Tensor:
        """Logits, (rows, 2)."""
        return self.head(self.core(sequences)[0][:, -1])  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Two layers of torch's transformer over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(1000, 64)
        block = nn.TransformerEncoderLayer(64, 4, 128, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(64, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, (rows, 2)."""
        return self.head(self.encoder(self.table(tokens)).mean(1))  # type: ignore[no-any-return]


def tokens(rows: int) -> Tensor:
    """Texts of 32 tokens."""
    return torch.randint(1, 1000, (rows, 32))


@dataclass(frozen=True)
class Case:
    """A network, and a batch for it."""

    make: Callable[[], nn.Module]
    inputs: Callable[[int], Tensor]
    rows: int = ROWS


def _cases() -> dict[str, Case]:
    large = partial(mlp, inputs=784, outputs=10, hidden=(256, 128))
    small = partial(mlp, inputs=100, outputs=2, hidden=(64, 32))
    perceptrons = {
        f"{name}, {rows} rows": Case(make, lambda count, width=width: torch.randn(count, width), rows)  # type: ignore[misc]
        for name, make, width in (("MLP 784-256-128-10", large, 784), ("MLP 100-64-32-2", small, 100))
        for rows in (64, ROWS, 1024)
    }
    text = partial(transformer, outputs=2, vocabulary=1000, dropout=0.0, length=64)
    return perceptrons | {
        "CNN of rai": Case(
            partial(cnn, inputs=1, outputs=10, size=(28, 28)), lambda count: torch.randn(count, 1, 28, 28), 64
        ),
        "LSTM of torch": Case(Lstm, lambda count: torch.randn(count, 20, 8)),
        "LSTM of rai": Case(partial(recurrent, inputs=8, outputs=2), lambda count: torch.randn(count, 20, 8)),
        "transformer of torch": Case(Encoder, tokens, 64),
        "transformer of rai": Case(text, tokens, 64),
    }


def plain(module: nn.Module, batch: Batch) -> Step:
    """A step of SGD that promises nothing."""
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(module(batch.inputs), batch.targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def ours(module: nn.Module, batch: Batch) -> Step:
    """A private step by the book-keeping, with the noise that a private training of rai adds."""
    optimizer, rng = torch.optim.SGD(module.parameters(), lr=RATE), secret()
    losses = partial(functional.cross_entropy, reduction="none")

    def step() -> None:
        found = book_keeping(module, losses, batch, LIMIT)
        set_gradients(module, add_noise(found.sums, NOISE * LIMIT, rng, expected_batch=len(batch)))
        optimizer.step()

    return step


def clipping(module: nn.Module, batch: Batch) -> Step:
    """Our clipped sum alone, without noise and update."""
    return partial(book_keeping, module, partial(functional.cross_entropy, reduction="none"), batch, LIMIT)


def opacus(module: nn.Module, batch: Batch, mode: str) -> Step:
    """A private step by Opacus' engine."""
    from opacus import PrivacyEngine
    from opacus.validators import ModuleValidator
    from torch.utils.data import DataLoader, TensorDataset

    mended = ModuleValidator.fix(module)
    wrapped, optimizer, *more = PrivacyEngine(accountant="rdp").make_private(
        module=mended,
        optimizer=torch.optim.SGD(mended.parameters(), lr=RATE),
        data_loader=DataLoader(TensorDataset(batch.inputs, batch.targets), batch_size=len(batch)),
        criterion=nn.CrossEntropyLoss(),
        noise_multiplier=NOISE,
        max_grad_norm=LIMIT,
        poisson_sampling=False,
        grad_sample_mode=mode,
    )
    criterion = more[0] if mode == "ghost" else nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        criterion(wrapped(batch.inputs), batch.targets).backward()
        optimizer.step()

    return step


def step_of(way: str, case: Case) -> Step:
    """One way's step on a fresh copy of a case's network; the same weights and rows for every way."""
    torch.manual_seed(0)
    module, inputs = case.make(), case.inputs(case.rows)
    batch = Batch(inputs, torch.randint(0, 2, (case.rows,)))
    known = {"plain": plain, "ours": ours, "clipping": clipping}
    return known[way](module, batch) if way in known else opacus(copy.deepcopy(module), batch, way)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings that Opacus and torch give of hooks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def works(way: str, case: Case) -> Step | None:
    """The way's step after a first run of it; None where Opacus cannot train this network."""
    try:
        step = step_of(way, case)
        step()
    except Exception as error:
        if way not in {"hooks", "ghost"}:
            raise
        print(f"Opacus {way} fails: {type(error).__name__}")
        return None
    return step


def milliseconds(case: Case, *, quick: bool) -> dict[str, float]:
    """Least time of each way's step, ms; the ways take turns, so that a busy machine slows all alike."""
    steps = {way: step for way in WAYS if (step := works(way, case))}
    best = dict.fromkeys(steps, float("inf"))
    began = time.perf_counter()
    for turn in range(REPEATS):
        if turn >= 5 and time.perf_counter() - began > SECONDS / (2 if quick else 1):
            break
        for way, step in steps.items():
            step()  # not counted: the way before it left the caches full of its own
            start = time.process_time()
            step()
            best[way] = min(best[way], 1000 * (time.process_time() - start))
    return best


def peak(name: str, way: str) -> float | None:
    """What three steps held at most above what the process held before them, MiB; run in a process of its own."""
    command = [sys.executable, "-c", f"from benchmarks.private import held; held({name!r}, {way!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own module
    found: float | None = json.loads(done.stdout.splitlines()[-1])
    return found


def held(name: str, way: str) -> None:
    """Print the peak of three steps, MiB, as JSON."""
    import opacus  # noqa: F401 - so that its own weight is not counted as a step's

    with quietly():
        case = _cases()[name]
        step_of("plain", Case(case.make, case.inputs, 2))()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak so far is forgotten
        before = _resident("VmRSS")
        step = works(way, case)
        for _ in range(2 if step else 0):
            step()  # type: ignore[misc]
    print(json.dumps(_resident("VmHWM") - before if step else None))


def _resident(name: str) -> float:
    """Memory this process holds (VmRSS), or held at most (VmHWM), MiB. What getrusage says begins with the parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def measure(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - benchmarks.common hands it over so
    """Times and ratios of every case, and peaks of memory."""
    figures: dict[str, float] = {}
    for name, case in _cases().items():
        with quietly():
            best = milliseconds(case, quick=quick)
        figures |= {f"{name}: {way}, ms": value for way, value in best.items()}
        figures[f"{name}: ours / plain"] = best["ours"] / best["plain"]
        rivals = [value for way, value in best.items() if way in {"hooks", "ghost"}]
        figures |= {f"{name}: ours / best of Opacus": best["ours"] / min(rivals)} if rivals else {}
        if not quick and case.rows <= ROWS:
            peaks = {way: peak(name, way) for way in best if way != "clipping"}
            figures |= {f"{name}: {way}, peak MiB": value for way, value in peaks.items() if value is not None}
    return figures


def _bounds() -> Iterator[Bound]:
    for name, case in _cases().items():
        if name not in BEYOND_OPACUS:
            yield Bound(f"{name}: ours / best of Opacus", at_most=1.0)
        if name.startswith("MLP") and case.rows == ROWS:
            yield Bound(f"{name}: ours / plain", at_most=2.0)


if __name__ == "__main__":
    main("private", measure, tuple(_bounds()))
