"""Weights of replies that are no counts of rows: those that move towards equal treatment of groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rai.train.federated.book import Sheet
from rai.train.federated.counts import gaps_of
from rai.train.federated.fairfed import Accuracies, weights
from rai.train.federated.site import Evaluated

GAP = "equal_opportunity_difference"
"""The gap that weights go by, as in the paper."""


@dataclass
class FairFed:
    """How much each reply counts, from round to round; what a site counted last is where it goes on from.

    A round goes by what sites said of the common model that it starts from, so the first one counts rows alone. A site
    that sat out rounds goes on from its last weight; one that is new, from its share of the rows.
    """

    beta: float
    last: dict[int, float] = field(default_factory=dict)

    def __call__(self, sheet: Sheet, before: Sheet | None) -> Mapping[int, float]:
        """Return the weights of the replies of a round, by site."""
        sites = list(sheet.weights)
        total = sum(sheet.weights.values())
        start = [self.last.get(site, sheet.weights[site] / total) for site in sites]
        if before is not None and sum(start) > 0:
            start = self._moved(sites, sheet, before, start)
        self.last.update(zip(sites, start, strict=True))
        return dict(zip(sites, start, strict=True))

    def _moved(self, sites: list[int], sheet: Sheet, before: Sheet, start: list[float]) -> list[float]:
        seen = [before.evaluations.get(site, Evaluated(None, None, 0)) for site in sites]
        values, local = before.values, [each.accuracy for each in seen]
        accuracies = Accuracies(local, values["accuracy"]) if "accuracy" in values else None
        found = weights(
            [sheet.examples[site] for site in sites],
            [gaps_of(each.counts).get(GAP) for each in seen],
            values.get(GAP),
            beta=self.beta,
            previous=start,
            accuracies=accuracies,
        )
        return [float(each) for each in found]
