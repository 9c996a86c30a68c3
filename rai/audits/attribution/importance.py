"""How much each feature moves the decisions, with how sure that is, and which one moves them most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rai.audits._exhibits import bars, percent
from rai.audits._lift import lift, undefined
from rai.audits.attribution.reasons import DRAWS, Draws, Reasons, resampled
from rai.evidence import Bars, Evidence, Measurement, Text
from rai.stats.estimates import Estimate
from rai.subject import Floats

TOP = 15
UNMOVED = "no feature moves the score of any explained row: there is nothing to share out"
NO_WORDS = "no word occurs in five of the explained texts"
INTERVAL = f"row bootstrap, {DRAWS} draws, percentile 95%, wider by the mean standard error of the values"


@dataclass(frozen=True)
class Ranked:
    """The reasons with their bootstrap draws: all that the sections on importance speak of."""

    reasons: Reasons
    draws: Draws

    def importance(self, place: int, facet: Mapping[str, str]) -> Measurement:
        """Mean size of one feature's values, in units of the score."""
        reasons = self.reasons
        doubt = float(reasons.errors[:, place].sum() / max(reasons.counts[:, place].sum(), 1))
        found = self._estimate(float(reasons.importance[place]), self.draws.importance[:, place], doubt, place)
        return lift(found, "importance", facet=facet, unit=unit_of(reasons))

    def share(self, place: int, name: str, facet: Mapping[str, str]) -> Measurement:
        """One feature's part of all that moved the scores."""
        reasons = self.reasons
        if not reasons.moved:
            return undefined(name, UNMOVED, rows=len(reasons.rows), facet=facet, unit="share")
        doubt = float(reasons.errors[:, place].sum() / reasons.total.sum())
        found = self._estimate(float(reasons.shares[place]), self.draws.shares[:, place], doubt, place)
        high = None if found.high is None else min(1.0, found.high)
        return lift(replace(found, high=high), name, facet=facet, unit="share")

    def _estimate(self, value: float, drawn: Floats, doubt: float, place: int) -> Estimate:
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        rows = int((self.reasons.counts[:, place] > 0).sum())
        bounds = max(0.0, min(float(low), value) - doubt), max(float(high), value) + doubt
        return Estimate(value, *bounds, rows, INTERVAL)


def ranked(reasons: Reasons, rng: np.random.Generator) -> Ranked:
    """The reasons with bootstrap draws of them."""
    return Ranked(reasons, resampled(reasons, rng))


def unit_of(reasons: Reasons) -> str:
    """The unit of the score, without the class it speaks of."""
    return reasons.scale.split(" of ")[0]


def importance_evidence(found: Ranked, *, words: bool) -> Evidence:
    """Importance and share of the first 15 features, who comes first, and bars of both."""
    reasons, kind = found.reasons, "word" if words else "feature"
    if not reasons.names or not reasons.moved:
        reason = UNMOVED if reasons.names else NO_WORDS
        return Evidence(
            tuple(undefined(name, reason, rows=len(reasons.rows)) for name in ("importance_share", "dominant_share"))
        )
    places = reasons.order[:TOP].tolist()
    facets = [{"feature": reasons.names[place]} for place in places]
    sizes = [found.importance(place, {"feature": reasons.names[place]}) for place in _farthest(reasons, words=words)]
    shares = [found.share(place, "importance_share", facet) for place, facet in zip(places, facets, strict=True)]
    first = found.share(places[0], "dominant_share", facets[0])
    exhibits = (_first_words(shares, kind), _share_bars(shares, kind), _size_bars(sizes, kind))
    return Evidence((first, *sizes, *shares), exhibits)


def joined_evidence(found: Ranked, key: str) -> Evidence:
    """Shares of features put together, for example of all time steps of one series; `key` names the facet."""
    reasons = found.reasons
    if not reasons.moved:
        return Evidence(())
    places = reasons.order[:TOP].tolist() if key == "series" else list(range(len(reasons.names)))
    shares = [found.share(place, "importance_share", {key: reasons.names[place]}) for place in places]
    title = f"Part of all that moves the score, by {key}: most by {reasons.names[int(reasons.order[0])]}"
    return Evidence(tuple(shares), (bars(title, shares, key),))


def _first_words(shares: Sequence[Measurement], kind: str) -> Text:
    """Which feature comes first, and whether its interval lies apart from the next one's."""
    first = shares[0]
    told = f"The {kind} that moves the score most is {_named(first)}."
    if len(shares) == 1:
        return Text(f"First: {first.facet['feature']}", f"{told} There is no other.")
    second = shares[1]
    apart = first.low is not None and second.high is not None and first.low > second.high
    verdict = "The intervals do not overlap" if apart else "The intervals overlap, so which comes first is not settled"
    return Text(f"First: {first.facet['feature']}", f"{told} Next comes {_named(second)}. {verdict}.")


def _named(found: Measurement) -> str:
    name = found.facet["feature"]
    if found.value is None or found.low is None or found.high is None:
        return name
    return f"{name}, with {percent(found.value)} of all that moves it ({percent(found.low)} to {percent(found.high)})"


def _share_bars(shares: Sequence[Measurement], kind: str) -> Bars:
    return bars(f"Part of all that moves the score, by {kind}: most by {shares[0].facet['feature']}", shares, "feature")


def _farthest(reasons: Reasons, *, words: bool) -> list[int]:
    """Features whose size is told: those with the largest shares, of words those that move most where they stand."""
    order = np.argsort(-reasons.importance, kind="stable") if words else reasons.order
    return [int(place) for place in order[:TOP]]


def _size_bars(sizes: Sequence[Measurement], kind: str) -> Bars:
    """How far each feature moves the score where it is there, farthest first."""
    far = sorted(sizes, key=lambda each: -(each.value or 0.0))
    where = " where it stands" if kind == "word" else ""
    farthest = far[0].facet["feature"]
    title = f"How far each {kind} moves the score on average{where}, without sign: farthest by {farthest}"
    return bars(title, far, "feature")
