"""Does the verdict keep its level when there is nothing to find, where customary rules do not?

5,000 rows, ten intersectional groups (smallest 1.5 %), the same selection rate of 30 % in all. In each run: does rai's
gap test reject at .05, does the default policy say `fail`, does a percentile bootstrap interval of the gap exclude 0
(what fairlearn's MetricFrame reports), does the bare four-fifths rule fire? Then: how often the interval of a group's
rate covers the truth.
"""

from benchmarks.common import Bound, fix_threads, main

fix_threads()

from collections.abc import Mapping  # noqa: E402 - after the threads are fixed
from dataclasses import dataclass  # noqa: E402

import numpy as np  # noqa: E402

from rai.audits.fairness import measure  # noqa: E402
from rai.card import Card, Head  # noqa: E402
from rai.evidence import Measurement  # noqa: E402
from rai.models import from_scores  # noqa: E402
from rai.policy import Verdict, judge, read_policy  # noqa: E402
from rai.stats.bootstrap import multinomial  # noqa: E402
from rai.subject import Data, Groups, Ints, Subject, cross  # noqa: E402

ROWS, RATE, LEVEL, DRAWS = 5_000, 0.3, 0.05, 400
SHARES = np.array([0.6, 0.2, 0.1, 0.07, 0.03])
BOUNDS = (
    Bound("gap test rejects at .05, share of runs", at_most=0.07),
    Bound("default policy says fail, share of runs", at_most=0.02),
    Bound("interval of a group rate covers the truth, share", at_least=0.93),
)


@dataclass(frozen=True)
class Trial:
    """What each judge said in one run without any disparity."""

    rejects: bool
    fails: bool
    percentile: bool
    four_fifths: bool
    covered: float


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Shares over 300 runs (60 when quick)."""
    trials = [trial(seed) for seed in range(60 if quick else 300)]
    return {
        "runs": float(len(trials)),
        "gap test rejects at .05, share of runs": _share([each.rejects for each in trials]),
        "default policy says fail, share of runs": _share([each.fails for each in trials]),
        "percentile interval excludes 0, share of runs": _share([each.percentile for each in trials]),
        "bare four-fifths rule fires, share of runs": _share([each.four_fifths for each in trials]),
        "interval of a group rate covers the truth, share": float(np.mean([each.covered for each in trials])),
    }


def _share(answers: list[bool]) -> float:
    return float(np.mean(answers))


def trial(seed: int) -> Trial:
    """One run: draw people without any disparity, audit, judge."""
    rng = np.random.default_rng(seed)
    first = Groups("first", tuple("abcde"), rng.choice(5, size=ROWS, p=SHARES))
    second = Groups("second", ("x", "y"), rng.choice(2, size=ROWS))
    labels = (rng.random(ROWS) < RATE).astype(np.int64)
    score = np.where(rng.random(ROWS) < RATE, 0.9, 0.1)
    found = measure(_subject(labels, score, first, second, seed)).measurements
    policy = read_policy("default")
    fails = any(
        each.verdict is Verdict.FAIL for each in judge(policy, found, {}, "binary") if each.rule.id.startswith("FAIR")
    )
    gap = _named(found, "demographic_parity_difference", "first × second")
    ratio = _named(found, "demographic_parity_ratio", "first × second")
    return Trial(
        rejects=gap.p is not None and gap.p <= LEVEL,
        fails=fails,
        percentile=_percentile(cross(first, second), score >= 0.5, rng),
        four_fifths=ratio.value is not None and ratio.value < 0.8,
        covered=_covered(found),
    )


def _subject(labels: Ints, score: "np.ndarray", first: Groups, second: Groups, seed: int) -> Subject:
    card = Card(task="binary", head=Head.PROBABILITY, classes=("no", "yes"))
    nothing = np.zeros((ROWS, 0), dtype=np.float32)
    data = Data("table", nothing, nothing, labels, {"first": first, "second": second}, ())
    return Subject("nobody", from_scores(score[:, None], card).model, data, card, seed=seed)


def _named(found: tuple[Measurement, ...], name: str, attribute: str) -> Measurement:
    return next(each for each in found if each.name == name and each.facet["attribute"] == attribute)


def _percentile(groups: Groups, selected: "np.ndarray", rng: np.random.Generator) -> bool:
    """Whether the percentile interval of the gap, as MetricFrame's bootstrap gives it, excludes 0."""
    counts = np.stack([np.bincount(groups.codes[selected == answer], minlength=10) for answer in (False, True)], axis=1)
    drawn = multinomial(counts, DRAWS, rng)
    rates = drawn[:, :, 1] / np.maximum(drawn.sum(axis=2), 1)
    return bool(np.quantile(rates.max(axis=1) - rates.min(axis=1), 0.025) > 0)


def _covered(found: tuple[Measurement, ...]) -> float:
    rates = [each for each in found if each.name == "group_selection_rate" and each.low is not None]
    return float(np.mean([(each.low or 0.0) <= RATE <= (each.high or 0.0) for each in rates]))


if __name__ == "__main__":
    main("level", measure_all, BOUNDS)
