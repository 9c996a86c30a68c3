"""What drives this model's decisions?"""

from dataclasses import replace

from rai.audits._lift import joined, undefined
from rai.audits.attribution.exhibits import direction_heat, spread_heat, time_heat, word_strip
from rai.audits.attribution.groups import group_evidence
from rai.audits.attribution.images import overlays
from rai.audits.attribution.importance import Ranked, importance_evidence, joined_evidence, ranked
from rai.audits.attribution.reasons import Explained, explained_sample, too_wide
from rai.audits.attribution.typical import typical_tables
from rai.evidence import Evidence, Exhibit
from rai.subject import Subject

NEEDS = ("features",)
MEASURES = (
    "importance",
    "importance_share",
    "dominant_share",
    "importance_gap",
    "sensitive_reliance",
    "proxy_reliance",
)
CAVEATS = (
    "Reasons are the model's, not the world's: a feature that moves the score need not cause the outcome.",
    "Features left out take values of other rows, so rows that cannot occur are scored too.",
    "Features that go together may share what one of them alone would bear.",
    "Groups can be told from several columns together; reliance on proxies looks at one column at a time.",
)


def measure(subject: Subject) -> Evidence:
    """Share out the scores of a sample of rows over the features: overall, by group, and in typical rows."""
    problem = too_wide(subject.data)
    if problem:
        return Evidence(tuple(undefined(name, problem) for name in MEASURES))
    found = explained_sample(subject)
    spoken = ranked(found.reasons, subject.rng("attribution draws"))
    parts = (
        importance_evidence(spoken, words=subject.data.kind == "text"),
        _pictures(subject, found, spoken),
        group_evidence(subject, _grouped(subject, spoken)),
    )
    whole = joined(parts, _method(found))
    return replace(whole, caveats=CAVEATS + whole.caveats)


def _pictures(subject: Subject, found: Explained, spoken: Ranked) -> Evidence:
    """What only one kind of data can show: typical rows, patches of a picture, parts of time, words."""
    match subject.data.kind:
        case "table":
            shapes: tuple[Exhibit, ...] = spread_heat(found.reasons) + direction_heat(subject, found.reasons)
            return Evidence((), (*shapes, *typical_tables(subject)))
        case "image":
            return Evidence((), (*spread_heat(found.reasons), *overlays(subject, found)))
        case "sequence":
            return _in_time(subject, spoken)
        case "text":
            return Evidence((), word_strip(found.reasons))


def _in_time(subject: Subject, spoken: Ranked) -> Evidence:
    """Shares by series and by part of time; a player is named "load, steps 1 to 6"."""
    reasons = spoken.reasons
    series, times = ([name.rpartition(", ")[side] for name in reasons.names] for side in (0, 2))
    rng = subject.rng("attribution time")
    by_series = joined_evidence(ranked(reasons.joined(series), rng), "series")
    by_time = joined_evidence(ranked(reasons.joined(times), rng), "time")
    pictures = Evidence((), (*time_heat(reasons, series, times), *spread_heat(reasons)))
    return joined((by_series, by_time, pictures), "")


def _grouped(subject: Subject, spoken: Ranked) -> Ranked:
    """What groups are compared by: of sequences whole series, so that a sensitive one is found by its name."""
    if subject.data.kind != "sequence":
        return spoken
    series = [name.rpartition(", ")[0] for name in spoken.reasons.names]
    return ranked(spoken.reasons.joined(series), subject.rng("attribution series"))


def _method(found: Explained) -> str:
    answer, question = found.attribution, found.question
    left_out = {
        "text": "a word left out becomes the mask token",
        "sequence": f"a part left out takes the values of {question.background.rows} rows in turn",
    }
    away = left_out.get(
        question.data.kind, f"a feature left out takes the values of {question.background.rows} rows in turn"
    )
    budget = f"at most {question.budget:,} coalitions of features a row" if question.budget else "all coalitions"
    return (
        f"Shapley values of {question.data.rows:,} test rows drawn at random, on the scale of the {answer.scale}: what "
        f"each feature adds to a row's score, so that all add up to it; {away}, and the mean counts. {budget} were "
        f"tried ({answer.rows_scored:,} rows scored in all); all of them give exact values, fewer leave the standard "
        "error that widens the intervals. Importance is the mean size of the values, a share its part of the sum over "
        "all features. Of several classes each row's predicted one is explained."
    )
