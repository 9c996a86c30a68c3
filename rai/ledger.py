"""What training promised: a file beside the model that says on what, how, how privately and at what cost it was made.

Written by training, read by audits, which hold its promises against what they measure. Times, seeds, data and
parameters are those of the run that made the model; `seal` is the SHA-256 of all the rest, so a changed byte shows.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from rai.card import STRICT, parse
from rai.errors import InputError
from rai.files import require_file, write_atomic

VERSION: Literal[1] = 1
LARGEST = 64 << 20
AtLeast0 = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Fingerprint:
    """Rows a model was made from: how many, and the SHA-256 of their inputs, labels and groups.

    `source` names the file that they were read from, and `file` is its SHA-256, "" for rows from memory.
    """

    __pydantic_config__ = STRICT

    rows: Count
    sha256: str
    source: str = "in memory"
    file: str = ""


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows (or as many steps as one would take): mean losses and what else was watched."""

    __pydantic_config__ = STRICT

    number: int
    loss: float
    validation_loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    epsilon: float | None = None


@dataclass(frozen=True)
class Canaries:
    """Coin-flip rows planted in training: those drawn in are known to the ledger alone.

    `seed` makes all candidates again; `included` says for each whether it was trained on.
    """

    __pydantic_config__ = STRICT

    seed: int
    included: tuple[bool, ...]


@dataclass(frozen=True)
class Phase:
    """Steps with one noise multiplier and one sample rate; a training that was resumed may have several."""

    __pydantic_config__ = STRICT

    noise_multiplier: AtLeast0
    sample_rate: Share
    steps: Count


@dataclass(frozen=True)
class Privacy:
    """A differential privacy promise (Dwork et al. 2006; Abadi et al. 2016) and all that it rests on.

    Of two data sets that differ in one `unit` added or removed, no outcome is more than e^epsilon times as likely from
    one as from the other, but for a chance of `delta`. `alternatives` holds what other accountants say. `phases` are
    given where noise or sample rate changed on the way; the promise's own are then those of the last phase.
    """

    __pydantic_config__ = STRICT

    unit: str
    epsilon: AtLeast0
    delta: Share
    noise_multiplier: AtLeast0
    max_grad_norm: AtLeast0
    sample_rate: Share
    steps: Count
    expected_batch: float
    accountant: str
    relation: str = "add or remove one unit"
    sampler: str = "Poisson"
    alternatives: Mapping[str, float] = field(default_factory=dict)
    gradients: str = "book-keeping"
    randomness: str = "noise and sampling seeded by the operating system; floating point, not cryptographic"
    replaced: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()
    canaries: Canaries | None = None
    compared: Mapping[str, float] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True)
class Energy:
    """What training used, by which meter, and between which bounds. Energy in kWh, emissions in grams of CO2e."""

    __pydantic_config__ = STRICT

    kwh: float
    low: float
    high: float
    method: str
    inputs: Mapping[str, float | str]
    grams: float
    grams_low: float
    grams_high: float
    embodied_grams: float
    intensity: float
    place: str
    source: str
    seconds: float
    cpu_seconds: float
    flops: float | None = None
    also: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One of the runs on the same data: what was tried and what came of it. Tuning is spending.

    `epsilon` is None for a run without privacy. `kept` marks the run that made this very model.
    """

    __pydantic_config__ = STRICT

    settings: Mapping[str, Any]
    results: Mapping[str, float]
    epsilon: AtLeast0 | None = None
    front: bool = False
    kept: bool = False


@dataclass(frozen=True)
class Ledger:
    """The account of one training. `model` is the SHA-256 of the model's file, "" while there is none."""

    __pydantic_config__ = STRICT

    rai: str
    made: str
    model: str
    data: Fingerprint
    recipe: Mapping[str, Any]
    seed: int
    epochs: tuple[Epoch, ...]
    seconds: float
    cpu_seconds: float
    versions: Mapping[str, str]
    split: Mapping[str, Count] = field(default_factory=dict)
    parameters: Count = 0
    flops: float | None = None
    warnings: tuple[str, ...] = ()
    privacy: Privacy | None = None
    energy: Energy | None = None
    runs: tuple[Run, ...] = ()
    version: Literal[1] = VERSION


ADAPTER: TypeAdapter[Ledger] = TypeAdapter(Ledger)


def seal_of(ledger: Ledger) -> str:
    """The SHA-256 that binds everything the ledger says; it stands at the end of its file."""
    return _seal(_content(ledger, Path("ledger")))


def write_ledger(ledger: Ledger, path: Path) -> None:
    """Write a ledger whole or not at all; raise `InputError` for a number that is not finite or a wrong value."""
    write_atomic(path, _text(_content(ledger, path)))


def read_ledger(path: Path) -> Ledger:
    """Read a `ledger.json` as it was written.

    Raise `InputError`, naming the file, when a single byte differs from what was sealed, for another version, and for a
    wrong key.
    """
    require_file(path, do="train a model with: rai train RECIPE")
    if path.stat().st_size > LARGEST:
        raise InputError("larger than 64 MiB", where=path, expected="a ledger.json written by rai train")
    content = _unaltered(path)
    if content.get("version") != VERSION:
        raise InputError(f"key version is {content.get('version')!r}", where=path, expected=f"{VERSION}")
    return parse(Ledger, content, path)


def require_match(ledger: Ledger, model_sha256: str, path: Path) -> None:
    """Raise `InputError` unless the ledger at `path` was written for the model file with this SHA-256."""
    if ledger.model != model_sha256:
        named = f"the model file with SHA-256 {ledger.model[:12]}…" if ledger.model else "no model file"
        raise InputError(
            f"this ledger was written for {named}, and the file beside it has {model_sha256[:12]}…",
            where=path,
            do="put the model's own ledger in its place, or name this one after its own model: NAME.ledger.json",
        )


def ledger_of(model: Path, model_sha256: str) -> Ledger | None:
    """The ledger that lies beside a model file, or in a model's folder; None when there is none.

    `NAME.ledger.json` goes before `ledger.json`, so that several models may share a folder. Raise `InputError` when the
    ledger was changed or was written for another model.
    """
    shared = model / "ledger.json" if model.is_dir() else model.with_name("ledger.json")
    path = next((each for each in (model.with_suffix(".ledger.json"), shared) if each.exists()), None)
    if path is None:
        return None
    ledger = read_ledger(path)
    require_match(ledger, model_sha256, path)
    return ledger


def _unaltered(path: Path) -> dict[str, Any]:
    """The content without its seal, when the file is byte for byte what was written."""
    changed = InputError(
        "its seal does not match: it was changed or cut short after it was written",
        where=path,
        do="put the original back, or train the model again",
    )
    written = path.read_bytes()
    try:
        content = json.loads(written)
        content.pop("seal")
        again = _text(content).encode()
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise changed from None
    if again != written:
        raise changed
    return dict(content)


def _content(ledger: Ledger, path: Path) -> dict[str, Any]:
    """The ledger as dictionaries, lists, text and numbers, every value checked, with keys in order."""
    checked = parse(Ledger, _values(ledger), path)
    return dict(json.loads(json.dumps(_values(checked), sort_keys=True)))


def _values(ledger: Ledger) -> Any:
    return ADAPTER.dump_python(ledger, mode="json", fallback=_plain, warnings=False)


def _plain(value: Any) -> object:
    """A number of numpy as a number of Python; anything else by its name."""
    return value.item() if hasattr(value, "item") else str(value)


def _text(content: Mapping[str, Any]) -> str:
    """The file: ASCII, one key a line so that a person can read it, the seal last."""
    return json.dumps({**content, "seal": _seal(content)}, indent=1) + "\n"


def _seal(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
