"""A few lines that say what a training came to."""

from collections.abc import Iterator

from rai.ledger import Ledger


def told(ledger: Ledger) -> tuple[str, ...]:
    """Rows and epochs, the promise where there is one, energy, and every warning."""
    return tuple(_lines(ledger))


def _lines(ledger: Ledger) -> Iterator[str]:
    last = ledger.epochs[-1] if ledger.epochs else None
    loss = f", last loss {last.loss:.4g}" if last else ""
    yield f"trained on {ledger.data.rows:,} rows, {ledger.parameters:,} parameters, {len(ledger.epochs)} epochs{loss}"
    promise = ledger.privacy
    if promise is not None:
        yield f"promised: ε {promise.epsilon:.3g} at δ {promise.delta:g} for each {promise.unit}"
        yield from (f"not covered by the promise: {each}" for each in promise.waived)
    if ledger.runs:
        yield f"tried: {len(ledger.runs)} runs on the same rows"
    spent = ledger.energy
    if spent is not None:
        band = f"{spent.low:.2g} to {spent.high:.2g}"
        yield f"used: {spent.kwh:.3g} kWh ({band}), {spent.grams:.3g} g CO2e, {spent.place}"
    yield from (f"warning: {each}" for each in ledger.warnings)
