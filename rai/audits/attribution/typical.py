"""Why typical rows are decided as they are: rows made up of many people's most usual values, never one person's."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rai.audits._exhibits import number
from rai.audits._explained import question_of
from rai.audits._explained_cells import card_column, cell_text, put_together, unordered
from rai.audits._predict import player_codes
from rai.audits.attribution.reasons import BACKGROUND, LEAST_OCCURRENCES
from rai.evidence import Table
from rai.explainers import Attribution, method
from rai.subject import Bools, Floats, Ints, Subject

NEAREST = 25
MOST = 6
LARGEST_POOL = 5_000
SCORED = 90_000
VARIES = "varies"


@dataclass(frozen=True)
class Typical:
    """Rows decided alike, near their middle: what they are in words, the class predicted, and their positions."""

    words: str
    predicted: int
    rows: Ints


def typical_tables(subject: Subject) -> tuple[Table, ...]:
    """One table a kind of decision, at most six: each feature's usual value, what it added, and the error of that."""
    found = [each for each in typical(subject) if len(each.rows) >= LEAST_OCCURRENCES][:MOST]
    if not found:
        return ()
    sources = np.stack([usual_rows(subject, each.rows) for each in found])
    explained = _explained(subject, found, sources)
    return tuple(
        _table(subject, each, source, explained, place)
        for place, (each, source) in enumerate(zip(found, sources, strict=True))
    )


def typical(subject: Subject) -> Iterator[Typical]:
    """Right and wrong decisions for each class, or low and high values: the rows nearest to the middle of each."""
    codes, unlike = _standard(subject), unordered(subject)
    for words, predicted, among in _kinds(subject):
        pool = np.flatnonzero(among)
        if len(pool) > LARGEST_POOL:
            pool = np.sort(subject.rng("attribution typical").choice(pool, LARGEST_POOL, replace=False))
        if len(pool):
            yield Typical(words, predicted, _middle(codes, unlike, pool))


def _kinds(subject: Subject) -> Iterator[tuple[str, int, Bools]]:
    predicted, labels = subject.predicted, subject.data.labels
    if subject.card.task == "regression":
        low, high = np.quantile(predicted, [0.2, 0.8])
        yield "the lowest fifth of the values predicted", 0, np.asarray(predicted <= low)
        yield "the highest fifth of the values predicted", 0, np.asarray(predicted >= high)
        return
    for place, name in enumerate(subject.card.classes):
        mine = np.asarray(predicted == place)
        if labels is None:
            yield f"predicted {name}", place, mine
        else:
            yield f"rightly predicted {name}", place, mine & (labels == place)
            yield f"wrongly predicted {name}", place, mine & (labels != place)


def _standard(subject: Subject) -> Floats:
    """One number a row and player, in standard deviations."""
    codes = player_codes(subject.data)
    spread = codes.std(axis=0)
    return np.asarray((codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _middle(codes: Floats, unlike: Bools, pool: Ints) -> Ints:
    """The 25 rows nearest to the row that is nearest to the middle: medians of numbers, commonest categories."""
    mine = codes[pool]
    centre = np.where(unlike, [_commonest(column) for column in mine.T], np.median(mine, axis=0))
    medoid = mine[int(_far(mine, centre, unlike).argmin())]
    return np.asarray(pool[np.argsort(_far(mine, medoid, unlike), kind="stable")[:NEAREST]])


def _far(rows: Floats, centre: Floats, unlike: Bools) -> Floats:
    """Distance of each row: standard deviations for numbers, 1 for each different category."""
    apart = np.abs(rows - centre)
    return np.asarray(np.where(unlike, apart > 0, np.minimum(apart, 3.0)).sum(axis=1))


def _commonest(column: Floats) -> float:
    values, counts = np.unique(column, return_counts=True)
    return float(values[counts.argmax()])


def usual_rows(subject: Subject, rows: Ints) -> Ints:
    """For each player, which of these rows holds its middle value or its commonest category, (players,)."""
    codes, unlike = player_codes(subject.data.take(rows)), unordered(subject)
    return np.array([rows[_usual(column, unlike[place])] for place, column in enumerate(codes.T)], dtype=np.int64)


def _usual(column: Floats, unlike: bool) -> int:  # noqa: FBT001 - a column and its kind
    if unlike:
        return int(np.argmax(column == _commonest(column)))
    return int(np.argsort(column, kind="stable")[len(column) // 2])


def _explained(subject: Subject, found: list[Typical], sources: Ints) -> Attribution:
    """The made-up rows explained, of several classes the one predicted for the rows they are made of."""
    players = len(subject.data.players)
    least = min(2**players, 4 * players + 2)
    budget = int(np.clip(SCORED // (BACKGROUND * len(found)), least, 4096))
    asked = question_of(subject, np.arange(len(found)), background=BACKGROUND, budget=budget)
    made = replace(asked, data=replace(asked.data, inputs=put_together(subject.data, sources)))
    answer = method("shapley")(made)
    return answer.picked(np.array([each.predicted for each in found], dtype=np.int64))


def _table(subject: Subject, typical_: Typical, source: Ints, explained: Attribution, place: int) -> Table:
    values, errors = explained.values[place], explained.error[place]
    order = np.argsort(-np.abs(values), kind="stable")[:12]
    names = [player.name for player in subject.data.players]
    lines = tuple(
        (names[i], _shown(subject, typical_, source, int(i)), float(values[i]), float(errors[i])) for i in order
    )
    first = f"{names[order[0]]} ({number(float(values[order[0]]))})"
    return Table(
        f"A typical row {typical_.words}: moved most by {first}",
        f"A made-up row: each value is the middle one, or the commonest category, of {len(typical_.rows)} alike rows. "
        f"Its {explained.scale} is {number(float(explained.full[place]))}, of rows to compare with "
        f"{number(float(explained.base[place]))} on average; the features share out the difference.",
        ("feature", "typical value", f"added to the {explained.scale}", "standard error"),
        lines,
    )


def _shown(subject: Subject, typical_: Typical, source: Ints, place: int) -> str:
    """The value in words; a category that fewer than five of the rows share is not told."""
    if unordered(subject)[place]:
        block = subject.data.features[typical_.rows][:, list(subject.data.players[place].inputs)]
        if np.unique(block, axis=0, return_counts=True)[1].max() < LEAST_OCCURRENCES:
            return VARIES
    return cell_text(subject.data, card_column(subject, place), place, int(source[place]))
