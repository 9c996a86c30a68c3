"""What would dishonest or broken sites cost? Trainings under attack, held against the same training without one.

Flipped updates, updates that are no numbers, and counts that are no truth (Blanchard et al. 2017, arXiv:1703.02757; Li
et al. 2019, arXiv:1811.03761), tried in simulation on the sites' own rows and measured at honest sites.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rai.audits._exhibits import number, percent
from rai.audits._lift import hidden, lift, undefined
from rai.audits.federation.contrasts import advantages
from rai.audits.federation.quality import estimate_of, right_of
from rai.audits.federation.replies import MOST_COUNTED, MOST_LISTED, NOT_TOLD, UNKNOWN_ROWS, Seen, finite, listed
from rai.evidence import Evidence, Exhibit, Heat, Measurement, Table, Text
from rai.ledger import Ledger, StressTest
from rai.stats.estimates import Estimate

NONE = "none"
FEW = 5
WORDS = {NONE: "no attack", "sign_flip": "sign flip", "nan": "NaN", "inflated": "inflated count"} | {
    "both": "sign flip and inflated count"
}
UNTRIED = "no attack was tried (rai train --stress, or a table [federated.stress] in the recipe)"
NO_TWIN = "the training without attack has no figure to hold this one against"
NO_FIGURE = "the ledger states no figure of this training"
OTHER_ROWS = "not the same held-out rows as without attack"
NO_INTERVAL = "R²: the rows stayed at the sites, so there is no interval"
METHOD = "Newcombe 95 % interval as of separate samples, simultaneous over {count} attacks"
SINGLE = (
    "Each attack was tried once on each strategy, by one draw of the sites that attack: the intervals tell how unsure "
    "the held-out rows leave the figures, not what other sites or another seed would have given."
)
ALT = (
    "Accuracy (R² for regression) at the honest sites without attack, less that under the attack, in points (R² as it "
    "is); below 0 the model under attack did better."
)
TRAINED = (
    "Each line is a training of its own of the same sites from the same start, by this strategy and under this attack; "
    "what it lost is the figure without attack less its own."
)


@dataclass(frozen=True)
class Cell:
    """One training of the stress test; `rows` is 0 where nobody says on how many rows its worth was measured."""

    strategy: str
    attack: str
    worth: float | None
    rows: int = 0
    reason: str = ""
    excluded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """What figures are called for this kind of answers, and the factor by which they are shown."""

    worth: str
    lost: str
    shown: str
    times: float


ACCURACY = Names("accuracy_in_stress_test", "accuracy_lost_to_attack", "Accuracy", 100.0)
R2 = Names("r2_in_stress_test", "r2_lost_to_attack", "R²", 1.0)


def evidence(ledger: Ledger, seen: Seen, task: str) -> Evidence:
    """What the model was worth by strategy and attack, what each attack cost, and whose updates were left out."""
    names = R2 if task == "regression" else ACCURACY
    cells = tuple(_cells(seen, names))[:MOST_LISTED]
    if not cells:
        return Evidence((undefined(names.lost, UNTRIED),))
    worths = tuple(_worth(each, names) for each in cells)
    lost = tuple(_lost(cells, names))
    shapes = (_heat(cells, lost, names), _table(seen, cells, (*worths, *lost), names), *_who(seen, cells))
    return Evidence((*worths, *lost), shapes, caveats=tuple(_caveats(ledger, seen)))


def _cells(seen: Seen, names: Names) -> Iterator[Cell]:
    """All trainings that the ledger tells of, in its order."""
    told, test = seen.told.stress, seen.told.stress_test
    runs = {} if test is None else {(each.strategy, each.attack): each for each in test.runs}
    stated = [(strategy, attack) for strategy, worths in told.items() for attack in worths]
    for strategy, attack in dict.fromkeys((*runs, *stated)):
        worth, run = finite(told.get(strategy, {}).get(attack)), runs.get((strategy, attack))
        known = worth if names is R2 or worth is None or 0 <= worth <= 1 else None
        if run is None:
            yield Cell(strategy, attack, known, reason=NO_FIGURE)
        else:
            yield Cell(strategy, attack, known, min(run.rows, MOST_COUNTED), run.reason or NO_FIGURE, run.excluded)


def _worth(cell: Cell, names: Names) -> Measurement:
    facet = _facet(cell)
    if cell.worth is None:
        return undefined(names.worth, cell.reason, facet=facet)
    if names is R2:
        return lift(Estimate(cell.worth, None, None, cell.rows, "", NO_INTERVAL), names.worth, facet=facet)
    return lift(estimate_of(cell.worth, cell.rows), names.worth, facet=facet, unit="share")


def _lost(cells: Sequence[Cell], names: Names) -> Iterator[Measurement]:
    """Figures under attack, each held against that of the same strategy without one."""
    calm = {each.strategy: each for each in cells if each.attack == NONE and each.worth is not None}
    tried = [each for each in cells if each.attack != NONE]
    sure = [each for each in tried if names is ACCURACY and _paired(each, calm.get(each.strategy))]
    bounds = _bounds(sure, calm)
    for each in tried:
        yield _difference(each, calm.get(each.strategy), bounds.get((each.strategy, each.attack)), names)


def _paired(cell: Cell, calm: Cell | None) -> bool:
    return cell.worth is not None and calm is not None and cell.rows == calm.rows > 0


def _bounds(sure: Sequence[Cell], calm: Mapping[str, Cell]) -> dict[tuple[str, str], Estimate]:
    """By strategy and attack: what was lost, with bounds that hold for all of them at once."""
    if not sure:
        return {}
    rows = np.array([each.rows for each in sure])
    without, under = ([each.worth or 0.0 for each in part] for part in ([calm[one.strategy] for one in sure], sure))
    found = advantages(right_of(without, rows), right_of(under, rows), rows)
    ends = zip(sure, without, under, found.low.tolist(), found.high.tolist(), strict=True)
    method = METHOD.format(count=len(sure))
    return {
        (each.strategy, each.attack): Estimate(a - b, min(low, a - b), max(high, a - b), each.rows, method)
        for each, a, b, low, high in ends
    }


def _difference(cell: Cell, calm: Cell | None, found: Estimate | None, names: Names) -> Measurement:
    facet = _facet(cell)
    if cell.worth is None or calm is None or calm.worth is None:
        return undefined(names.lost, cell.reason if cell.worth is None else NO_TWIN, facet=facet)
    if found is None:
        reason = NO_INTERVAL if names is R2 else OTHER_ROWS if cell.rows and calm.rows else UNKNOWN_ROWS
        found = Estimate(calm.worth - cell.worth, None, None, min(cell.rows, calm.rows), "", reason)
    return lift(found, names.lost, facet=facet)


def _facet(cell: Cell) -> dict[str, str]:
    return {"strategy": cell.strategy, "attack": cell.attack}


def _named(attack: str) -> str:
    return WORDS.get(attack, attack)


def _heat(cells: Sequence[Cell], lost: Sequence[Measurement], names: Names) -> Heat:
    by_place = {(each.facet["strategy"], each.facet["attack"]): each.value for each in lost}
    strategies = tuple(dict.fromkeys(each.strategy for each in cells))
    attacks = tuple(dict.fromkeys(each.attack for each in cells if each.attack != NONE))
    values = tuple(tuple(_scaled(by_place.get((one, attack)), names) for attack in attacks) for one in strategies)
    known = [(value, place) for place, value in by_place.items() if value is not None]
    what = "Points of accuracy" if names is ACCURACY else "R²"
    worst = "not measured" if not known else f"at most {number(names.times * max(known)[0])} ({_under(*max(known)[1])})"
    columns = tuple(map(_named, attacks))
    return Heat(f"{what} lost to attacks: {worst}", ALT, strategies, columns, values, "strategy", "attack")


def _under(strategy: str, attack: str) -> str:
    return f"{strategy} under {_named(attack)}"


def _scaled(value: float | None, names: Names) -> float | None:
    return None if value is None else names.times * value


def _table(seen: Seen, cells: Sequence[Cell], found: Sequence[Measurement], names: Names) -> Table:
    """One line a training: its figures, and whose updates were left out."""
    by_name = {(each.name, each.facet["strategy"], each.facet["attack"]): each for each in found}
    rows = tuple(
        (
            each.strategy,
            _named(each.attack),
            *_ends(by_name[names.worth, each.strategy, each.attack], 1.0),
            *_ends(by_name.get((names.lost, each.strategy, each.attack)), names.times),
            _left_out(each, seen.told.stress_test) + ("" if each.worth is not None else f". No figure: {each.reason}"),
        )
        for each in cells
    )
    lost = "Points lost" if names is ACCURACY else "R² lost"
    columns = ("Strategy", "Attack", names.shown, "Low", "High", lost, "Lost, low", "Lost, high", "Updates left out")
    title = f"Trainings of the stress test: {len(cells)}, each measured at the honest sites"
    return Table(title, TRAINED, columns, rows)


def _ends(found: Measurement | None, times: float) -> tuple[float | str | None, ...]:
    """A figure with its interval; blank in the line of a training without attack, which lost nothing to one."""
    if found is None:
        return ("", "", "")
    return tuple(None if each is None else times * each for each in (found.value, found.low, found.high))


def _left_out(cell: Cell, test: StressTest | None) -> str:
    """Whose updates were left out, and in how many rounds: "site 3, site 7 in every round"."""
    if test is None:
        return NOT_TOLD
    by_rounds: dict[int, list[str]] = {}
    for name, many in cell.excluded.items():
        by_rounds.setdefault(many, []).append(name)
    told = (f"{_whose(names, test)} in {_often(many, test.rounds)}" for many, names in by_rounds.items())
    return "; ".join(told) or "nobody"


def _whose(names: Sequence[str], test: StressTest) -> str:
    everyone = len(names) > FEW and set(names) == set(test.attackers)
    return f"all {len(names)} that attacked" if everyone else listed(names, FEW)


def _often(many: int, rounds: int) -> str:
    if many == rounds:
        return "every round"
    return f"{many} of {rounds} rounds"


def _who(seen: Seen, cells: Sequence[Cell]) -> Iterator[Exhibit]:
    """Who attacked, what that means, and by attack whose updates were left out."""
    test = seen.told.stress_test
    if test is None:
        return
    attacks = dict.fromkeys(each.attack for each in cells if each.attack != NONE)
    told = [_noticed(attack, cells, test) for attack in attacks]
    sites = f"{len(test.attackers)} of {len(seen.names)} sites{_share(seen, test)}"
    drawn = f"{sites} attacked in {test.rounds} rounds, drawn by the seed"
    how = f"A flipped update goes {number(test.scale)} times as far the other way."
    checks = "Every update was checked before updates were joined, as in the training that made the model."
    text = " ".join((f"{drawn}: {listed(test.attackers, MOST_LISTED)}.", how, checks, *told))
    yield Text(f"Who attacked in the stress test: {listed(test.attackers)}", text)


def _share(seen: Seen, test: StressTest) -> str:
    """How much of all rows the attackers hold: an average listens to each site as loudly as it has rows."""
    rows = {each.name: min(each.rows, MOST_COUNTED) for each in seen.told.sites}
    theirs, of_all = sum(rows.get(name, 0) for name in test.attackers), sum(rows.values())
    if not of_all or any(hidden(rows.get(name, 0)) for name in test.attackers):
        return ""
    return f", which hold {percent(theirs / of_all)} of the rows,"


def _noticed(attack: str, cells: Sequence[Cell], test: StressTest) -> str:
    """Whose updates were left out under an attack, by strategy where strategies differ."""
    found = {each.strategy: _left_out(each, test) for each in cells if each.attack == attack}
    same = len(set(found.values())) == 1
    told = next(iter(found.values())) if same else "; ".join(f"{name}: {words}" for name, words in found.items())
    name = _named(attack)
    return f"{name[:1].upper()}{name[1:]}, left out: {told}."


def _caveats(ledger: Ledger, seen: Seen) -> Iterator[str]:
    test = seen.told.stress_test
    yield SINGLE
    if test is None:
        return
    yield from _unreckoned(test)
    if ledger.energy is not None:
        yield (
            f"The {len(test.runs)} trainings of the stress test took {number(test.seconds)} seconds, which the energy "
            "of the training includes and its seconds do not."
        )


def _unreckoned(test: StressTest) -> Iterator[str]:
    """Strategies that reckon with fewer malicious sites than attacked."""
    for strategy, arguments in test.arguments.items():
        reckoned = arguments.get("num_malicious_nodes")
        if reckoned is not None and reckoned < len(test.attackers):
            yield f"{strategy} reckoned with {reckoned:g} malicious sites, and {len(test.attackers)} attacked."
