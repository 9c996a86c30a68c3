"""One explanation method on trial: the numbers that say whether what it names also moves the model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from rai.audits._explained import question_of, sampled_rows
from rai.audits._lift import guarded, lift, undefined
from rai.errors import InputError
from rai.evidence import Measurement
from rai.explainers import Attribution, Question, method, quality
from rai.explainers.deletion import Controls, Fall, controls, fall
from rai.explainers.quality_boards import Board, boards
from rai.explainers.randomisation import randomisation
from rai.stats.bootstrap import bootstrap_rows
from rai.stats.estimates import Estimate
from rai.stats.means import mean_estimate
from rai.subject import Floats, Ints, Subject

METHODS = (
    "shapley",
    "lime_fast",
    "integrated_gradients",
    "occlusion",
    "grad_cam",
    "attention",
    "attention.rollout",
    "attention.gradient",
)
COMPLETE = frozenset({"shapley", "integrated_gradients"})
"""Methods that promise values that add up to the score less the background's."""
CHECKED = 10
FEWEST = 8
MOST_DISTANCE = 12
ALIKE = "counted in the rows at hand, which are all alike"
Explain = Callable[[Question], Attribution]


@dataclass(frozen=True)
class Size:
    """How much is asked for: rows, rows to compare with, and coalitions a feature for Shapley values."""

    rows: int
    background: int
    coalitions: int


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "table": Size(rows=32, background=10, coalitions=40),
        "sequence": Size(rows=20, background=5, coalitions=20),
        "image": Size(rows=12, background=3, coalitions=20),
        "text": Size(rows=12, background=1, coalitions=20),
    }
)
MOST_COALITIONS = 20_000
"""Of all rows together; with many features fewer rows are explained, but never fewer than 8."""


@dataclass(frozen=True)
class Case:
    """The rows on which methods are compared, and what any order of removal of theirs is held against.

    `outputs` (rows,) is the explained output of each. Of some rows, `again`, explanations are asked for again.
    """

    question: Question
    outputs: Ints
    played: tuple[Board, ...]
    controls: Controls
    probes: tuple[quality.Probes, ...]

    @property
    def again(self) -> Ints:
        """Positions of at most 10 of the rows, spread evenly."""
        rows = self.question.data.rows
        return np.unique(np.linspace(0, rows - 1, min(CHECKED, rows)).astype(np.int64))

    @property
    def few(self) -> Question:
        """The same question about those rows alone."""
        return replace(self.question, data=self.question.data.take(self.again))

    @cached_property
    def exact(self) -> Floats | None:
        """Exact Shapley values of those rows, where there are at most 12 features."""
        known = len(self.question.data.players) <= MOST_DISTANCE
        return quality.exact_values(self.few, self.outputs[self.again]) if known else None


@dataclass(frozen=True)
class Trial:
    """What one method's explanations showed. `numbers` holds one entry a row, or why there are none."""

    name: str
    attribution: Attribution
    fall: Fall
    numbers: Mapping[str, Floats | str]


@dataclass(frozen=True)
class Untried:
    """A method that could not be run, and why."""

    name: str
    reason: str


def case_of(subject: Subject) -> Case:
    """Draw the rows and everything that all methods are held against."""
    size = SIZES[subject.data.kind]
    most = MOST_COALITIONS // (size.coalitions * len(subject.data.players))
    rows = sampled_rows(subject, min(size.rows, max(FEWEST, most)), "faithfulness rows")
    question = question_of(subject, rows, background=size.background)
    count = question.full.shape[1]
    outputs = np.zeros(len(rows), np.int64) if count == 1 else np.asarray(subject.predicted[rows], dtype=np.int64)
    played = tuple(boards(question, outputs))
    rng = subject.rng("faithfulness orders")
    return Case(question, outputs, played, controls(played, len(rows), rng), quality.probes(played, rng))


def tried(case: Case, methods: Sequence[str] = METHODS) -> Iterator[Trial | Untried]:
    """Run each method, or say why it could not be run."""
    for name in methods:
        try:
            yield trial(case, name, explain_by(name))
        except InputError as problem:
            yield Untried(name, str(problem))
        except ImportError as problem:
            yield Untried(name, f"a package is missing: {problem}")


def explain_by(name: str) -> Explain:
    """The method of this name; Shapley values are given a fixed number of coalitions a feature."""
    explain = method(name)

    def budgeted(question: Question) -> Attribution:
        count, each = len(question.data.players), SIZES[question.data.kind].coalitions
        return explain(replace(question, budget=max(2 ** min(count, 8), each * count)))

    return budgeted if name == "shapley" else explain


def trial(case: Case, name: str, explain: Explain) -> Trial:
    """Explain the rows, and some of them again: with another seed, moved inputs, and a model that forgot."""
    found = explain(case.question).picked(np.asarray(case.outputs, dtype=np.int64))
    first = fall(case.played, found.values)
    told: dict[str, Floats | str] = {
        "deletion_gain": case.controls.gain(first),
        "insertion_gain": -case.controls.gain(fall(case.played, -found.values)),
        "infidelity": quality.infidelity(case.probes, found.values),
    }
    return Trial(name, found, first, {**told, **_again(case, name, explain)})


def _again(case: Case, name: str, explain: Explain) -> dict[str, Floats | str]:
    """What becomes of the explanations of the checked rows when one thing is changed."""
    asked, outputs = case.few, case.outputs[case.again]
    values = quality.picked(asked, explain, outputs)
    other = quality.picked(replace(asked, seed=asked.seed + 1), explain, outputs)
    told: dict[str, Floats | str] = {
        "stability": quality.jaccard(values, other),
        "rank_stability": quality.kendall(values, other),
        "sampling_error": quality.run_error(values, other),
        "max_sensitivity": _tried(lambda: quality.max_sensitivity(asked, explain, outputs, values)),
        "randomisation_similarity": _tried(lambda: randomisation(asked, explain, outputs, values)),
    }
    if name not in COMPLETE or case.exact is None:
        return told
    return {**told, "shapley_distance": quality.distance(values, case.exact)}


def _tried(ask: Callable[[], Floats]) -> Floats | str:
    try:
        return ask()
    except InputError as problem:
        return str(problem)


def measured(found: Trial, name: str, rng: np.random.Generator) -> Measurement:
    """One number of a method as a measurement: the mean over the rows with a t interval."""
    facet = {"method": found.name}
    if name == "completeness_gap":
        return _exactly(_completeness(found.attribution, rng), name, facet)
    given = found.numbers[name]
    if isinstance(given, str):
        return undefined(name, given, facet=facet)
    known = given[np.isfinite(given)]
    if not len(known):
        return undefined(name, "in no row is there anything to compare", rows=len(given), facet=facet)
    return _exactly(mean_estimate(known), name, facet)


def _exactly(found: Estimate, name: str, facet: Mapping[str, str]) -> Measurement:
    """A measurement; of rows that are all alike the value itself is the interval."""
    plain = lift(found, name, facet=facet)
    if plain.value is None or plain.low is not None or plain.rows < 2:
        return plain
    return guarded(replace(plain, low=plain.value, high=plain.value, method=ALIKE, reason=""))


def _completeness(found: Attribution, rng: np.random.Generator) -> Estimate:
    """How far the values miss what they should add up to, summed over the rows, as a share of it."""
    due = found.full - found.base
    missed, amount = np.abs(found.values.sum(axis=1) - due), np.abs(due)
    if not amount.sum() > 0:
        return Estimate(None, None, None, len(due), "", "every row scores as the background does")
    return bootstrap_rows(lambda weights: (weights @ missed) / np.maximum(weights @ amount, 1e-300), len(due), rng)
