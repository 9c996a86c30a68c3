"""How far is the worst site behind? Intervals that hold although the worst is picked after the fact.

The worst of several noisy shares lies too low on average. So a bound that claims something of it must hold for every
site at once (Bonferroni), and one that claims nothing may hold for each site alone, as in `rai.stats.pairs`.
"""

import numpy as np

from rai.stats.estimates import Estimate
from rai.stats.pairs import newcombe
from rai.stats.proportions import Bounds, clopper_pearson, normal_quantile, tally, wilson
from rai.subject import Floats, Ints


def worst_share(right: Ints, rows: Ints, *, level: float = 0.95) -> Estimate:
    """The smallest of several shares: lower bound pointwise, upper bound simultaneous over all of them."""
    low = float(wilson(right, rows, level=level).low.min())
    high = float(clopper_pearson(right, rows, level=_for_all(level, len(rows))).high.min())
    value = float((right / rows).min())
    method = f"{level:.0%}: Wilson's bound below, Clopper and Pearson's, simultaneous over {len(rows)} sites, above"
    return Estimate(value, min(low, value), max(high, value), int(rows.sum()), method)


def shortfall(right: Ints, rows: Ints, *, level: float = 0.95) -> Estimate:
    """Mean of several shares less the smallest, each share counting once: 0 where all are alike.

    Bounds of mean less share come from bounds of the shares (Zou & Donner 2008, Statistics in Medicine 27:1693): the
    lower one, simultaneous over all shares, from Clopper and Pearson's, as far out Wilson's fall short for few rows.
    """
    share, sites = right / rows, len(rows)
    near = _apart(share, clopper_pearson(right, rows, level=_for_all(level, sites))).low.max()
    far = _apart(share, wilson(right, rows, level=level)).high.max()
    value = float(share.mean() - share.min())
    method = f"{level:.0%} interval from the bounds of {sites} sites, simultaneous below and pointwise above"
    return Estimate(value, min(max(float(near), 0.0), value), max(float(far), value), int(rows.sum()), method)


def _apart(share: Floats, bounds: Bounds) -> Bounds:
    """Bounds of the mean less each share, (sites,)."""
    weights = np.full((len(share), len(share)), 1 / len(share)) - np.eye(len(share))
    down, up = share - bounds.low, bounds.high - share
    below = np.where(weights > 0, weights * down, weights * up)
    above = np.where(weights > 0, weights * up, weights * down)
    middle = weights @ share
    return Bounds(middle - np.sqrt((below**2).sum(axis=1)), middle + np.sqrt((above**2).sum(axis=1)))


def advantages(first: Ints, second: Ints, rows: Ints, *, level: float = 0.95) -> Bounds:
    """Bounds of first less second share at each site, both of the same `rows`, simultaneous over all sites.

    Newcombe's bounds for separate samples (1998). Two models are right about many of the same rows, so that these are
    wider than they need be; how many rows they share is not known here.
    """
    both = tally(np.stack([first, second], axis=-1), np.stack([rows, rows], axis=-1))
    found = newcombe(both, normal_quantile(_for_all(level, len(rows))))
    return Bounds(found.low[:, 0, 1], found.high[:, 0, 1])


def _for_all(level: float, count: int) -> float:
    return 1 - (1 - level) / max(count, 1)
