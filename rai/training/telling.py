"""A few lines that say what a training came to."""

from collections.abc import Iterator

from rai.ledger import Federation, Ledger

MOST_SITES = 12
FEW = 3
"""So many sites are told one by one; of more, those few where the model is worth least."""
LEAST = 5
"""On fewer rows held back nothing is told of a site."""


def told(ledger: Ledger) -> tuple[str, ...]:
    """Rows and epochs, sites, the promises where there are any, energy, and every warning."""
    return tuple(_lines(ledger))


def _lines(ledger: Ledger) -> Iterator[str]:
    last, federation = ledger.epochs[-1] if ledger.epochs else None, ledger.federation
    loss = f", last loss {last.loss:.4g}" if last else ""
    done = f"{len(ledger.epochs)} epochs" if federation is None else f"{len(federation.rounds)} rounds"
    yield f"trained on {ledger.data.rows:,} rows, {ledger.parameters:,} parameters, {done}{loss}"
    if federation is not None:
        yield from _sites(federation)
    yield from _promised(ledger)
    aim = ledger.mitigation
    if aim is not None:
        asked = f"{aim.criterion.replace('_', ' ')} by {', '.join(aim.sensitive)}"
        yield f"aimed at: {asked}, with {aim.method.replace('_', ' ')} at strength {aim.strength:g}"
    if ledger.runs:
        yield f"tried: {len(ledger.runs)} run{'s' * (len(ledger.runs) > 1)} on the same rows"
    spent = ledger.energy
    if spent is not None:
        band = f"{spent.low:.2g} to {spent.high:.2g}"
        yield f"used: {spent.kwh:.3g} kWh ({band}), {spent.grams:.3g} g CO2e, {spent.place}"
    yield from (f"warning: {each}" for each in ledger.warnings)


def _sites(federation: Federation) -> Iterator[str]:
    """Who learned together and how, and whose updates were left out, with the first reason of each."""
    smallest, largest = (f(each.rows for each in federation.sites) for f in (min, max))
    held = f"{smallest:,} to {largest:,} rows each" if smallest != largest else f"{smallest:,} rows each"
    yield f"sites: {len(federation.sites)} ({federation.partition}), {held}; joined by {federation.strategy}"
    for site in federation.sites:
        replies = [(each.number, each.replies[site.name]) for each in federation.rounds if site.name in each.replies]
        left_out = [(number, reply.excluded) for number, reply in replies if reply.excluded]
        if left_out:
            number, reason = left_out[0]
            yield f"left out: {site.name} in {len(left_out)} of {len(replies)} rounds; in round {number}: {reason}"
    yield from _each(federation)
    yield from _tried(federation)


def _tried(federation: Federation) -> Iterator[str]:
    """What the model would be worth to honest sites by strategy and attack, where that was tried."""
    test = federation.stress_test
    if test is None:
        return
    yield f"stress test: {len(test.attackers)} of {len(federation.sites)} sites attacked; worth to the others:"
    for strategy, worths in federation.stress.items():
        yield f"{strategy}: " + ", ".join(f"{attack} {worth:.3g}" for attack, worth in worths.items())


def _each(federation: Federation) -> Iterator[str]:
    """What the model is worth at each site, or where there are many at those where it is worth least."""
    seen = federation.rounds[-1].replies if federation.rounds else {}
    worth = {name: each.accuracy for name, each in seen.items() if each.accuracy is not None and each.held_out >= LEAST}
    shown = [each for each in federation.sites if each.name in worth]
    if len(shown) > MOST_SITES:
        yield f"the {FEW} sites of {len(shown)} where the model is worth least:"
        shown = sorted(shown, key=lambda each: worth[each.name])[:FEW]
    name = "accuracy" if any(each.classes for each in federation.sites) else "r2"
    for site in shown:
        reply = seen[site.name]
        learned = f"learned from {reply.examples:,} rows; " if reply.examples else ""  # 0: who took part stays secret
        alone = "" if site.alone is None else f"; {site.alone:.3g} when trained alone"
        spent = "" if site.epsilon is None else f"; ε {site.epsilon:.3g}"
        yield f"{site.name}: {learned}{name} {worth[site.name]:.3g} on {reply.held_out:,} rows held back{alone}{spent}"


def _promised(ledger: Ledger) -> Iterator[str]:
    """What is promised to rows, and apart from it what is promised to whole sites; and what neither covers."""
    promise, federation = ledger.privacy, ledger.federation
    if promise is not None:
        over = "" if federation is None else ", the largest over sites"
        yield f"promised: ε {promise.epsilon:.3g} at δ {promise.delta:g} for each {_unit(promise.unit)}{over}"
        yield from (f"not covered by the promise: {each}" for each in promise.waived)
    if federation is None:
        return
    whole = federation.client_privacy
    if whole is not None:
        yield f"promised: ε {whole.epsilon:.3g} at δ {whole.delta:g} for each site as a whole; {federation.assumption}"
        yield from (f"not covered by the promise to sites: {each}" for each in whole.waived)
    yield from (f"left the sites without noise: {each}" for each in federation.unnoised)


def _unit(unit: str) -> str:
    column = unit.removeprefix("group:")
    return unit if column == unit else f"group of rows with one value of {column}"
