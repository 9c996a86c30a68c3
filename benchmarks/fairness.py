"""How long do group metrics with intervals take, beside fairlearn's MetricFrame with its bootstrap?

Track 1: 50,000 rows, two attributes (5 × 2), six metrics, time per resample. fairlearn draws rows anew for each
resample; rai draws the confusion counts of each group from the multinomial distribution, which is the same bootstrap.
Track 2: rai alone, a million rows, two attributes and their intersection, ten metrics, 2,000 resamples; then the whole
fairness audit.
"""

from benchmarks.common import Bound, fix_threads, main, median_seconds, peak_mib

fix_threads()

import time  # noqa: E402 - after the threads are fixed
from collections.abc import Mapping  # noqa: E402

import numpy as np  # noqa: E402
from fairlearn import metrics as fl  # noqa: E402
from sklearn.metrics import accuracy_score, precision_score  # noqa: E402

from rai.audits.fairness import measure  # noqa: E402
from rai.card import Card, Head  # noqa: E402
from rai.models import from_scores  # noqa: E402
from rai.stats.bootstrap import multinomial  # noqa: E402
from rai.stats.confusion import METRICS, binary_counts  # noqa: E402
from rai.subject import Bools, Data, Floats, Groups, Ints, Subject  # noqa: E402

SIX = ("accuracy", "precision", "recall", "false_positive_rate", "false_negative_rate", "selection_rate")
TEN = (*SIX, "balanced_accuracy", "f1", "true_negative_rate", "negative_predictive_value")
RIVAL = {
    "accuracy": accuracy_score,
    "precision": precision_score,
    "recall": fl.true_positive_rate,
    "false_positive_rate": fl.false_positive_rate,
    "false_negative_rate": fl.false_negative_rate,
    "selection_rate": fl.selection_rate,
}
BOUNDS = (
    Bound("time per resample, fairlearn / rai", at_least=10_000),
    Bound("largest difference of a value from fairlearn", at_most=1e-12),
    Bound("1 M rows, 10 metrics, 2,000 resamples, seconds", at_most=3.0),
    Bound("1 M rows, whole fairness audit, seconds", at_most=3.0),
)


class People:
    """Generated rows: labels, scores, and two attributes of five and two groups."""

    def __init__(self, rows: int) -> None:
        rng = np.random.default_rng(0)
        self.first = Groups("first", tuple("abcde"), rng.choice(5, size=rows, p=[0.5, 0.25, 0.12, 0.08, 0.05]))
        self.second = Groups("second", ("x", "y"), rng.choice(2, size=rows))
        self.labels: Ints = (rng.random(rows) < 0.3).astype(np.int64)
        noise = rng.normal(size=rows)
        self.scores: Floats = 1 / (1 + np.exp(-(1.5 * self.labels - 1.0 + noise + 0.2 * self.second.codes)))

    def crossed(self) -> Groups:
        """Both attributes as one of ten groups."""
        levels = tuple(f"{a}{b}" for a in self.first.levels for b in self.second.levels)
        return Groups("both", levels, self.first.codes * 2 + self.second.codes)


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Both tracks."""
    return {**beside_fairlearn(quick=quick), **alone(), "peak memory, MiB": peak_mib()}


def beside_fairlearn(*, quick: bool) -> Mapping[str, float]:
    """Track 1: seconds per resample of both, and their ratio."""
    people, resamples, draws = People(50_000), 3 if quick else 100, 10_000
    groups = people.crossed()
    decided = people.scores >= 0.5
    began = time.perf_counter()
    plain = fl.MetricFrame(metrics=RIVAL, y_true=people.labels, y_pred=decided, sensitive_features=groups.codes)
    once = time.perf_counter() - began
    began = time.perf_counter()
    fl.MetricFrame(
        metrics=RIVAL,
        y_true=people.labels,
        y_pred=decided,
        sensitive_features=groups.codes,
        n_boot=resamples,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    theirs = (time.perf_counter() - began - once) / resamples
    ours = median_seconds(lambda: resampled(people.labels, decided, [groups], SIX, draws), 3) / draws
    counts = binary_counts(people.labels == 1, decided, groups.codes, len(groups.levels))
    apart = max(float(np.abs(METRICS[name](counts) - plain.by_group[name].to_numpy()).max()) for name in SIX)
    return {
        "fairlearn, seconds per resample": theirs,
        "rai, seconds per resample": ours,
        "time per resample, fairlearn / rai": theirs / ours,
        "largest difference of a value from fairlearn": apart,
    }


def resampled(labels: Ints, decided: Bools, attributes: list[Groups], names: tuple[str, ...], draws: int) -> None:
    """Count once, resample the counts, and take the quantiles of every metric in every group."""
    rng = np.random.default_rng(0)
    for groups in attributes:
        counts = binary_counts(labels == 1, decided, groups.codes, len(groups.levels))
        drawn = multinomial(counts, draws, rng)
        for name in names:
            np.nanquantile(METRICS[name](drawn), [0.025, 0.975], axis=0)


def alone() -> Mapping[str, float]:
    """Track 2: a million rows."""
    people = People(1_000_000)
    decided = people.scores >= 0.5
    attributes = [people.first, people.second, people.crossed()]
    counted = median_seconds(lambda: resampled(people.labels, decided, attributes, TEN, 2_000), 3)
    card = Card(task="binary", head=Head.PROBABILITY, classes=("no", "yes"))
    nothing = np.zeros((len(people.labels), 0), dtype=np.float32)
    both = {"first": people.first, "second": people.second}
    data = Data("table", nothing, nothing, people.labels, both, ())
    subject = Subject("people", from_scores(people.scores[:, None], card).model, data, card)
    subject.predicted  # noqa: B018 - scoring is not part of the figure
    return {
        "1 M rows, 10 metrics, 2,000 resamples, seconds": counted,
        "1 M rows, whole fairness audit, seconds": median_seconds(lambda: measure(subject), 3),
    }


if __name__ == "__main__":
    main("fairness", measure_all, BOUNDS)
