"""Rows that stand in the data twice, rows the model may have been trained on, columns that never vary."""

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from rai.audits._exhibits import percent
from rai.audits._lift import counted, lift, undefined
from rai.evidence import Evidence, Measurement, Table
from rai.stats.estimates import Estimate
from rai.stats.estimates import undefined as no_estimate
from rai.stats.proportions import wilson
from rai.subject import Data, Floats, Ints, Subject

NO_REFERENCE = "no reference (training) rows were given"
MANY_TWINS = 0.05
BLIND = (
    "{} of the reference rows have a twin among themselves. If these are copies made for training, rows shared with "
    "the test data can hide behind them: read the plain share of test rows that also stand in the reference."
)
NO_COLUMNS = "the data names no columns"
OVERLAPS = ("overlap_share", "overlap_conflict_share", "overlap_excess")
REPEATS = ("duplicate_share", "duplicate_conflict_share", *OVERLAPS, "constant_columns")
Keys = list[bytes]
PIECE = 1_024


def row_keys(features: Floats | Ints) -> Keys:
    """One 128-bit digest a row, equal just where all inputs are equal (0.0 and -0.0 count as equal)."""
    pieces = (features[start : start + PIECE] for start in range(0, len(features), PIECE))
    plain = (np.ascontiguousarray(piece, dtype=np.float64) + 0.0 for piece in pieces)
    return [blake2b(row, digest_size=16).digest() for piece in plain for row in piece]


def whole_inputs(data: Data, width: int = 0) -> Floats | Ints:
    """The inputs laid flat, (rows, inputs); texts filled up to `width` tokens, lest padding tell them apart."""
    if data.kind == "table":
        return data.features
    flat = data.inputs.reshape(data.rows, -1)
    if data.vocabulary is None or flat.shape[1] >= width:
        return np.asarray(flat)
    return np.pad(flat, ((0, 0), (0, width - flat.shape[1])), constant_values=data.vocabulary.pad)


def repeats(subject: Subject) -> Evidence:
    """Rows whose inputs came up before, within the test rows and in the reference rows."""
    if not subject.data.features.shape[1]:
        return Evidence(tuple(undefined(name, NO_COLUMNS, rows=subject.data.rows) for name in REPEATS))
    data, other = subject.data, subject.reference
    width = max(whole_inputs(each).shape[1] for each in (data, other or data))
    keys = row_keys(whole_inputs(data, width))
    found = [*_within(data, keys), *_across(data, keys, other, width), _constant(data)]
    return Evidence(tuple(found), (_table(found),), caveats=_blind(found))


def _within(data: Data, keys: Keys) -> list[Measurement]:
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    again = [place for place, key in enumerate(keys) if first[key] < place]
    other = _conflicts(data, [(place, [first[keys[place]]]) for place in again], data)
    return _shares(("duplicate_share", "duplicate_conflict_share"), len(again), other, len(keys))


def _across(data: Data, keys: Keys, reference: Data | None, width: int) -> list[Measurement]:
    if reference is None:
        return [undefined(name, NO_REFERENCE) for name in OVERLAPS]
    theirs = whole_inputs(reference, width)
    if theirs.shape[1] != whole_inputs(data, width).shape[1]:
        return [undefined(name, "the reference rows have other inputs than the test rows") for name in OVERLAPS]
    places = _places(row_keys(theirs))
    common = [(place, places[key]) for place, key in enumerate(keys) if key in places]
    shares = _shares(OVERLAPS[:2], len(common), _conflicts(data, common, reference), len(keys))
    return [*shares, lift(_excess(len(common), len(keys), places), OVERLAPS[2])]


def _excess(repeated: int, rows: int, places: Mapping[bytes, Sequence[int]]) -> Estimate:
    """How much more often test rows stand in the reference than reference rows stand there a second time.

    Rows that agree by nature (few columns, rounded values) agree in both; only shared rows lift the difference. Its
    interval joins two Wilson intervals (Newcombe 1998, method 10); twins that come in pairs come or go together, so
    they count as half as many rows.
    """
    sizes = np.array([len(each) for each in places.values()], dtype=np.int64)
    twins, others = int(sizes[sizes > 1].sum()), int(sizes.sum())
    if not rows or not others:
        return no_estimate("no rows to compare", rows)
    here, there = repeated / rows, twins / others
    alone = 1 + 2 * np.sum(sizes == 2) / max(twins, 1)
    own, base = wilson([repeated], [rows]), wilson([twins / alone], [others / alone])
    down = math.hypot(here - own.low[0], base.high[0] - there)
    up = math.hypot(own.high[0] - here, there - base.low[0])
    gap = here - there
    return Estimate(gap, max(-1.0, gap - down), min(1.0, gap + up), rows, "difference of two shares, Newcombe 95 %")


def _blind(found: Sequence[Measurement]) -> tuple[str, ...]:
    """Warn where the reference repeats itself so much that shared rows could hide in it."""
    shares = {each.name: each.value for each in found}
    overlap, excess = shares.get("overlap_share"), shares.get("overlap_excess")
    if overlap is None or excess is None or overlap - excess <= MANY_TWINS or overlap <= 0:
        return ()
    twins = percent(overlap - excess)
    return (BLIND.format(twins),)


def _places(keys: Keys) -> Mapping[bytes, Sequence[int]]:
    places: dict[bytes, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return places


def _conflicts(data: Data, pairs: list[tuple[int, Sequence[int]]], other: Data) -> int | None:
    """How many rows agree in their inputs with rows of `other` and share their label with none of those."""
    if data.labels is None or other.labels is None:
        return None
    mine, theirs = data.labels.tolist(), other.labels.tolist()
    return sum(all(mine[place] != theirs[twin] for twin in twins) for place, twins in pairs)


def _shares(names: Sequence[str], repeated: int, conflicting: int | None, rows: int) -> list[Measurement]:
    first = counted(names[0], repeated / max(rows, 1), rows, unit="share")
    if conflicting is None:
        return [first, undefined(names[1], "no labels to compare", rows=rows)]
    return [first, counted(names[1], conflicting / max(rows, 1), rows, unit="share")]


def constant_columns(data: Data) -> list[str]:
    """Names of the columns, or parts of images or sequences, whose every input has one value in all rows."""
    if not data.rows or data.kind == "text":
        return []
    still = np.ptp(data.features, axis=0) == 0
    return [player.name for player in data.players if still[list(player.inputs)].all()]


def _constant(data: Data) -> Measurement:
    if data.kind == "text":
        return undefined("constant_columns", "texts have no columns", rows=data.rows)
    unit = "columns" if data.kind == "table" else "parts"
    return counted("constant_columns", len(constant_columns(data)), data.rows, unit=unit)


def _or_not(share: float | None) -> str:
    return "not measured" if share is None else percent(share)


def _table(found: Sequence[Measurement]) -> Table:
    words = {
        "duplicate_share": "test rows whose inputs repeat an earlier test row",
        "duplicate_conflict_share": "… and whose label differs from that row's",
        "overlap_share": "test rows whose inputs also stand in the reference",
        "overlap_conflict_share": "… and whose label no such reference row shares",
        "overlap_excess": "overlap beyond what the reference rows have among themselves",
    }
    told = {words[each.name]: each.value for each in found if each.name in words}
    alt = "Shares of the test rows that repeat other rows: all their inputs are equal."
    again, across = told[words["duplicate_share"]], told[words["overlap_share"]]
    shared = "" if across is None else f", {percent(across)} shared with the reference"
    title = f"Repeated rows: {_or_not(again)} within the test rows{shared}"
    return Table(title, alt, ("what", "share of test rows"), tuple(told.items()))
