"""The pictures of the section: what was used for what, and how use catches up with training."""

from collections.abc import Iterable

from rai.audits._exhibits import figure, number
from rai.audits.energy.training import expected, grams_of
from rai.audits.energy.usage import Band, Costs
from rai.evidence import Curve, Exhibit, Line, Measurement, Table
from rai.subject import Subject

ROWS = (
    ("training_kwh", "Training, energy"),
    ("training_grams", "Training, emissions"),
    ("joules_per_prediction", "One prediction, energy"),
    ("grams_per_1000_predictions", "1,000 predictions, emissions"),
    ("lifetime_grams", "Training and all predictions expected, emissions"),
    ("break_even_predictions", "Predictions after which use has cost as much as training"),
    ("audit_grams", "The process of this audit so far, emissions"),
)
POINTS = 21


def build(subject: Subject, each: Costs, made: Iterable[Measurement]) -> tuple[Exhibit, ...]:
    """A table of everything, and where training is known a curve over the predictions expected."""
    found = {one.name: one for one in made}
    table = _table(found)
    if subject.ledger is None or subject.ledger.energy is None:
        return (table,)
    return table, _curve(grams_of(subject.ledger.energy), each.grams, expected(subject.ledger))


def _table(found: dict[str, Measurement]) -> Table:
    one = found["grams_per_1000_predictions"]
    used = f"1,000 predictions cost about {figure(one.value, one.unit)} of CO2e"
    trained = found["training_grams"]
    before = f", training {figure(trained.value, trained.unit)}" if trained.value is not None else ""
    return Table(
        used + before,
        "; ".join(f"{words}: {figure(found[name].value, found[name].unit)}" for name, words in ROWS) + ".",
        ("what", "unit", "value", "low", "high", "how"),
        tuple(_row(words, found[name]) for name, words in ROWS),
    )


def _row(words: str, found: Measurement) -> tuple[str | float | None, ...]:
    bounds = (found.value, found.low, found.high)
    return words, found.unit, *(_telling(each) for each in bounds), found.method or found.reason


def _telling(value: float | None) -> float | None:
    """A large number without decimals that would tell nothing."""
    return value if value is None or abs(value) < 1000 else round(value)


def _curve(trained: Band, one: Band, predictions: float) -> Curve:
    x = tuple(predictions * place / (POINTS - 1) for place in range(POINTS))
    used, before = predictions * one.value, tuple(trained.value for _ in x)
    more = "use costs more than training" if used > trained.value else "training costs more than use"
    ends = sorted((used, trained.value), reverse=True)
    title = f"Over {predictions:,.0f} predictions {more}: {number(ends[0])} g against {number(ends[1])} g"
    use = Line("use", x, *(tuple(n * end for n in x) for end in (one.value, one.low, one.high)))
    training = Line("training", x, before, tuple(trained.low for _ in x), tuple(trained.high for _ in x))
    alt = (
        f"Use grows by {number(1000 * one.value)} g for each 1,000 predictions; training is {number(trained.value)} g."
    )
    return Curve(title, alt, "predictions", "g CO2e", (training, use))
