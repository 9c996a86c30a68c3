"""What a ledger says: on what rows, how, how privately and at what cost a model was trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from rai.card import STRICT
from rai.ledger.stress import StressTest

VERSION: Literal[1] = 1
NOISY_LOSSES = (
    "losses of training rows are noisy means, each row counting between -4 and 4, and are part of the promise"
)
"""The warning by which a ledger says that the losses of its epochs are within its promise of privacy."""
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
    given where a training that went on was promised otherwise: noise and sample rate are then those of the last phase,
    `steps` those of all.
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
class Trial:
    """One model of a trade-off curve: how it was trained, and what was measured on rows it did not learn from.

    `method` "none" is the baseline, trained without a criterion. `values` are named as in fairlearn: `accuracy`,
    `demographic_parity_difference`, `equalized_odds_difference`, `equal_opportunity_difference`. `warnings` name what
    went wrong in training, such as a collapse.
    """

    __pydantic_config__ = STRICT

    method: str
    strength: float
    seed: int
    values: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mitigation:
    """Which criterion of group fairness training aimed at, how, for whom, and what other strengths would have given.

    `needed_at_predict` names the sensitive columns that the model must be handed with each row it decides on; with none
    the attribute was used in training alone. `measured_on` says which rows the trials were measured on.
    """

    __pydantic_config__ = STRICT

    criterion: str
    sensitive: tuple[str, ...]
    method: str
    strength: float
    needed_at_predict: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    measured_on: str = ""
    details: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """One client of a federation: its rows, how many of each class it holds, and what was spent of its privacy.

    `alone` is the accuracy (for regression r2) of a model that learned from this site's rows only, `together` that of
    the common model, both on the same rows of the site that neither learned from. `contribution` is the Shapley value
    of the site's updates; what was not measured is None.
    """

    __pydantic_config__ = STRICT

    name: str
    rows: Count
    classes: Mapping[str, Count] = field(default_factory=dict)
    epsilon: AtLeast0 | None = None
    alone: float | None = None
    together: float | None = None
    contribution: float | None = None


@dataclass(frozen=True)
class Reply:
    """What one site sent back in one round: numbers alone. `norm` is the length of its update.

    `loss`, `accuracy` and `counts` are of the common model on the site's own `held_out` rows; `counts` (attribute, then
    level) are true negatives, false positives, false negatives and true positives. `excluded` says why its update was
    not used, "" where it was.
    """

    __pydantic_config__ = STRICT

    examples: Count
    loss: float | None = None
    accuracy: float | None = None
    norm: float | None = None
    counts: Mapping[str, Mapping[str, tuple[Count, Count, Count, Count]]] = field(default_factory=dict)
    excluded: str = ""
    held_out: Count = 0


@dataclass(frozen=True)
class Round:
    """One round of a federation: replies by site, the common model's values over all sites, bytes and seconds."""

    __pydantic_config__ = STRICT

    number: int
    replies: Mapping[str, Reply]
    loss: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    bytes_down: Count = 0
    bytes_up: Count = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Federation:
    """A training by several sites that kept their rows: who took part, what each round gave, and what was promised.

    `privacy` of the ledger is the promise of each site to its rows, the largest epsilon over sites; `client_privacy` is
    that of the server to each site as a whole. `unnoised` names what left the sites without noise. `bundle` holds the
    SHA-256 of each file that was sent to sites. `stress` is what the model was worth to honest sites, by strategy and
    then by attack ("none" without one), in the trainings that `stress_test` tells of: accuracy, for regression r2.
    """

    __pydantic_config__ = STRICT

    runtime: str
    strategy: str
    arguments: Mapping[str, float | int | str]
    partition: str
    sites: tuple[Site, ...]
    rounds: tuple[Round, ...]
    client_privacy: Privacy | None = None
    assumption: str = ""
    unnoised: tuple[str, ...] = ()
    bundle: Mapping[str, str] = field(default_factory=dict)
    stress: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    stress_test: StressTest | None = None


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
    mitigation: Mitigation | None = None
    federation: Federation | None = None
    energy: Energy | None = None
    runs: tuple[Run, ...] = ()
    version: Literal[1] = VERSION
