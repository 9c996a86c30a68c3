"""May these explanations be believed?

Holds several explanation methods against the same model: whether the features that they name also move the score, more
than features named at random would, whether the explanations stay the same when they should and change when they
should, and whether the model answers the made-up rows that explainers use as it answers real ones. Sources: Yeh et al.
2019 (arXiv:1901.09392); Slack et al. 2020 (arXiv:1911.02508); Edin et al. 2024 (arXiv:2408.08137); Hedström et al. 2024
(arXiv:2405.02383); EU AI Act Art. 13(3)(b) and 86.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rai.audits._explained import explained, sampled_rows
from rai.audits._lift import guarded, joined, lift, undefined
from rai.audits.faithfulness import exhibits
from rai.audits.faithfulness.trials import COMPLETE, Case, Trial, Untried, case_of, measured, tried
from rai.evidence import SMALLEST_CELL, Evidence, Exhibit, Measurement
from rai.explainers.scaffolding import Scaffolding, recognised, scaffolding
from rai.stats.means import mean_estimate
from rai.stats.ranking import delong
from rai.subject import Floats, Subject

NEEDS = ("features",)
MEASURES = (
    "deletion_gain",
    "insertion_gain",
    "completeness_gap",
    "infidelity",
    "max_sensitivity",
    "randomisation_similarity",
    "stability",
    "rank_stability",
    "sampling_error",
    "shapley_distance",
    "scaffolding_gap",
    "mixed_rows_recognised",
)
REAL = 4000
FEWEST_REAL = 100
UNSIGNED = "Most attention values have no sign: they cannot tell what speaks for an answer from what speaks against it."
METHOD = (
    "Each method explains the same rows, drawn at random; features left out take the values of a few other rows. "
    "Deletion gain: how much faster the score falls when features go in the method's order than in random orders, "
    "where 2 spans from the best to the worst order found: 0 is no better than chance, 1 about the best. Insertion "
    "gain: the same for the order turned round. Completeness gap: what the values miss of the score less the "
    "background's. Infidelity: how badly the values foretell what the score loses without random sets of features, 0 "
    "exactly and 1 not at all. The following are taken from some of the rows. Sensitivity: largest relative change of "
    "the values when numbers move by up to 2 % of their spread. Randomisation similarity: rank correlation with the "
    "explanation of the same model after its parameters were drawn anew; near 1 the method does not look at what the "
    "model learned. Stability: share of the top features that two seeds have in common, and Kendall's tau. Sampling "
    "error: standard error of one run, over the mean size of a value. Intervals are over rows. Scaffolding gap: some "
    "small models, stand-ins, are taught the model's answers on real rows, others those on rows made up as explainers "
    "make them; the share of influence that the two kinds put on different features, less what stand-ins of one kind "
    "differ, is about 0 for a model that follows one rule on both; its interval is over stand-ins."
)


def measure(subject: Subject) -> Evidence:
    """Put several explanation methods on trial, and the model for scaffolding."""
    if not subject.data.rows or not subject.data.players:
        return Evidence((undefined("deletion_gain", "there is nothing to explain"),), method=METHOD)
    case = case_of(subject)
    return joined([_tried(subject, case), scaffolded(subject, case)], METHOD)


def _tried(subject: Subject, case: Case) -> Evidence:
    found = tuple(tried(case))
    trials = [each for each in found if isinstance(each, Trial)]
    untried = [each for each in found if isinstance(each, Untried)]
    return _compared(subject, case, trials, untried)


def _compared(subject: Subject, case: Case, trials: Sequence[Trial], untried: Sequence[Untried]) -> Evidence:
    rng = subject.rng("faithfulness intervals")
    found = {each.name: {name: measured(each, name, rng) for name in _names(each)} for each in trials}
    gains = {name: numbers["deletion_gain"] for name, numbers in found.items()}
    said = exhibits.words(gains, _attainable(case))
    shapes: list[Exhibit] = [exhibits.table(found, said, untried)]
    if trials and np.isfinite(case.controls.best.areas).sum() >= SMALLEST_CELL:
        shapes += [exhibits.curve(case, trials, explained(subject).scale), exhibits.heat(trials)]
    every = tuple(each for numbers in found.values() for each in numbers.values())
    return Evidence(every, tuple(shapes), caveats=_caveats(case, found))


def _names(found: Trial) -> tuple[str, ...]:
    """The measurements of a method; only some methods promise that values add up."""
    promised = ("completeness_gap",) if found.name in COMPLETE else ()
    return (
        "deletion_gain",
        "insertion_gain",
        *promised,
        *(each for each in found.numbers if not each.endswith("gain")),
    )


def _attainable(case: Case) -> Measurement | None:
    """The gain of the best order found."""
    gains = case.controls.gain(case.controls.best)
    known = gains[np.isfinite(gains)]
    return lift(mean_estimate(known), "deletion_gain") if len(known) else None


def _caveats(case: Case, methods: Collection[str]) -> tuple[str, ...]:
    rows, compared = case.question.data.rows, case.question.background.rows
    return (
        f"Methods were compared on {rows} rows against {compared} others.",
        "A method that beats a random order can still be wrong about a single row.",
        *((UNSIGNED,) if any(each.startswith("attention") for each in methods) else ()),
    )


def scaffolded(subject: Subject, case: Case) -> Evidence:
    """Does the model behave differently on the rows that explainers make up?"""
    names = ("scaffolding_gap", "mixed_rows_recognised")
    if subject.data.kind != "table" or subject.data.rows < FEWEST_REAL or len(subject.data.players) < 2:
        reason = f"tried for tables of two features and {FEWEST_REAL} rows or more"
        return Evidence(tuple(undefined(name, reason) for name in names))
    rows = sampled_rows(subject, REAL, "faithfulness stand-ins")
    real, scores = subject.data.take(rows), explained(subject).of(subject.scores[rows])
    found = scaffolding(case.question, case.outputs, real, scores)
    seen = recognised(real, subject.rng("faithfulness mixed rows"))
    gaps = [_gap(each, name, len(rows)) for name, each in found.items()]
    told = (*gaps, lift(delong(seen.mixed, seen.looks), names[1]))
    known = {name: each for name, each in found.items() if isinstance(each, Scaffolding)}
    return Evidence(told, (exhibits.shares_table(known),), caveats=(_fit(known),)) if known else Evidence(told)


def _gap(found: Scaffolding | str, made_up: str, rows: int) -> Measurement:
    facet = {"made up": made_up}
    if isinstance(found, str):
        return undefined("scaffolding_gap", found, facet=facet, unit="share")
    about = mean_estimate(found.gaps)
    return guarded(
        Measurement(
            "scaffolding_gap",
            about.value,
            about.low,
            about.high,
            rows,
            facet=facet,
            unit="share",
            method=f"{about.method} over {about.rows} pairs of stand-ins",
            reason=about.reason,
        )
    )


def _fit(found: Mapping[str, Scaffolding]) -> str:
    real = next(iter(found.values())).real
    made_up = [f"{_share(each.made_up.fit):.0%} on rows made up {name}" for name, each in found.items()]
    return (
        f"The stand-ins explain {_share(real.fit):.0%} of the model's answers on real rows that they were not taught, "
        f"{' and '.join(made_up)}; the less they do, the less the scaffolding gap says."
    )


def _share(fit: Floats) -> float:
    return float(np.clip(fit, 0, 1).mean())
