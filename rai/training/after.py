"""The card of a network that training has put together with others, so that its file of bare tensors can be read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rai.card import Card, Column, Head, Network
from rai.errors import InputError
from rai.subject import UNKNOWN, Data, Groups

Levels = Mapping[str, tuple[str, ...]]
WHERE = "fair.attribute_at_predict"


def card_after(card: Card, module: Any, needed: Levels | None = None) -> Card:
    """Return the card of a module that was made from the card's own network; `needed` names columns told at predict.

    Those columns, each with its levels in order, follow the model's own inputs.
    """
    if card.network is None:
        raise InputError("names no network", where="network", expected="network.kind")
    network = network_after(module, card.network)
    if network == card.network:
        return card
    told = tuple(Column(name, "category", categories=levels) for name, levels in (needed or {}).items())
    names = tuple(each.name for each in told)
    several = card.task == "multiclass" or card.head in {Head.LOGITS, Head.PROBABILITIES}
    head = Head.LOGITS if several else Head.LOGIT
    return replace(card, network=network, head=head, columns=(*card.columns, *told), needed_at_predict=names)


def network_after(module: Any, base: Network) -> Network:
    """Return what a card names to get an empty module like this one back; `base` is what training began with."""
    from rai.networks.adjusted import Adjusted
    from rai.networks.mixture import Mixture
    from rai.networks.thresholded import Thresholded
    from rai.train.fair.thresholds import described

    if isinstance(module, Mixture):
        return Network("mixture", {"count": len(module.members)}, {"member": base})
    return described(module, base) if isinstance(module, Adjusted | Thresholded) else base


def require_tellable(card: Card, names: Iterable[str], learned: Data, test: Data) -> None:
    """Raise `InputError` unless each of these sensitive columns can be an input beside the model's own.

    That takes a table, and a column that is neither cut into bands nor an input already, nowhere empty, and of no level
    in the test rows that there is none of in the others.
    """
    if card.input is not None:
        raise InputError(f"is on, and each row is of kind {learned.kind}", where=WHERE, expected="a table")
    for name in names:
        problem = next(_untellable(card, learned.groups[name], test.groups[name]), None)
        if problem is not None:
            raise InputError(f"is on, and column {name!r} {problem}", where=WHERE, do="mend the rows, or leave it off")


def _untellable(card: Card, learned: Groups, test: Groups) -> Iterator[str]:
    if learned.name in card.data.bands:
        yield "is cut into bands"
    if learned.name in {each.name for each in card.columns}:
        yield "is an input already"
    if any((each.codes == UNKNOWN).any() for each in (learned, test)):
        yield "is empty in some rows"
    if not set(test.levels) <= set(learned.levels):
        yield "has a level in the test rows alone"
