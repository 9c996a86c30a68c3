"""What sites that lie or break would cost: the federation trained anew under each attack, joined by each strategy.

Every update goes through the checks of `rai.train.federated.validation`, as in any training, and the model is measured
where nobody lied: on the rows that honest sites hold back.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rai.errors import InputError
from rai.ledger import Ledger, StressRun, StressTest
from rai.train.federated.attacks import dishonest
from rai.train.federated.book import Sheet
from rai.train.federated.job import Job
from rai.train.federated.local import replies_of, run_local
from rai.train.federated.site import learned
from rai.train.federated.strategies import arguments_of
from rai.train.loop import Moment, Watch
from rai.train.settings import Strategy, Stress

NONE = "none"
DRAW = 0x57E55
USUAL: Strategy = "fedavg"
CUT = "the stress test was interrupted after {done} of {of} trainings"
UNMEASURED = "the model could not be measured at any honest site: none holds rows back, or its loss is no number there"


@dataclass(frozen=True)
class Training:
    """One training of a stress test: the job by one strategy, and what some sites do to it ("none": nothing)."""

    job: Job
    attack: str

    @property
    def strategy(self) -> str:
        """How updates are joined."""
        return self.job.federated.strategy


@dataclass(frozen=True)
class Plan:
    """What is tried, which sites attack (from 0), and all trainings in order."""

    stress: Stress
    attackers: tuple[int, ...]
    trainings: tuple[Training, ...]


@dataclass(frozen=True)
class Outcome:
    """What the model of one training is worth to honest sites, None where nobody could tell, and the account of it."""

    worth: float | None
    run: StressRun


def planned(job: Job) -> Plan | None:
    """Return what a stress test of this federation does, None where none is asked for.

    Raises `InputError` for a single site, and for a strategy that needs more replies in a round than there are.
    """
    stress = job.federated.stress
    if stress is None:
        return None
    if len(job.sites.parts) < 2:
        raise InputError("is given, and there is one site", where="federated.stress", expected="two sites or more")
    names = stress.strategies or _usual(job.federated.strategy)
    attacks = (NONE, *stress.attacks)
    jobs = [_joined_by(name, job, stress) for name in names]
    trainings = tuple(Training(each, attack) for each in jobs for attack in attacks)
    return Plan(stress, attackers_of(stress.share, len(job.sites.parts), job.fit.seed), trainings)


def attackers_of(share: float, sites: int, seed: int) -> tuple[int, ...]:
    """Return which sites attack, from 0 and in order: a share of them, at least one and not all, drawn by the seed."""
    many = min(max(1, round(share * sites)), sites - 1)
    drawn = np.random.default_rng([seed, DRAW]).choice(sites, size=many, replace=False)
    return tuple(sorted(drawn.tolist()))


def with_stress(ledger: Ledger, plan: Plan | None, watch: Watch | None = None) -> Ledger:
    """Do all trainings of the plan, and return the ledger with what came of them; without a plan, as it was.

    The ledger's own seconds stay those of the real training. `watch` hears of every round. Ctrl-C ends the test, and
    what was tried until then is entered, with a warning.
    """
    federation = ledger.federation
    if plan is None or federation is None:
        return ledger
    started, found = time.perf_counter(), list[Outcome]()
    try:
        for place in range(len(plan.trainings)):
            found.append(_tried(plan, place, watch))
    except KeyboardInterrupt:  # the model is trained, and Ctrl-C is meant for what comes after it
        cut = CUT.format(done=len(found), of=len(plan.trainings))
        ledger = replace(ledger, warnings=(*ledger.warnings, cut))
    if not found:
        return ledger
    test = _account(plan, found, time.perf_counter() - started)
    worths = {each.run.strategy: _worths(found, each.run.strategy) for each in found}
    return replace(ledger, federation=replace(federation, stress=worths, stress_test=test))


def _usual(own: Strategy) -> tuple[Strategy, ...]:
    return (own,) if own == USUAL else (own, USUAL)


def _joined_by(name: Strategy, job: Job, stress: Stress) -> Job:
    """The job with updates joined in this way, and nothing done beside training."""
    own = name == job.federated.strategy
    federated = replace(
        job.federated,
        strategy=name,
        arguments=job.federated.arguments if own else {},
        rounds=stress.rounds or job.federated.rounds,
        runtime="local",
        vmap=False,
        jobs=1,
        alone=False,
        contributions=False,
        stress=None,
    )
    arguments = arguments_of(federated, job.fit, replies_of(federated.share, len(job.sites.parts)))
    return replace(job, federated=federated, arguments=arguments)


def _tried(plan: Plan, place: int, watch: Watch | None) -> Outcome:
    """Train once; where no reply could be joined at all there is a reason in place of a number."""
    one = plan.trainings[place]
    book: list[Sheet] = []

    def heard(sheet: Sheet) -> None:
        book.append(sheet)
        if watch is not None:
            watch.step(_moment(plan, place, sheet.number))

    liars = () if one.attack == NONE else plan.attackers
    reason = ""
    try:
        run_local(one.job, heard, {site: dishonest(learned, one.attack, plan.stress.scale) for site in liars})
    except InputError as error:
        reason = str(error).removeprefix("federated: ")
    return _outcome(one, plan.attackers, book, reason)


def _moment(plan: Plan, place: int, number: int) -> Moment:
    rounds, runs = plan.trainings[place].job.federated.rounds, len(plan.trainings)
    return Moment(place * rounds + number, runs * rounds, place + 1, runs, None, part="stress run")


def _outcome(one: Training, attackers: Sequence[int], book: Sequence[Sheet], reason: str) -> Outcome:
    names = one.job.sites.names
    excluded = {names[site]: many for site, many in enumerate(_left_out(book, len(names))) if many}
    measured = {} if reason or not book else _measured(book[-1], attackers)
    rows = sum(measured.values())
    told = StressRun(one.strategy, one.attack, rows, excluded, reason or ("" if rows else UNMEASURED))
    return Outcome(_mean(book[-1], measured) if rows else None, told)


def _left_out(book: Sequence[Sheet], sites: int) -> Iterator[int]:
    """In how many rounds each site's update was left out."""
    return (sum(site in sheet.excluded for sheet in book) for site in range(sites))


def _measured(sheet: Sheet, attackers: Sequence[int]) -> dict[int, int]:
    """Held-out rows of each honest site that could measure the common model."""
    seen = {site: each for site, each in sheet.evaluations.items() if site not in attackers}
    known = {site: each for site, each in sorted(seen.items()) if each.accuracy is not None}
    return {site: each.examples for site, each in known.items() if math.isfinite(each.accuracy or 0.0)}


def _mean(sheet: Sheet, measured: Mapping[int, int]) -> float:
    """What the common model is worth over these sites' rows, each site counting with as many as it has."""
    worths = [(sheet.evaluations[site].accuracy or 0.0) * rows for site, rows in measured.items()]
    return sum(worths) / sum(measured.values())


def _worths(found: Sequence[Outcome], strategy: str) -> dict[str, float]:
    return {each.run.attack: each.worth for each in found if each.run.strategy == strategy and each.worth is not None}


def _account(plan: Plan, found: Sequence[Outcome], seconds: float) -> StressTest:
    first = plan.trainings[0].job
    return StressTest(
        tuple(first.sites.names[site] for site in plan.attackers),
        plan.stress.share,
        plan.stress.scale,
        first.federated.rounds,
        tuple(each.run for each in found),
        {each.strategy: dict(each.job.arguments) for each in plan.trainings},
        seconds,
    )
