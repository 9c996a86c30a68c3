"""What other seeds and strengths gave: changes over seeds, the trade-off curve, and warnings of its trainings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rai.audits._exhibits import figure, floats, number
from rai.audits.training.tradeoffs import Point, front
from rai.evidence import Curve, Line, Measurement, Table, Text
from rai.ledger import Mitigation, Trial
from rai.stats.changes import welch_difference
from rai.stats.estimates import Estimate
from rai.stats.means import mean_estimate
from rai.subject import Floats

BASELINE = "none"
KEYS = ("accuracy", "r2", "demographic_parity_difference", "equalized_odds_difference", "equal_opportunity_difference")
"""Names in a trial's values; of each the change is measured where trials hold it."""
COLUMNS = (
    "Method", "Strength", "Seeds", "Gap", "Gap low", "Gap high", "Quality", "Quality low", "Quality high", "Place",
    "Trainings with warnings",
)  # fmt: skip
NO_LEDGER = "no ledger holds trials over seeds"
LARGEST = 1e50
"""A larger figure is taken as this one: a sealed ledger may hold any number, and its squares must be numbers too."""
MOST_METHODS = 6
MOST_WARNINGS = 40
UNNAMED = "rows that the ledger does not name"


@dataclass(frozen=True)
class Setting:
    """All trials of one method and strength: the mean gap and quality over seeds, with intervals."""

    method: str
    strength: float
    trials: tuple[Trial, ...]
    gap: Estimate
    quality: Estimate


@dataclass(frozen=True)
class Axes:
    """What the curve compares: the asked criterion's gap and a quality, named as in the trials."""

    gap: str
    quality: str


def changes_over_seeds(told: Mitigation | None) -> tuple[Measurement, ...]:
    """The chosen setting less the baseline, for each value that trials hold; accuracy with a reason where none do."""
    if told is None or not told.trials:
        return (_unknown("accuracy", NO_LEDGER),)
    chosen, plain = chosen_trials(told), _of(told, BASELINE)
    kept = [key for key in KEYS if any(key in each.values for each in told.trials)]
    return tuple(_over_seeds(key, _values(chosen, key), _values(plain, key)) for key in kept or ["accuracy"])


def named(key: str) -> str:
    """The measurement's name for a value of the trials."""
    return f"{key.removesuffix('_difference')}_change_over_seeds"


def chosen_trials(told: Mitigation) -> tuple[Trial, ...]:
    """Trials of the method and strength that made the model on trial."""
    return tuple(each for each in _of(told, told.method) if each.strength == told.strength)


def exhibits(told: Mitigation | None, over: Sequence[Measurement]) -> Iterator[Curve | Table | Text]:
    """The trade-off curve first, changes over seeds, the settings, and warnings; a text where there are no trials."""
    if told is None or not told.trials:
        yield Text("Over seeds: not measured", f"{NO_LEDGER[:1].upper()}{NO_LEDGER[1:]}; rai mitigate writes one.")
        return
    axes = _axes(told)
    settings = tuple(_settings(told, axes))
    best = _unbeaten(settings)
    if settings:
        yield _curve(settings, best, told, axes)
    yield _change_table(told, over)
    if settings:
        yield _table(settings, best, told, axes)
    yield from _warnings(told)


def _change_table(told: Mitigation, over: Sequence[Measurement]) -> Table:
    rows = tuple((_spelled(each.name), each.value, each.low, each.high, each.rows) for each in over)
    words = "; ".join(f"{_spelled(each.name)} {figure(each.value)}" for each in over)
    return Table(
        f"Change over seeds, {_words(told.method)} {number(told.strength)} less the baseline: {words}",
        f"Means over the ledger's trials, measured on {told.measured_on or UNNAMED}, with Welch's intervals. Gaps are "
        "the largest over all attributes and classes.",
        ("Measured", "Change", "Low", "High", "Trainings"),
        rows,
    )


def _spelled(name: str) -> str:
    return _words(name.removesuffix("_change_over_seeds"))


def _of(told: Mitigation, method: str) -> tuple[Trial, ...]:
    return tuple(each for each in told.trials if each.method == method)


def _values(trials: Sequence[Trial], key: str) -> Floats:
    """The values as the ledger states them, none beyond what can be calculated with."""
    found = np.array([each.values[key] for each in trials if key in each.values], dtype=np.float64)
    return np.clip(found, -LARGEST, LARGEST)


def _over_seeds(key: str, after: Floats, before: Floats) -> Measurement:
    found = welch_difference(after, before)
    reason = found.reason
    if found.value is None:
        reason = "the ledger holds no trials of " + ("the chosen setting" if not len(after) else "the baseline")
    return Measurement(named(key), found.value, found.low, found.high, found.rows, method=found.method, reason=reason)


def _unknown(key: str, reason: str) -> Measurement:
    return Measurement(named(key), None, None, None, 0, reason=reason)


def _axes(told: Mitigation) -> Axes:
    regression = any("r2" in each.values for each in told.trials)
    return Axes(f"{told.criterion}_difference", "r2" if regression else "accuracy")


def _settings(told: Mitigation, axes: Axes) -> Iterator[Setting]:
    """Every method and strength whose trials hold both values, the baseline first."""
    whole = [each for each in told.trials if axes.gap in each.values and axes.quality in each.values]
    for method, strength in sorted({_key(each) for each in whole}, key=lambda key: (key[0] != BASELINE, key)):
        trials = tuple(each for each in whole if _key(each) == (method, strength))
        gap, quality = (mean_estimate(_values(trials, key)) for key in (axes.gap, axes.quality))
        yield Setting(method, strength, trials, gap, quality)


def _key(trial: Trial) -> tuple[str, float]:
    """The baseline has no strength, whatever its trials say."""
    return trial.method, 0.0 if trial.method == BASELINE else float(trial.strength)


def _unbeaten(settings: Sequence[Setting]) -> frozenset[int]:
    """Positions of the settings that no other beats in both means."""
    points = [Point(i, each.gap.value or 0.0, each.quality.value or 0.0, kept=False) for i, each in enumerate(settings)]
    return frozenset(each.run for each in front(points))


def _is_chosen(setting: Setting, told: Mitigation) -> bool:
    return (setting.method, setting.strength) == (told.method, told.strength)


def _label(setting: Setting) -> str:
    return "baseline" if setting.method == BASELINE else f"{_words(setting.method)} {number(setting.strength)}"


def _place(setting: Setting, told: Mitigation, *, best: bool) -> str:
    role = "baseline" if setting.method == BASELINE else "chosen" if _is_chosen(setting, told) else ""
    return f"{role}, dominated".removeprefix(", ") if not best else f"{role}, not dominated".removeprefix(", ")


def _curve(settings: Sequence[Setting], best: frozenset[int], told: Mitigation, axes: Axes) -> Curve:
    """One line a method, its strengths from the narrowest gap to the widest; the chosen one and the baseline marked."""
    marked = [each for each in settings if each.method == BASELINE or _is_chosen(each, told)]
    methods = dict.fromkeys(each.method for each in settings if each.method != BASELINE)
    lines = [_line(_words(name), [each for each in settings if each.method == name]) for name in methods]
    # Drawn over the lines they lie on, and among the few lines that a chart shows.
    lines[MOST_METHODS:MOST_METHODS] = [_line(f"{_role(each, told)}{_label(each)}", [each]) for each in marked]
    chosen = next((each for each in marked if _is_chosen(each, told)), None)
    ends = f"{_at(chosen)} chosen" if chosen else "the chosen setting is not among the trials"
    baseline = next((f", {_at(each)} before" for each in marked if each.method == BASELINE), "")
    return Curve(
        f"{_words(axes.quality).capitalize()} against the gap of {told.criterion.replace('_', ' ')}: {ends}{baseline}",
        _told(settings, best, told),
        _words(axes.gap),
        _words(axes.quality),
        tuple(lines),
    )


def _role(setting: Setting, told: Mitigation) -> str:
    return "chosen: " if _is_chosen(setting, told) and setting.method != BASELINE else ""


def _line(name: str, settings: Sequence[Setting]) -> Line:
    ordered = sorted(settings, key=lambda each: each.gap.value or 0.0)
    x, y = ([found.value or 0.0 for found in each] for each in _both(ordered))
    known = all(each.quality.low is not None for each in ordered) and len(ordered) > 1
    lows = floats([each.quality.low or 0.0 for each in ordered]) if known else ()
    highs = floats([each.quality.high or 0.0 for each in ordered]) if known else ()
    return Line(name, floats(x), floats(y), lows, highs)


def _both(settings: Sequence[Setting]) -> tuple[list[Estimate], list[Estimate]]:
    return [each.gap for each in settings], [each.quality for each in settings]


def _at(setting: Setting) -> str:
    return f"{figure(setting.quality.value)} at a gap of {figure(setting.gap.value)}"


def _told(settings: Sequence[Setting], best: frozenset[int], told: Mitigation) -> str:
    """Every point of the chart in words."""
    points = "; ".join(
        f"{_label(each)} ({_place(each, told, best=i in best)}) {_at(each)}, {len(each.trials)} seeds"
        for i, each in enumerate(settings)
    )
    where = told.measured_on or UNNAMED
    rule = "dominated where another has a gap no wider and a quality no lower, and one of them better"
    return f"Means over seeds, measured on {where}. A setting is {rule}. {points}."


def _table(settings: Sequence[Setting], best: frozenset[int], told: Mitigation, axes: Axes) -> Table:
    rows = tuple(
        (
            _words(each.method) if each.method != BASELINE else "baseline",
            "none" if each.method == BASELINE else each.strength,
            len(each.trials),
            *(number for found in (each.gap, each.quality) for number in (found.value, found.low, found.high)),
            _place(each, told, best=i in best),
            sum(bool(trial.warnings) for trial in each.trials),
        )
        for i, each in enumerate(settings)
    )
    title = f"Settings tried: {len(settings)}, of which {len(settings) - len(best)} are dominated"
    alt = f"Means over seeds of {_words(axes.gap)} and {_words(axes.quality)} with t intervals."
    return Table(title, alt, COLUMNS, rows)


def _warnings(told: Mitigation) -> Iterator[Table]:
    found = [(each, words) for each in told.trials for words in each.warnings]
    if found:
        rows = tuple(
            (_words(each.method), each.strength, each.seed, words, "yes" if each in chosen_trials(told) else "no")
            for each, words in found[:MOST_WARNINGS]
        )
        trainings = len({(each.method, each.strength, each.seed) for each, _ in found})
        more = f" The first {MOST_WARNINGS} are listed." if len(found) > MOST_WARNINGS else ""
        yield Table(
            f"Warnings of {trainings} of {len(told.trials)} trainings",
            f"What training said of itself, such as a collapse.{more}",
            ("Method", "Strength", "Seed", "Warning", "Chosen setting"),
            rows,
        )


def _words(name: str) -> str:
    return {"r2": "R²"}.get(name, name.replace("_", " "))
