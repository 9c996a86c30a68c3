"""A model that was trained already: what a criterion would cost it, method by method and strength by strength."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from rai.card import Head
from rai.errors import InputError
from rai.ledger import Mitigation, Trial
from rai.networks.odds import logits
from rai.train.batches import Rows
from rai.train.fair.checks import require_defined, require_fair
from rai.train.fair.choice import Choice, chosen
from rai.train.fair.fitting import fit_fair
from rai.train.fair.frontier import STRENGTHS, Frontier
from rai.train.fair.gaps import measured
from rai.train.fair.points import BASELINE
from rai.train.fair.seen import Reading
from rai.train.fair.sensitive import Marked, marked
from rai.train.fair.thresholds import adjustable, require_classes
from rai.train.fair.watched import outputs_of
from rai.train.settings import Fair, Fit
from rai.train.splits import split, strata
from rai.train.trained import Trained

METHODS = ("threshold", "gap_penalty", "adversarial")
"""Those that begin with a trained network; the others train anew."""
SHARES = (0.3, 0.5)
"""Of all rows, the share that is kept apart from learning, and of that the share that points are chosen by."""
MEASURED = "15 % of the reference rows, which the baseline may have learned from and its mitigation did not"
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Aim:
    """What a trained model is mitigated by: a criterion, how near to 0 its gap, and a method at some strengths.

    Of the points tried, the most accurate is kept whose gap is at most `at_most` in the mean over `seeds`.
    """

    criterion: str = "equalized_odds"
    sensitive: tuple[str, ...] = ()
    method: str = "threshold"
    at_most: float = 0.02
    strengths: tuple[float, ...] = ()
    seeds: int = 3
    seed: int = 0

    @property
    def tried(self) -> tuple[float, ...]:
        """The strengths that are tried: those asked for, or else the usual ones of the method."""
        return tuple(dict.fromkeys(self.strengths)) or STRENGTHS[self.method]

    def fair(self, strength: float) -> Fair:
        """Return what training is asked for at one strength."""
        said = {"criterion": self.criterion, "sensitive": self.sensitive, "method": self.method, "strength": strength}
        return Fair(**said)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Chosen:
    """The whole curve, which of its points was chosen, and what the first seed gave there."""

    trained: Trained
    choice: Choice
    curve: Frontier
    sensitive: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """Rows to learn from, to seek on, and to choose by; no row is in two of them."""

    learn: Rows
    seek: Rows
    choose: Rows

    @property
    def sizes(self) -> dict[str, int]:
        """How many rows each part has."""
        return {"learn": len(self.learn), "seek": len(self.seek), "choose": len(self.choose)}


@dataclass(frozen=True)
class Bench:
    """A trained network on the bench: how it is read, its rows with groups, and what is wanted of it."""

    base: nn.Module
    reading: Reading
    marks: Marked
    parts: Parts
    aim: Aim
    settings: Fit


def chosen_for(base: nn.Module, rows: Rows, aim: Aim, *, reading: Reading, settings: Fit, tell: Tell) -> Chosen:
    """Try each strength with each seed on rows with groups, and choose; the network handed in stays as it is.

    Raises `InputError` for a method that trains anew or learns no such task, for rows too few, and where no trial has a
    gap.
    """
    _require_learnable(rows, aim, reading)
    marks = marked(rows, aim.sensitive)
    bench = Bench(base, reading, marks, _parts(marks.rows, aim.seed), aim, settings)
    seeds = range(aim.seed, aim.seed + aim.seeds)
    plain = _measured(bench, base, Trial(BASELINE, 0.0, aim.seed))  # the same whatever the seed
    trials = [replace(plain, seed=seed) for seed in seeds]
    kept: dict[float, Trained] = {}
    for done, made in enumerate(each for seed in seeds for each in _made(bench, seed)):
        trials.append(made.trial)
        kept.setdefault(made.trial.strength, made.trained)
        tell(done + 1, len(seeds) * len(aim.tried), f"strength {made.trial.strength:g}")
    curve = Frontier(tuple(trials), aim.criterion)
    choice = chosen(curve, aim.at_most)
    found = kept[choice.point.strength]
    ledger = replace(found.ledger, data=marks.rows.fingerprint, split=bench.parts.sizes)
    return Chosen(replace(found, ledger=ledger), choice, curve, marks.names)


def require_aim(aim: Aim) -> None:
    """Raise `InputError` for the first word of an aim that makes no sense, whatever the model is."""
    if aim.method not in METHODS:
        what = f"is {aim.method!r}"
        expected = f"one of {', '.join(METHODS)}, which begin with a trained model"
        raise InputError(what, where="method", expected=expected)
    if aim.seeds < 1:
        raise InputError(f"is {aim.seeds}", where="seeds", expected="a whole number from 1")
    if not 0 <= aim.at_most < 1:
        raise InputError(f"is {aim.at_most:g}", where="at_most", expected="a gap from 0 to 1")
    for each in aim.tried:
        require_fair(aim.fair(each))


def _require_learnable(rows: Rows, aim: Aim, reading: Reading) -> None:
    require_aim(aim)
    require_defined(aim.fair(aim.tried[0]), rows.task)
    if aim.method == "threshold":
        require_classes(rows)
    elif reading.head in {Head.PROBABILITY, Head.PROBABILITIES}:
        what = f"is {aim.method!r}, and the model's outputs are probabilities, which cannot learn further"
        raise InputError(what, where="method", expected="'threshold'")


def _parts(rows: Rows, seed: int) -> Parts:
    """Deal the rows out by label and group."""
    first = _halves(rows, SHARES[0], seed)
    second = _halves(first[1], SHARES[1], seed)
    return Parts(first[0], second[0], second[1])


def _halves(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    found = split(strata(rows.targets.numpy(), rows.groups), share, seed)
    if not len(found.held) or not len(found.kept):
        raise InputError("are too few to be dealt into three parts", where="reference rows", do="name more of them")
    return rows.take(torch.from_numpy(found.kept)), rows.take(torch.from_numpy(found.held))


@dataclass(frozen=True)
class Made:
    """One trial, and what was trained for it."""

    trial: Trial
    trained: Trained


def _made(bench: Bench, seed: int) -> Iterator[Made]:
    """Each strength with one seed, in order."""
    settings, started = replace(bench.settings, seed=seed), time.process_time()
    train = _adjusted if bench.aim.method == "threshold" else _further
    for strength, trained in zip(bench.aim.tried, train(bench, settings), strict=True):
        spent = time.process_time() - started
        said = Trial(bench.aim.method, strength, seed, cpu_seconds=spent, warnings=trained.ledger.warnings)
        yield Made(_measured(bench, trained.model, said), trained)
        started = time.process_time()


def _adjusted(bench: Bench, settings: Fit) -> Iterator[Trained]:
    """All strengths share one network that tells groups apart: the ledger is that of its training."""
    learn, seek, fair = bench.parts.learn, bench.parts.seek, bench.aim.fair(1.0)
    found = adjustable(bench.base, learn, bench.marks.attributes, fair, settings, seek, reading=bench.reading)
    if found.groups is None:
        raise RuntimeError("no network tells the groups apart")
    details = {"thresholds sought on": found.on, "epochs are those of": "the network that tells groups apart"}
    for each in bench.aim.tried:
        told = Mitigation(fair.criterion, bench.marks.names, fair.method, each, measured_on=MEASURED, details=details)
        yield Trained(found.at(each), replace(found.groups.ledger, mitigation=told))


def _further(bench: Bench, settings: Fit) -> Iterator[Trained]:
    """The network itself learns further, from where it was each time."""
    for each in bench.aim.tried:
        fair, parts = bench.aim.fair(each), bench.parts
        yield fit_fair(bench.base, parts.learn, fair=fair, settings=settings, validation=parts.seek)


def _measured(bench: Bench, module: nn.Module, trial: Trial) -> Trial:
    """The trial with what its module does on the rows to choose by."""
    rows, outputs = bench.parts.choose, outputs_of(module.eval(), bench.parts.choose).float()
    if module is bench.base:
        outputs = logits(outputs, bench.reading.head)
    values = measured(
        rows.task,
        outputs.numpy(),
        rows.targets.numpy(),
        rows.sensitive,
        bench.marks.attributes,
        threshold=bench.reading.threshold,
    )
    return replace(trial, values=values)
