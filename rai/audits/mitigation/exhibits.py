"""Tables of the mitigation section, and the few words that it may use."""

from collections.abc import Mapping, Sequence

from rai.audits._exhibits import figure, spread
from rai.audits._lift import shown
from rai.audits.mitigation.gaps import Change
from rai.audits.mitigation.payers import payers, pays
from rai.audits.mitigation.seeds import named
from rai.audits.mitigation.tipping import Tipping
from rai.evidence import Bars, Measurement, Table, Text

NAMED = 5
"""A title names so many groups that pay, those that pay most first."""
APART, LOWER, HIGHER = "not told apart", "lower", "higher"
UNSEEN = "seeds not measured"
CHANGE_COLUMNS = ("Measured", "Before", "After", "Change", "Low", "High")
SEEDS_COLUMNS = ("Change over seeds", "Seeds low", "Seeds high")
GROUP_COLUMNS = ("Group", "Error", "Rows", "Before", "After", "Change", "Low", "High", "p (Holm)", "Pays")
LEAK_COLUMNS = (
    "Group", "Told", "Before", "Low", "High", "After", "Low after", "High after", "Change", "Change low", "Change high"
)  # fmt: skip
TIPPING_COLUMNS = ("Gap", "Group", "Held against", "Labels", "Low", "High", "Share of them", "Low share", "High share")
Cell = str | int | float | None


def direction(found: Measurement | None) -> str:
    """Where the whole interval lies: "lower" below 0, "higher" above it, else "not told apart"."""
    if found is None or found.low is None or found.high is None:
        return APART
    return LOWER if found.high < 0 else HIGHER if found.low > 0 else APART


def together(rows: Measurement, seeds: Measurement | None) -> str:
    """A direction only where the intervals over rows and over seeds both lie on the same side of 0."""
    if seeds is None:
        return UNSEEN
    return direction(rows) if direction(rows) == direction(seeds) else APART


def change_table(changes: Sequence[Change], seeds: Mapping[str, Measurement], about: str) -> Table:
    """Every number before and after, its change over rows and over seeds, and what both say together.

    `seeds` are changes over seeds by name; where there is none for any number, no column speaks of them.
    """
    found = [(each, _seeds(each, seeds)) for each in changes]
    measured = any(over is not None for _, over in found)
    words = [together(each.change, over) for each, over in found]
    told = [f"{each.title} {word}" for each, word in zip(changes, words, strict=True) if word in {LOWER, HIGHER}]
    title = "; ".join(told) or ("nothing told apart" if measured else "not told apart, as seeds were not measured")
    rows = tuple(_row(each, over, measured=measured) for each, over in found)
    return Table(
        f"Before and after{about}: {title}",
        _meaning(measured=measured),
        (*CHANGE_COLUMNS, *(SEEDS_COLUMNS if measured else ()), "Over rows and seeds"),
        tuple((*row, word) for row, word in zip(rows, words, strict=True)),
    )


def _meaning(*, measured: bool) -> str:
    """What a table of changes shows."""
    over = ", and over the ledger's trials, whose gap is the largest of the attributes asked for" if measured else ""
    return (
        "Gaps are the largest less the smallest group value. Changes are after less before: on the same test rows"
        f"{over}. A direction is said only where the intervals over rows and over seeds both exclude 0."
    )


def _seeds(change: Change, seeds: Mapping[str, Measurement]) -> Measurement | None:
    found = seeds.get(named(change.key))
    return None if found is None or found.value is None else found


def _row(change: Change, over: Measurement | None, *, measured: bool) -> tuple[Cell, ...]:
    ends = (None, None, None) if over is None else _interval(over)
    return (
        change.title,
        change.before.value,
        change.after.value,
        *_interval(change.change),
        *(ends if measured else ()),
    )


def _interval(found: Measurement) -> tuple[Cell, Cell, Cell]:
    return found.value, found.low, found.high


def group_table(changes: Sequence[Change], about: str) -> Table:
    """Errors of every group before and after, and who pays."""
    named_payers = [f"{_group(each)}, {each.title.lower()} {_signed(each)}" for each in payers(changes)]
    return Table(
        f"Errors{about}: {_paid(named_payers)}",
        "Each group's errors before and after on the same rows, with matched intervals. A group pays where the "
        "interval of the change lies above 0 and p, adjusted by Holm over the attribute's groups and errors, is at "
        "most 0.05.",
        GROUP_COLUMNS,
        tuple(_group_row(each) for each in changes),
    )


def _paid(named_payers: Sequence[str]) -> str:
    more = f"; {len(named_payers) - NAMED} more" if len(named_payers) > NAMED else ""
    return f"who pays: {'; '.join(named_payers[:NAMED])}{more}" if named_payers else "no group is seen to pay"


def _signed(change: Change) -> str:
    return f"{change.change.value or 0.0:+.3g}"


def _group(change: Change) -> str:
    facet = change.change.facet
    return facet["group"] + (f" (class {facet['class']})" if "class" in facet else "")


def _group_row(each: Change) -> tuple[Cell, ...]:
    rows = shown(each.change.rows) if each.change.value is not None else None
    ends = (each.before.value, each.after.value, *_interval(each.change), each.change.p)
    return (_group(each), each.title, rows, *ends, "yes" if pays(each) else "no")


def change_bars(changes: Sequence[Change], about: str) -> Bars:
    """The change of each group's error rate, drawn with its interval."""
    told = "; ".join(f"{_group(each)} {_signed(each)}" for each in changes if each.change.value is not None)
    return Bars(
        f"Change of {changes[0].title.lower()}{about}: {spread([each.change for each in changes], 'group')}",
        f"After less before, with matched intervals; above 0 the group errs more often than before. {told}.",
        labels=tuple(_group(each) for each in changes),
        values=tuple(each.change.value for each in changes),
        lows=tuple(each.change.low for each in changes),
        highs=tuple(each.change.high for each in changes),
        counts=tuple(None if each.change.value is None else shown(each.change.rows) for each in changes),
        reference=0.0,
        unit=changes[0].change.unit,
    )


def leakage_table(changes: Sequence[Change], about: str) -> Table:
    """How well the score tells each group's members."""
    rows = tuple(
        (_group(each), each.title, *_interval(each.before), *_interval(each.after), *_interval(each.change))
        for each in changes
    )
    most = max((each for each in changes if each.after.value is not None), key=_strength, default=None)
    title = "not measured" if most is None else f"AUC {_ends(most)} ({_group(most)}, {most.title})"
    alt = (
        "ROC AUC of telling the group's members from the others by the score: 0.5 tells nothing, 1 and 0 tell all. "
        "Given the true class, rows are compared within each class and averaged by rows."
    )
    return Table(f"What the score tells{about}: {title}", alt, LEAK_COLUMNS, rows)


def _ends(change: Change) -> str:
    after = figure(change.after.value)
    return after if change.before.value is None else f"{figure(change.before.value)} before, {after} after"


def _strength(change: Change) -> float:
    return abs((change.after.value or 0.5) - 0.5)


def tipping_table(found: Sequence[Tipping], about: str) -> Table | Text:
    """How many labels would have to be wrong for each gap to vanish; a text where no gap has an answer."""
    told = [f"{each.title.lower()} {each.count.value:,.0f} labels of {each.group}" for each in found if _has(each)]
    words = "; ".join(f"{each.title.lower()}: {each.count.reason}" for each in found if not _has(each))
    title = f"Wrong labels that would close a gap{about}"
    if not told:
        return Text(f"{title}: no answer", f"{words[:1].upper()}{words[1:]}.")
    alt = (
        "Assumes that wrong labels were made independently of the score given the true class. Labels doubted: "
        "recorded negatives that are truly positive for base rate and false-positive rate, recorded positives that "
        f"are truly negative for the true-positive rate.{f' Without an answer: {words}.' if words else ''}"
    )
    rows = tuple(
        (_gap(each), each.group or None, each.against or None, *_interval(each.count), *_interval(each.share))
        for each in found
        if _has(each)
    )
    return Table(f"{title}: {'; '.join(told)}", alt, TIPPING_COLUMNS, rows)


def _gap(each: Tipping) -> str:
    name = each.count.facet.get("class")
    return f"{each.title} ({each.wrong})" + (f", class {name}" if name else "")


def _has(each: Tipping) -> bool:
    return each.count.value is not None


def no_baseline() -> Text:
    """What stands where before and after could not be compared."""
    return Text(
        "Before and after on the same rows: not measured: no baseline model",
        "Name the model before mitigation as baseline in the card, its own card beside it; in Python pass baseline=.",
    )
