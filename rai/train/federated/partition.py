"""Who holds which rows: training rows dealt out to sites, to try on one machine what will run on many.

The five ways are those of the field: at random; by label with Dirichlet shares (Hsu, Qi and Brown 2019,
arXiv:1909.06335); a few labels a site (McMahan et al. 2017, AISTATS); by a column; and in falling sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.subject import Bools, Floats, Ints
from rai.train.settings import Partition

WHERE = "federated.partition"
MISSING = {"NoneType", "NAType", "NaTType"}


@dataclass(frozen=True)
class Held:
    """What one site holds: how many rows, and how many of each class, by its name."""

    site: str
    rows: int
    classes: dict[str, int] = field(default_factory=dict)


def partition(  # noqa: PLR0913 - each is a key of the recipe's table
    kind: Partition,
    labels: Any,
    *,
    clients: int,
    seed: int,
    alpha: float = 0.5,
    classes: int = 2,
    smallest: int = 10,
    column: Any = None,
) -> tuple[Ints, ...]:
    """Return for each site the positions of its rows, rising; each row goes to one site.

    `labels` (rows,) are class positions or names; "dirichlet" and "pathological" read them. "iid" deals evenly and at
    random. "dirichlet" draws each class's shares over sites from Dirichlet(`alpha`): the smaller alpha, the less alike
    sites are. "pathological" gives each site rows of `classes` classes at most. "quantity" lets sizes fall as
    1 / place^alpha. Sites with fewer than `smallest` rows get more from the largest ones. "column" makes a site of each
    value in `column` (rows,), whatever `clients` says, and moves no row. The same seed deals the same way. Raises
    `InputError` where rows, classes or values do not suffice.
    """
    truth = np.asarray(labels).reshape(len(labels), -1)[:, 0]
    if kind == "column":
        return _by_value(_texts(column, len(truth)), smallest)
    _require_enough(len(truth), clients, smallest)
    rng = np.random.default_rng(seed)
    if kind in {"iid", "quantity"}:
        falls = alpha if kind == "quantity" else 0.0
        return _dealt(_sizes(len(truth), clients, falls, smallest), np.zeros(len(truth), dtype=np.int64), rng)
    codes = _codes(truth, kind)
    many = np.bincount(codes)
    if kind == "dirichlet":
        return _dealt(_dirichlet(many, clients, alpha, smallest, rng), codes, rng)
    return _dealt(_pathological(many, clients, classes, smallest, rng), codes, rng)


def names(kind: Partition, clients: int, column: Any = None) -> tuple[str, ...]:
    """Return the names of the sites in the order of `partition`: the column's values, or "site 01", "site 02" ..."""
    if kind == "column":
        return _levels(_texts(column))
    digits = len(str(clients))
    return tuple(f"site {place:0{digits}d}" for place in range(1, clients + 1))


def holdings(
    parts: Sequence[Ints], labels: Any, classes: Sequence[str] = (), *, sites: Sequence[str] = ()
) -> list[Held]:
    """Return who holds what: for each site its rows, and the rows of each class.

    `labels` (rows,) are positions in `classes`; with no classes, as in regression, rows alone are counted. `sites` are
    the names of `names`, "site 1" and so on where none are given.
    """
    called = tuple(sites) or names("iid", len(parts))
    return [
        Held(site, len(part), _counted(np.asarray(labels)[part], classes))
        for site, part in zip(called, parts, strict=True)
    ]


def _counted(labels: NDArray[Any], classes: Sequence[str]) -> dict[str, int]:
    if not classes:
        return {}
    many = np.bincount(labels.reshape(-1).astype(np.int64), minlength=len(classes))
    return dict(zip(classes, map(int, many), strict=True))


def _require_enough(rows: int, clients: int, smallest: int) -> None:
    if clients < 1 or smallest < 1:
        where = "federated.clients" if clients < 1 else "federated.smallest"
        raise InputError(f"is {min(clients, smallest)}", where=where, expected="1 or more")
    if rows < clients * smallest:
        what = f"{rows:,} rows do not give {clients:,} sites {smallest:,} rows each"
        raise InputError(what, where="federated.smallest", do="choose fewer clients, or a lower smallest")


def _codes(labels: NDArray[Any], kind: Partition) -> Ints:
    """Labels as positions among the classes that occur."""
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise InputError(
            f"{kind!r} deals by class, and labels are numbers", where=WHERE, expected="iid, column or quantity"
        )
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def _dirichlet(many: Ints, clients: int, alpha: float, smallest: int, rng: np.random.Generator) -> Ints:
    """Rows of each class at each site, (clients, classes), by Dirichlet shares."""
    if not alpha > 0:
        raise InputError(f"is {alpha}", where="federated.alpha", expected="a number above 0")
    table = np.stack([_apportioned(_shares(alpha, clients, rng), int(each)) for each in many], axis=1)
    return _repaired(table, np.ones(table.shape, dtype=bool), smallest)


def _shares(alpha: float, clients: int, rng: np.random.Generator) -> Floats:
    """One draw from Dirichlet(alpha); all to one site where every share underflows to 0, the limit of small alpha."""
    drawn = rng.standard_gamma(alpha, size=clients)
    total = drawn.sum()
    return np.asarray(drawn / total if total > 0 else np.eye(clients)[rng.integers(clients)])


def _pathological(many: Ints, clients: int, classes: int, smallest: int, rng: np.random.Generator) -> Ints:
    """Rows of each class at each site, (clients, classes), where each site may hold a few classes only."""
    if not 1 <= classes <= len(many) or clients * classes < len(many):
        what = f"{clients} sites of {classes} classes each cannot hold {len(many)} classes between them"
        do = "let classes times clients be at least that many"
        raise InputError(what, where="federated.classes", expected=f"1 to {len(many)}", do=do)
    order = rng.permutation(len(many))
    may = np.zeros((clients, len(many)), dtype=bool)
    for slot in range(clients * classes):
        may[slot // classes, order[slot % len(many)]] = True
    table = np.stack([_apportioned(each / each.sum(), int(all_of)) for each, all_of in zip(may.T, many, strict=True)])
    return _repaired(table.T.copy(), may, smallest)


def _sizes(rows: int, clients: int, falls: float, smallest: int) -> Ints:
    """Rows of each site, (clients, 1): even, or falling as 1 / place^falls."""
    if falls < 0:
        raise InputError(f"is {falls}", where="federated.alpha", expected="0 or more")
    shares = np.arange(1, clients + 1, dtype=np.float64) ** -falls
    table = _apportioned(shares / shares.sum(), rows)[:, None]
    return _repaired(table, np.ones(table.shape, dtype=bool), smallest)


def _apportioned(shares: Floats, total: int) -> Ints:
    """Whole numbers that sum to the total and are nearest to the shares of it (largest remainders)."""
    exact = shares * total
    whole = np.floor(exact).astype(np.int64)
    rest = total - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:rest]] += 1
    return whole


def _repaired(table: Ints, may: Bools, smallest: int) -> Ints:
    """Move rows from the largest sites, within classes that a site may hold, until each site has enough."""
    while (sizes := table.sum(axis=1)).min() < smallest:
        short = int(sizes.argmin())
        cells = np.where(may[short], table, 0) * (sizes > smallest)[:, None]
        rich = int(np.where(cells.any(axis=1), sizes, -1).argmax())
        label = int(cells[rich].argmax())
        if not cells[rich, label]:
            what = f"site {short + 1} gets {sizes[short]:,} rows, and no other can spare rows of its classes"
            raise InputError(what, where="federated.smallest", do="choose a lower smallest, or more classes")
        moved = min(smallest - sizes[short], sizes[rich] - smallest, cells[rich, label])
        table[short, label] += moved
        table[rich, label] -= moved
    return table


def _dealt(table: Ints, codes: Ints, rng: np.random.Generator) -> tuple[Ints, ...]:
    """Positions of each site's rows: each class shuffled, and cut as the table says."""
    cuts = np.cumsum(table, axis=0)[:-1]
    dealt = [np.split(rng.permutation(np.flatnonzero(codes == each)), cuts[:, each]) for each in range(table.shape[1])]
    return tuple(np.sort(np.concatenate(pieces)) for pieces in zip(*dealt, strict=True))


def _by_value(texts: NDArray[Any], smallest: int) -> tuple[Ints, ...]:
    levels = _levels(texts)
    parts = tuple(np.flatnonzero(texts == each) for each in levels)
    for name, part in zip(levels, parts, strict=True):
        if len(part) < smallest:
            what, wanted = f"site {name!r} has {len(part):,} rows", f"at least {smallest:,}"
            raise InputError(what, where="federated.smallest", expected=wanted, do="lower it, or join sites")
    return parts


def _texts(column: Any, rows: int | None = None) -> NDArray[Any]:
    """The column's values as texts, one a row."""
    if column is None:
        raise InputError("nobody said which column names the site", where="federated.column", do="name it")
    values = np.asarray(column, dtype=object)
    if values.ndim != 1 or (rows is not None and len(values) != rows):
        raise InputError(f"has shape {values.shape}", where="federated.column", expected="one value for each row")
    for place, each in enumerate(values.tolist()):
        if type(each).__name__ in MISSING or each != each or each == "":  # noqa: PLR0124 - NaN alone is not itself
            raise InputError(f"row {place + 1:,} names no site", where="federated.column", expected="a value a row")
    return np.array([f"{each:g}" if isinstance(each, float) else str(each) for each in values.tolist()], dtype=object)


def _levels(texts: NDArray[Any]) -> tuple[str, ...]:
    """Numbers in rising order, anything else by the alphabet."""
    present = dict.fromkeys(texts.tolist())
    try:
        return tuple(sorted(present, key=float))
    except ValueError:
        return tuple(sorted(present))
