"""How the rounds went: who took part, whose updates were left out, how far sites moved apart, what was sent."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rai.audits._exhibits import floats, number, percent
from rai.audits._lift import undefined
from rai.audits.federation.replies import (
    LARGEST,
    MOST_LISTED,
    NO_ROUNDS,
    NOT_TOLD,
    UNDISCLOSED,
    Score,
    Seen,
    finite,
    listed,
    scores,
    took_part,
)
from rai.audits.training.curves import places
from rai.audits.training.rows import COUNTED, stated, unstated
from rai.evidence import Curve, Evidence, Exhibit, Line, Measurement, Table
from rai.ledger import Ledger, Round

NO_NORMS = "no used update of the last round states its length"
PER_ROUND = (
    "federation_rounds",
    "participation_share",
    "least_participation_share",
    "excluded_updates",
    "bytes_to_sites",
    "bytes_from_sites",
)
MOST_BYTES, MOST_RUNS = 10**15, 12
OVER_SITES = "over the sites whose update was used in the last round; all of them, so no sampling error"
ROUND_COLUMNS = (
    "Round",
    "Sites that took part",
    "Excluded",
    "Loss",
    "Mean site",
    "Worst site",
    "Best site",
)
SENT_COLUMNS = (
    "Round",
    "Mean update norm",
    "Norms, SD over mean",
    "Bytes to sites",
    "Bytes from sites",
    "Seconds",
)


def evidence(ledger: Ledger, seen: Seen) -> Evidence:
    """Participation, exclusions, drift and traffic, and the log of updates that were not used."""
    rounds = seen.rounds
    found = (
        stated("federation_sites", len(seen.names), ledger, method=COUNTED, unit="sites"),
        *_counts(ledger, seen, rounds),
        *_drift(ledger, seen, rounds),
    )
    return Evidence(found, _log(rounds))


def pictures(seen: Seen, task: str) -> tuple[Exhibit, ...]:
    """Curves and a table of the rounds."""
    rounds = seen.rounds
    return (*_curves(seen, rounds, task), *_table(seen, rounds, task))


def participation(seen: Seen, one: Round) -> float:
    """Share of all sites that sent an update in this round, whether or not it was used."""
    return sum(map(took_part, one.replies.values())) / max(len(seen.names), 1)


def norms(one: Round) -> list[float]:
    """Lengths of the updates that were used."""
    known = (finite(each.norm) for each in one.replies.values() if not each.excluded)
    return [each for each in known if each is not None]


def dispersion(lengths: Sequence[float]) -> float | None:
    """Standard deviation of the lengths over their mean: 0 where all sites moved equally far."""
    mean = float(np.mean(lengths)) if lengths else 0.0
    return float(np.std(lengths)) / mean if mean > 0 else None


def _counts(ledger: Ledger, seen: Seen, rounds: Sequence[Round]) -> Iterator[Measurement]:
    if not rounds:
        yield from (unstated(name, NO_ROUNDS, ledger) for name in PER_ROUND)
        return
    if seen.secret:
        yield stated("federation_rounds", len(rounds), ledger, method=COUNTED, unit="rounds")
        yield from (unstated(name, UNDISCLOSED, ledger) for name in PER_ROUND[1:])
        return
    shares = [participation(seen, each) for each in rounds]
    excluded = sum(bool(reply.excluded) for each in rounds for reply in each.replies.values())
    sent = (sum(each.bytes_down for each in rounds), sum(each.bytes_up for each in rounds))
    values = (len(rounds), float(np.mean(shares)), min(shares), excluded, *(min(each, LARGEST) for each in sent))
    units = ("rounds", "share", "share", "updates", "bytes", "bytes")
    for name, value, unit in zip(PER_ROUND, values, units, strict=True):
        yield stated(name, value, ledger, method=COUNTED, unit=unit)


def _drift(ledger: Ledger, seen: Seen, rounds: Sequence[Round]) -> Iterator[Measurement]:
    lengths = norms(rounds[-1]) if rounds else []
    if not lengths:
        yield from (
            undefined(name, UNDISCLOSED if seen.secret else NO_NORMS)
            for name in ("update_norm", "update_norm_dispersion")
        )
        return
    yield stated("update_norm", float(np.mean(lengths)), ledger, method=f"mean {OVER_SITES}")
    apart = dispersion(lengths)
    if apart is None:
        yield unstated("update_norm_dispersion", "no used update moved at all", ledger)
    else:
        method = f"standard deviation over mean, {OVER_SITES}"
        yield stated("update_norm_dispersion", apart, ledger, method=method)


def _curves(seen: Seen, rounds: Sequence[Round], task: str) -> Iterator[Curve]:
    kept = [rounds[place] for place in places(len(rounds)).tolist()] if rounds else []
    losses = [(each.number, finite(each.loss)) for each in kept]
    lengths = [(each.number, norms(each)) for each in kept]
    by_round = [(each.number, scores(seen, each, task)) for each in kept]
    what = "R²" if task == "regression" else "accuracy"
    yield from _curve("Loss over all sites", "loss", [_line("all sites", losses)])
    ends: tuple[tuple[str, Callable[[list[float]], float]], ...] = (
        ("best site", max),
        ("mean over sites", lambda values: float(np.mean(values))),
        ("worst site", min),
    )
    yield from _curve(f"{_cap(what)} of the common model", what, [_line(n, _each(by_round, f)) for n, f in ends])
    means = [(place, float(np.mean(each)) if each else None) for place, each in lengths]
    yield from _curve("Mean length of the updates used", "update norm", [_line("all sites", means)])


def _cap(words: str) -> str:
    return words[:1].upper() + words[1:]


def _each(
    by_round: Sequence[tuple[int, tuple[Score, ...]]], end: Callable[[list[float]], float]
) -> list[tuple[int, float | None]]:
    return [(place, end([each.accuracy for each in found]) if found else None) for place, found in by_round]


def _line(name: str, points: Sequence[tuple[int, float | None]]) -> Line:
    known = [(float(x), y) for x, y in points if y is not None]
    return Line(name, floats([x for x, _ in known]), floats([y for _, y in known]))


def _curve(title: str, label: str, lines: Sequence[Line]) -> Iterator[Curve]:
    drawn = tuple(each for each in lines if len(each.x) > 1)
    if drawn:
        names = [f"{each.name} " if len(lines) > 1 else "" for each in drawn]
        ends = [f"{name}{number(each.y[0])} to {number(each.y[-1])}" for name, each in zip(names, drawn, strict=True)]
        told = "; ".join(f"{each.name} lowest {number(min(each.y))}, highest {number(max(each.y))}" for each in drawn)
        yield Curve(f"{title} by round: {', '.join(ends)}", f"Over the rounds: {told}.", "round", label, drawn)


def _log(rounds: Sequence[Round]) -> tuple[Table, ...]:
    """The updates that were not used, those of one site and reason on one line."""
    found: dict[tuple[str, str], list[int]] = {}
    for each in rounds:
        for name, reply in each.replies.items():
            if reply.excluded:
                found.setdefault((name, reply.excluded), []).append(each.number)
    if not found:
        return ()
    names = listed(dict.fromkeys(name for name, _ in found))
    more = f"; the first {MOST_LISTED} reasons are listed" if len(found) > MOST_LISTED else ""
    title = f"Updates that were not used: {sum(map(len, found.values())):,}, of {names}{more}"
    alt = "Whose updates were left out before updates were joined, in which rounds and why, as the ledger states it."
    rows = [(name, _in_words(numbers), len(numbers), why) for (name, why), numbers in found.items()]
    return (Table(title, alt, ("Site", "Rounds", "Updates", "Reason"), tuple(rows[:MOST_LISTED])),)


def _in_words(numbers: Sequence[int]) -> str:
    """Rising numbers with those that follow each other joined: "1 to 4, 7"."""
    ends: list[list[int]] = []
    for each in numbers:
        if ends and each == ends[-1][1] + 1:
            ends[-1][1] = each
        else:
            ends.append([each, each])
    return listed((f"{low}" if low == high else f"{low} to {high}" for low, high in ends), MOST_RUNS)


def _table(seen: Seen, rounds: Sequence[Round], task: str) -> tuple[Table, ...]:
    if not rounds:
        return ()
    kept = [rounds[place] for place in np.unique(np.linspace(0, len(rounds) - 1, MOST_LISTED).round()).astype(int)]
    mean = percent(float(np.mean([participation(seen, each) for each in rounds])))
    who = "who took part is not told" if seen.secret else f"in which {mean} of the sites took part on average"
    title = f"Rounds: {len(rounds):,}, {who}"
    title += f"; {len(kept)} are listed, evenly spread" if len(kept) < len(rounds) else ""
    what = "R²" if task == "regression" else "accuracy"
    alt = f"A site took part if it sent an update, whether or not that was used. The last columns tell of {what}."
    course = Table(title, alt, ROUND_COLUMNS, tuple(_row(seen, each, task) for each in kept))
    return (course,) if seen.secret else (course, _sent(rounds, kept))


def _row(seen: Seen, one: Round, task: str) -> tuple[str | int | float | None, ...]:
    known = [each.accuracy for each in scores(seen, one, task)]
    ends = (float(np.mean(known)), min(known), max(known)) if known else (None, None, None)
    taken: tuple[str | int, ...] = (NOT_TOLD, NOT_TOLD)
    if not seen.secret:
        replies = one.replies.values()
        taken = (sum(map(took_part, replies)), sum(bool(each.excluded) for each in replies))
    return (one.number, *taken, finite(one.loss), *ends)


def _sent(rounds: Sequence[Round], kept: Sequence[Round]) -> Table:
    """What was sent and how far sites moved, one line a round."""
    down, up = (sum(each) for each in zip(*((one.bytes_down, one.bytes_up) for one in rounds), strict=True))
    title = f"What was sent in all rounds: {_bytes(down)} to sites, {_bytes(up)} from them"
    alt = "A norm is the length of a site's update; their spread tells how unevenly sites moved, not where to."
    return Table(title, alt, SENT_COLUMNS, tuple(_sent_in(each) for each in kept))


def _bytes(count: int) -> str:
    return f"{count:,} bytes" if count < MOST_BYTES else "more than a petabyte"


def _sent_in(one: Round) -> tuple[int | float | None, ...]:
    lengths = norms(one)
    return (
        one.number,
        float(np.mean(lengths)) if lengths else None,
        dispersion(lengths),
        min(one.bytes_down, int(LARGEST)),
        min(one.bytes_up, int(LARGEST)),
        finite(one.seconds),
    )
