"""What training used, as its ledger states it, and how that compares with use."""

from types import MappingProxyType

from rai.audits._lift import undefined
from rai.audits.energy.usage import Band, Costs
from rai.energy import break_even, cross_check, lifetime_grams
from rai.evidence import Measurement
from rai.ledger import Energy, Ledger

NO_LEDGER = (
    "there is no ledger of its training: train with rai train, place ledger.json beside the model, or in Python pass "
    "ledger="
)
NO_ENERGY = "the ledger holds no energy: train with a table [energy] in the recipe"
NO_FLOPS = "the ledger does not say how many operations training took"
EXPECTED = 1_000_000.0
UNITS = MappingProxyType(
    {
        "training_kwh": "kWh",
        "training_grams": "g",
        "training_joules_per_flop": "J",
        "lifetime_grams": "g",
        "break_even_predictions": "",
    }
)


def measurements(ledger: Ledger | None, each: Costs) -> tuple[Measurement, ...]:
    """Training and lifetime; undefined, with what to do, where the ledger has nothing on them."""
    spent = ledger.energy if ledger else None
    if ledger is None or spent is None:
        reason = NO_LEDGER if ledger is None else NO_ENERGY
        return tuple(undefined(name, reason, unit=unit) for name, unit in UNITS.items())
    rows, method = ledger.data.rows, f"{spent.method}, as the ledger states; the meter's band"
    kwh, grams = Band(spent.kwh, spent.low, spent.high), grams_of(spent)
    whole = lifetime(grams, each, expected(ledger))
    return (
        _measurement("training_kwh", kwh, rows, "kWh", method),
        _measurement("training_grams", grams, rows, "g", method),
        _per_flop(spent, rows, method),
        _measurement("lifetime_grams", whole, rows, "g", "training and use, both with their bands"),
        _break_even(grams, each, rows),
    )


def grams_of(spent: Energy) -> Band:
    """Grams of training, the share of the hardware's making among them."""
    return Band(*(each + spent.embodied_grams for each in (spent.grams, spent.grams_low, spent.grams_high)))


def lifetime(grams: Band, each: Costs, predictions: float) -> Band:
    """Training and so many predictions, end by end."""
    pairs = ((grams.value, each.grams.value), (grams.low, each.grams.low), (grams.high, each.grams.high))
    return Band(*(lifetime_grams(training, one, predictions) for training, one in pairs))


def expected(ledger: Ledger) -> float:
    """Predictions over the lifetime, as the recipe counts them."""
    table = ledger.recipe.get("energy")
    return float(table.get("predictions", EXPECTED)) if isinstance(table, dict) else EXPECTED


def embodied_per_second(ledger: Ledger | None) -> float:
    """Grams of the hardware's making a second, as training was charged; 0 where nobody stated them."""
    spent = ledger.energy if ledger else None
    return spent.embodied_grams / spent.seconds if spent and spent.seconds > 0 else 0.0


def caveats(ledger: Ledger | None) -> tuple[str, ...]:
    """What the ledger's own inputs leave open."""
    spent = ledger.energy if ledger else None
    if ledger is None or spent is None:
        return (f"Training was not measured: {NO_LEDGER if ledger is None else NO_ENERGY}.",)
    check = cross_check(
        3.6e6 * spent.kwh,
        flops=spent.flops,
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        gpus="NVML" in spent.method,
    )
    second = [f"{name.replace('_', ' ')} {value:.3g}" for name, value in spent.also.items()]
    return (
        f"The meter of training is {check.words}.",
        *([f"A second meter beside it: {', '.join(second)}."] if second else []),
        *([] if spent.embodied_grams else ["The making of the hardware was not stated and is not counted."]),
    )


def _per_flop(spent: Energy, rows: int, method: str) -> Measurement:
    if not spent.flops:
        return undefined("training_joules_per_flop", NO_FLOPS, unit="J")
    band = Band(spent.kwh, spent.low, spent.high).times(3.6e6 / spent.flops)
    return _measurement("training_joules_per_flop", band, rows, "J", method)


def _break_even(grams: Band, each: Costs, rows: int) -> Measurement:
    one = each.grams
    found = break_even(grams.value, one.value), break_even(grams.low, one.high), break_even(grams.high, one.low)
    if found[0] is None or found[1] is None:
        return undefined("break_even_predictions", "a prediction used too little to be measured")
    if found[2] is None:
        found = (found[0], None, None)
    reason = "" if found[2] is not None else "a prediction may have cost nothing, so there is no highest number"
    return Measurement("break_even_predictions", *found, rows, method="training over one prediction", reason=reason)


def _measurement(name: str, band: Band, rows: int, unit: str, method: str) -> Measurement:
    return Measurement(name, band.value, band.low, band.high, rows, unit=unit, method=method)
