"""The tables of a recipe that say how a model is trained. Every default is one that a small model does well with."""

from dataclasses import dataclass, field
from typing import Any, Literal

from rai.card import STRICT

Strategy = Literal[
    "fedavg",
    "fedprox",
    "fedavgm",
    "fedadam",
    "fedyogi",
    "fedadagrad",
    "qfedavg",
    "fedmedian",
    "trimmedavg",
    "krum",
    "multikrum",
    "bulyan",
    "fairfed",
]
"""How replies are joined: names of Flower's strategies, and "fairfed"."""
Partition = Literal["iid", "dirichlet", "pathological", "column", "quantity"]
"""How rows are dealt out to sites; `rai.train.federated.partition` says what each is."""
Runtime = Literal["local", "ray", "deployment"]
"""Where a federation runs."""


@dataclass(frozen=True)
class Fit:
    """`[fit]`: how long, how fast and against what the parameters are moved.

    `learning_rate`, `momentum`, `weight_decay` (L2) and `optimizer` are torch's words. `l1` is the weight of the sum of
    absolute weights in the loss. `warmup` is a number of steps; "step" multiplies the rate by `gamma` every `step_size`
    epochs, "cosine" lets it fall to 0. `max_grad_norm` clips the gradient of a batch. `early_stopping` is how many
    epochs may pass without a smaller validation loss; the best weights are kept. `class_weight` "balanced" is
    sklearn's. `freeze` names parameters by how their names begin; after `unfreeze_after` epochs they learn too.
    """

    __pydantic_config__ = STRICT

    epochs: int = 20
    batch_size: int = 64
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    l1: float = 0.0
    schedule: Literal["constant", "step", "cosine"] = "constant"
    warmup: int = 0
    step_size: int = 10
    gamma: float = 0.1
    initialization: Literal["default", "xavier", "he"] = "default"
    max_grad_norm: float | None = None
    early_stopping: int | None = None
    class_weight: Literal["balanced"] | None = None
    augment: tuple[Literal["flip", "rotate", "crop", "noise"], ...] = ()
    validation: float = 0.15
    freeze: tuple[str, ...] = ()
    unfreeze_after: int | None = None
    mixed_precision: bool = False
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True)
class Private:
    """`[private]`: what is promised to each `unit` of the data, and how it is kept.

    Give `epsilon` (the noise is found) or `noise_multiplier`. `sample_rate` and `steps` are public numbers of the
    promise: they are never taken from how many rows there are. `unit` is "record" or "group:COLUMN". `gradients` "auto"
    chooses by the time of one batch. `waive` names holes of the pre-flight check that somebody answers for.
    """

    __pydantic_config__ = STRICT

    sample_rate: float
    steps: int
    delta: float
    expected_batch: float
    epsilon: float | None = None
    noise_multiplier: float | None = None
    max_grad_norm: float = 1.0
    unit: str = "record"
    gradients: Literal["auto", "book_keeping", "hooks", "ghost"] = "auto"
    physical_batch: int = 512
    canaries: int = 0
    compare: bool = False
    waive: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fair:
    """`[fair]`: which criterion of group fairness training aims at, by which method, and how strongly.

    `sensitive` names columns of the rows' groups, all of them where empty; with `intersections` each combination of
    their levels counts as a group too. `strength` None takes the method's usual one: for "adversarial" it is alpha of
    Zhang et al. 2018, for "gap_penalty" the weight of the penalty in the loss, for "threshold" and "reductions" the
    share of the gap that is to go (0 to 1), for "reweighing" the power of the weights (0 to 1). `penalty` is the
    gap penalty's kind. The adversary is a network with `adversary_hidden` layers that learns at `adversary_rate` times
    the learning rate. The first `warm_start` epochs train without the criterion, and over `ramp` more the strength
    rises to its whole. With `fit.early_stopping`, the epoch is kept whose held-out gap is at most `tolerance` and whose
    loss is smallest. `attribute_at_predict` lets "threshold" give each group a threshold of its own.

    The rest is for recipes. With `baseline` the same network is trained without the criterion too, and written beside
    the model for an audit to compare. With `strengths` each of them is tried first, with as many `seeds` (3 where none
    is said), on rows held back, and the most accurate is taken whose mean gap is at most `tolerance`. `seeds` alone
    shows how far seeds differ at the one strength.
    """

    __pydantic_config__ = STRICT

    criterion: Literal["demographic_parity", "equalized_odds", "equal_opportunity"] = "demographic_parity"
    method: Literal["adversarial", "gap_penalty", "threshold", "reductions", "reweighing"] = "adversarial"
    sensitive: tuple[str, ...] = ()
    intersections: bool = False
    strength: float | None = None
    penalty: Literal["mean_difference", "hsic"] = "mean_difference"
    adversary_hidden: tuple[int, ...] = ()
    adversary_rate: float = 20.0
    warm_start: int = 1
    ramp: int = 2
    tolerance: float = 0.02
    baseline: bool = True
    attribute_at_predict: bool = False
    strengths: tuple[float, ...] = ()
    seeds: int | None = None

    @property
    def tries(self) -> bool:
        """Whether a recipe asks for a trade-off curve before the model is trained."""
        return bool(self.strengths) or self.seeds is not None


@dataclass(frozen=True)
class ClientPrivacy:
    """`[federated.client_privacy]`: a promise to each site as a whole, by noise at the server (McMahan et al. 2018).

    Each update is clipped to length `max_grad_norm` and weighs the same; `noise_multiplier` is the noise's deviation
    over that length. Sites take part at random, each for itself (Poisson), with the share of `[federated]`.
    """

    __pydantic_config__ = STRICT

    noise_multiplier: float
    max_grad_norm: float
    delta: float = 1e-5


@dataclass(frozen=True)
class Stress:
    """`[federated.stress]`: what sites that lie or break would cost, tried after the training in trainings of its own.

    The federation is trained anew by each of `strategies` (empty: its own and "fedavg"), without attack and under each
    of `attacks`; a strategy that is not its own has its usual arguments. A `share` of the sites attacks, drawn by the
    seed, at least one and never all. "sign_flip" sends an update that goes `scale` times as far the other way, "nan"
    one without numbers, "inflated" a count of a million rows, and "both" a flipped update with that count. `rounds`
    None is as many as the training has. The model is measured on rows that the other sites hold back.
    """

    __pydantic_config__ = STRICT

    attacks: tuple[Literal["sign_flip", "nan", "inflated", "both"], ...] = ("sign_flip", "nan", "inflated")
    strategies: tuple[Strategy, ...] = ()
    share: float = 0.2
    scale: float = 5.0
    rounds: int | None = None


@dataclass(frozen=True)
class Federated:
    """`[federated]`: how sites learn one model together: who holds which rows, and how replies are joined.

    `partition` deals the training rows out: "iid", "dirichlet" (`alpha`, by label), "pathological" (`classes` labels a
    site), "column" (a site for each value of `column`), "quantity" (sizes fall by `alpha`). `share` of the sites takes
    part in a round. `strategy` is Flower's, with its `arguments`. `runtime` "local" is this process, "ray" Flower's
    simulation on Ray on this machine, and "deployment" Flower's servers: those started here for the run, or with
    `superlink` (HOST:PORT; `certificate` is a file of the authority that signed its own) those of real sites.
    `local_epochs`, optimizer, rate and batches of a site's own training are those of `[fit]`.
    `most_examples` caps what a site may say it learned from; None is, in a local run, as many rows as the largest
    site learns from (or, if more, what `[private]` makes public), and else no cap.
    With `vmap` sites of one network learn at the same time in one batched computation, and with several `jobs` that
    many processes learn for sites, each with one thread, to the same result: for networks whose steps take long. Both
    are for a local run. `alone` also trains each site by itself, to see who would do better so. `stress` tries attacks.
    `[private]` beside it is each site's promise to its rows.
    """

    __pydantic_config__ = STRICT

    clients: int = 10
    rounds: int = 10
    share: float = 1.0
    local_epochs: int = 1
    partition: Partition = "iid"
    alpha: float = 0.5
    classes: int = 2
    column: str | None = None
    smallest: int = 10
    strategy: Strategy = "fedavg"
    arguments: dict[str, float | int] = field(default_factory=dict)
    runtime: Runtime = "local"
    superlink: str = ""
    certificate: str | None = None
    vmap: bool = False
    jobs: int = 1
    most_examples: int | None = None
    alone: bool = True
    contributions: bool = True
    client_privacy: ClientPrivacy | None = None
    stress: Stress | None = None


@dataclass(frozen=True)
class Search:
    """`[search]`: which keys of the recipe are tried with which values, and what a good run is.

    `space` maps "fit.learning_rate" to a list of values, or to {low, high, log} for random and TPE search.
    `objectives` are names among quality, group_gap, epsilon and energy.
    """

    __pydantic_config__ = STRICT

    method: Literal["grid", "random", "tpe"] = "random"
    trials: int = 20
    objectives: tuple[Literal["quality", "group_gap", "epsilon", "energy"], ...] = ("quality",)
    space: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Monitor:
    """`[monitor]`: where curves go while training runs. `tensorboard` and `wandb` (offline) are folders."""

    __pydantic_config__ = STRICT

    tensorboard: str | None = None
    wandb: str | None = None
    every: int = 1


@dataclass(frozen=True)
class Metering:
    """`[energy]`: what turns seconds into grams.

    `country` is an ISO 3166 code of three letters; `intensity` (g/kWh) goes before it. `predictions` are counted over
    the lifetime of the model.
    """

    __pydantic_config__ = STRICT

    country: str | None = None
    intensity: float | None = None
    also: Literal["codecarbon"] | None = None
    watts: float | None = None
    embodied_kg: float | None = None
    lifespan_years: float = 4.0
    predictions: float = 1_000_000
