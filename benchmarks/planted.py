"""Does the auditor find flaws that were planted, and stay quiet about the clean twin?

Each subject is 3,000 generated people, a reference of 3,000 more and a model that knows the true chances; then one flaw
is planted and the whole audit runs under the default policy. Found: the flaw's own rule says `fail`. False alarm: any
rule says `fail` about a clean twin.
"""

from benchmarks.common import Bound, fix_threads, main

fix_threads()

from collections.abc import Callable, Mapping  # noqa: E402 - after the threads are fixed
from dataclasses import dataclass, replace  # noqa: E402

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import rai  # noqa: E402

ROWS = 3_000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Test rows with their labels, groups and the model's scores, and reference rows with theirs."""

    rows: Array
    labels: Array
    sex: NDArray[np.str_]
    scores: Array
    reference: Array
    reference_labels: Array

    def audit(self) -> rai.Report:
        """Audit the scores as a model that looks them up."""
        return rai.audit(
            lambda given: self.scores[: len(given)],
            self.rows,
            self.labels.astype(int),
            sensitive_features={"sex": self.sex},
            reference=(self.reference, self.reference_labels.astype(int)),
        )


def clean(seed: int) -> World:
    """Nothing to find: chances depend on four columns, the model states them, sex plays no part."""
    rng = np.random.default_rng(seed)
    rows, reference = rng.normal(size=(ROWS, 4)), rng.normal(size=(ROWS, 4))
    chances, reference_chances = _chance(rows), _chance(reference)
    return World(
        rows,
        (rng.random(ROWS) < chances).astype(float),
        rng.choice(["f", "m"], ROWS),
        chances,
        reference,
        (rng.random(ROWS) < reference_chances).astype(float),
    )


def _chance(rows: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-(rows @ np.array([1.5, -1.0, 0.5, 0.0])))))


def skewed_selection(world: World) -> World:
    """Women's chances are stated a third lower."""
    return replace(world, scores=np.where(world.sex == "f", world.scores * 0.67, world.scores))


def missed_chances(world: World) -> World:
    """A third of the deserving women are turned down, and as many undeserving ones let through."""
    women = world.sex == "f"
    turned = women & (world.labels == 1) & (np.arange(ROWS) % 3 == 0)
    passed = women & (world.labels == 0) & (np.arange(ROWS) % 3 == 0)
    return replace(world, scores=np.where(turned, 0.05, np.where(passed, 0.95, world.scores)))


def overconfident(world: World) -> World:
    """Every chance is pushed far towards 0 or 1."""
    pushed = 1 / (1 + (1 / world.scores - 1) ** 8)
    return replace(world, scores=pushed)


def useless(world: World) -> World:
    """The scores belong to other people."""
    return replace(world, scores=np.roll(world.scores, 1))


def leaking(world: World) -> World:
    """A column was recorded after the outcome and gives it away."""
    rows, reference = world.rows.copy(), world.reference.copy()
    rows[:, 3] += 9 * world.labels
    reference[:, 3] += 9 * world.reference_labels
    return replace(world, rows=rows, reference=reference)


def copied(world: World) -> World:
    """Five in a hundred test rows were trained on."""
    rows, labels = world.rows.copy(), world.labels.copy()
    rows[:150], labels[:150] = world.reference[:150], world.reference_labels[:150]
    return replace(world, rows=rows, labels=labels, scores=np.append(_chance(rows[:150]), world.scores[150:]))


FLAWS: Mapping[str, tuple[Callable[[World], World], str]] = {
    "skewed selection": (skewed_selection, "FAIR-01"),
    "missed chances of one group": (missed_chances, "FAIR-02"),
    "overconfident chances": (overconfident, "CAL-01"),
    "a useless model": (useless, "PERF-01"),
    "a leaking column": (leaking, "DATA-02"),
    "copied training rows": (copied, "DATA-01"),
}
BOUNDS = (
    *(Bound(f"{name}: found, share of runs", at_least=0.95) for name in FLAWS),
    Bound("clean twin: false alarm, share of runs", at_most=0.02),
)


def failed(report: rai.Report) -> set[str]:
    """Ids of the rules that say `fail`."""
    return {each.rule.id for each in report.findings if each.verdict is rai.Verdict.FAIL}


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Detection and false-alarm rates."""
    seeds = range(4 if quick else 50)
    worlds = [clean(seed) for seed in seeds]
    alarms = [bool(failed(world.audit())) for world in worlds]
    found = {
        f"{name}: found, share of runs": float(np.mean([rule in failed(plant(world).audit()) for world in worlds]))
        for name, (plant, rule) in FLAWS.items()
    }
    return {"runs": float(len(seeds)), **found, "clean twin: false alarm, share of runs": float(np.mean(alarms))}


if __name__ == "__main__":
    main("planted", measure_all, BOUNDS)
