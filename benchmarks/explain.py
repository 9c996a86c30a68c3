"""How close to the exact Shapley values, and how fast, beside shap and captum at the same number of model evaluations?

Baseline Shapley values of trained 64-64 networks against one background row; one thread, processor time; every method
asked about the same function, each rival in its best documented setting and its default; a method that is not installed
is named. Then networks of 48 to 128 inputs that are sums of blocks, so that the truth is known; exact values; and
global Shapley values of 1,000 rows with 100 background rows in Adult's shape. Further benchmarks: `explain_*.py`.
"""

from benchmarks.common import Bound, fix_threads, main, peak_mib

fix_threads()

import time  # noqa: E402 - after the threads are fixed
import warnings  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from functools import partial  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

from benchmarks.audit import CATEGORIES, people  # noqa: E402
from benchmarks.explain_nets import Case, Explainer, blocks, cancer, demand, mixed, relative_error, trained, tried  # noqa: E402
from benchmarks.explain_rivals import SHAPIQ, of_many_inputs, rivals, shap_exact  # noqa: E402
from rai.explainers import Attribution, shapley_values  # noqa: E402
from rai.subject import Floats, Player  # noqa: E402

torch.set_num_threads(1)
HOURLY, THREES, CANCER = "demand, n=12", "threes, n=16", "cancer, n=12"
BOUNDS = (
    *(Bound(f"{name}: relative error, rai", at_most=3e-4) for name in (HOURLY, CANCER)),
    Bound(f"{THREES}: relative error, rai", at_most=1.6e-3),
    *(Bound(f"{name}: error, shap.Kernel(l1_reg=0) / rai", at_least=10) for name in (HOURLY, THREES, CANCER)),
    Bound(f"{HOURLY}: error, captum.KernelShap / rai", at_least=100),
    *(Bound(f"{name}: time for 100 rows, shap.Kernel(l1_reg=0) / rai", at_least=10) for name in (HOURLY, THREES)),
    Bound(f"{HOURLY}: time for 1 row, shap.Kernel(l1_reg=0) / rai", at_least=1),
    *(Bound(f"{name}: truth within 1.96 standard errors", at_least=0.93) for name in (HOURLY, THREES, CANCER)),
    Bound("exact, n=12: rai, ms a row", at_most=15),
    Bound("Adult's shape, 1,000 rows × 100, global Shapley, seconds", at_most=30),
)


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """All tracks; rivals that are not installed are named first."""
    if not SHAPIQ:
        print("shapiq: not run, not installed")
    warnings.simplefilter("ignore")  # rivals warn about their own defaults
    return {
        **baseline(HOURLY, demand(), 480, quick=quick),
        **baseline(THREES, mixed(16), 640, quick=quick),
        **baseline(CANCER, cancer(12), 480, quick=quick),
        **all_coalitions(quick=quick),
        **many_inputs(quick=quick),
        **adult(quick=quick),
        "peak memory, MiB": peak_mib(),
    }


def ours(case: Case, rows: Floats, evaluations: int | None = None, seed: int = 0) -> Floats:
    """The values that rai gives."""
    return answered(case, rows, evaluations, seed).values


def answered(case: Case, rows: Floats, evaluations: int | None, seed: int = 0) -> Attribution:
    """What rai answers, with standard errors."""
    rng = np.random.default_rng(seed)
    return shapley_values(case.score, rows, case.background, case.players, rng, evaluations=evaluations)


def baseline(name: str, case: Case, evaluations: int, *, quick: bool) -> dict[str, float]:
    """Errors at equal evaluations, and milliseconds a row for 1, 10 and 100 rows."""
    truth = ours(case, case.rows, evaluations=2 ** case.rows.shape[1])
    figures = against_truth(name, case, truth, evaluations, seeds=2 if quick else 10)
    for count in (1, 10, 100) if quick else (1, 10, 100, 1000):
        more = Case(case.name, case.module, np.resize(case.rows, (count, case.rows.shape[1])), case.background)
        mine = tried(more, partial(ours, evaluations=evaluations), count, repeats={1: 15, 1000: 1}.get(count, 3))
        figures[f"{name}: rai, ms a row, {count} rows"] = mine.milliseconds
    for rival, (explain, rows) in rivals(evaluations, quick=quick).items():
        theirs, single = tried(case, explain, rows), tried(case, explain, 1, repeats=1 if "captum" in rival else 9)
        error = relative_error(theirs.values, truth[:rows])
        figures |= {
            f"{name}: relative error, {rival}": error,
            f"{name}: error, {rival} / rai": error / figures[f"{name}: relative error, rai"],
            f"{name}: {rival}, evaluations a row": theirs.evaluations,
            f"{name}: {rival}, ms a row": theirs.milliseconds,
            f"{name}: time for 100 rows, {rival} / rai": theirs.milliseconds
            / figures[f"{name}: rai, ms a row, 100 rows"],
            f"{name}: time for 1 row, {rival} / rai": single.milliseconds / figures[f"{name}: rai, ms a row, 1 rows"],
        }
    return figures


def against_truth(name: str, case: Case, truth: Floats, evaluations: int, *, seeds: int) -> dict[str, float]:
    """Errors of rai over all rows and several seeds, of rows in company and alone; what its standard errors say."""
    found = [answered(case, case.rows, evaluations, seed) for seed in range(seeds)]
    alone = [ours(case, row[None], evaluations, place) for place, row in enumerate(case.rows[:20])]
    misses = np.array([np.abs(each.values - truth) for each in found])
    return {
        f"{name}: relative error, rai": float(np.mean([relative_error(each.values, truth) for each in found])),
        f"{name}: relative error, rai, each row alone": relative_error(np.concatenate(alone), truth[:20]),
        f"{name}: truth within 1.96 standard errors": float(
            (misses <= 1.96 * np.array([each.error for each in found])).mean()
        ),
        f"{name}: rai, evaluations a row": found[0].rows_scored / len(case.rows),
    }


def all_coalitions(*, quick: bool) -> dict[str, float]:
    """Exact values, n = 12 and 16."""
    small, large = demand(), mixed(16)
    mine, theirs = tried(small, ours, 20, repeats=5), tried(small, shap_exact, 3 if quick else 10)
    big = tried(large, partial(ours, evaluations=2**16), 2 if quick else 5)
    return {
        "exact, n=12: rai, ms a row": mine.milliseconds,
        "exact, n=12: shap.Exact, ms a row": theirs.milliseconds,
        "exact, n=12: largest difference": float(np.abs(theirs.values - mine.values[: len(theirs.values)]).max()),
        "exact, n=16: rai, ms a row": big.milliseconds,
    }


def many_inputs(*, quick: bool) -> dict[str, float]:
    """Sums of blocks of eight inputs at 40 evaluations an input."""
    figures: dict[str, float] = {}
    for count in (6,) if quick else (6, 8, 16):
        case, singles = blocks(count)
        truth = np.concatenate([ours(each, each.rows) for each in singles], axis=1)
        evaluations, rows = 40 * 8 * count, 2 if quick else 4
        mine: dict[str, tuple[Explainer, int]] = {"rai": (partial(ours, evaluations=evaluations), 20)}
        methods = mine | dict(of_many_inputs(evaluations, rows))
        for name, (explain, asked) in methods.items():
            found = tried(case, explain, asked)
            figures[f"blocks, n={8 * count}: relative error, {name}"] = relative_error(found.values, truth[:asked])
            figures[f"blocks, n={8 * count}: ms a row, {name}"] = found.milliseconds
    return figures


def adult(*, quick: bool) -> dict[str, float]:
    """Global Shapley values of 12 columns that are 98 inputs; the exact values of 20 rows stand beside them."""
    inputs, label, players = encoded(people(10_000, 0))
    case = Case("adult", trained(inputs, label, hidden=(64, 32), epochs=3), inputs[:1000], inputs[5000:5100])
    rows = case.rows[:200] if quick else case.rows

    def shared(rows: Floats, evaluations: int | None = None) -> Attribution:
        rng = np.random.default_rng(0)
        return shapley_values(case.score, rows, case.background, players, rng, evaluations=evaluations)

    began = time.process_time()
    found = shared(rows, 240)
    seconds = time.process_time() - began
    truth = shared(rows[:20], 2**12)
    means, doubt = np.abs(found.values).mean(axis=0), found.error.mean(axis=0)
    return {
        "Adult's shape, 1,000 rows × 100, global Shapley, seconds": seconds * 1000 / len(rows),
        "Adult's shape, coalitions a row": 240,
        "Adult's shape, million rows scored a second": found.rows_scored / seconds / 1e6,
        "Adult's shape, largest standard error of a mean / largest mean": float(doubt.max() / means.max()),
        "Adult's shape, relative error of 20 rows": relative_error(found.values[:20], truth.values),
    }


def encoded(frame: pd.DataFrame) -> tuple[Floats, Floats, tuple[Player, ...]]:
    """Six scaled numbers and six one-hot categories, the label as ±1, and which inputs each column became."""
    numbers = [((frame[f"number {i}"] - 40) / 12).to_numpy()[:, None] for i in range(6)]
    dummies = [pd.get_dummies(frame[f"category {i}"]).to_numpy() for i in range(len(CATEGORIES))]
    ends = np.cumsum([each.shape[1] for each in (*numbers, *dummies)])
    starts = [0, *ends[:-1].tolist()]
    players = tuple(
        Player(f"column {i}", tuple(range(a, b))) for i, (a, b) in enumerate(zip(starts, ends.tolist(), strict=True))
    )
    label = np.where(frame["label"] == "yes", 1.0, -1.0)
    return np.concatenate([*numbers, *dummies], axis=1).astype(np.float32), label, players


if __name__ == "__main__":
    main("explain", measure_all, BOUNDS)
