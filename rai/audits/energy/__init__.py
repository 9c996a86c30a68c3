"""What did this model cost the climate, and what will it?

Measures what predictions use while the model answers, takes what training used from its ledger, and reckons both over
the model's life. Sources: ISO/IEC 21031:2024 (Software Carbon Intensity); Luccioni, Jernite and Strubell 2024 (Power
Hungry Processing); EU AI Act Art. 40(2) and Annex XI.
"""

from rai.audits.energy import exhibits, training
from rai.audits.energy.usage import Costs, Usage, costs, grid_of, use
from rai.energy import Intensity, so_far
from rai.evidence import Evidence, Measurement
from rai.subject import Subject

NEEDS = ("features",)
MEASURES = (
    "joules_per_prediction",
    "grams_per_1000_predictions",
    "audit_grams",
    "training_kwh",
    "training_grams",
    "training_joules_per_flop",
    "lifetime_grams",
    "break_even_predictions",
)
METHOD = (
    "Predictions: the model answered rows of the test data again and again, and the processor's energy was read before "
    "and after; the t interval over the repeats is widened by the band of the meter, so it is no mere sampling "
    "interval. Grams are kWh times the intensity of the grid, and the share of the hardware's making where the ledger "
    "states one: SCI = ((E × I) + M) / R of ISO/IEC 21031:2024. Training: as its ledger states. Lifetime: training "
    "and the predictions that the recipe counts on. Break-even: after how many predictions use has cost as much as "
    "training; its interval sets the low end of one against the high end of the other."
)
PASSING = (
    "Energy was measured while this report was made: another run gives other numbers, so this section is left out of "
    "the report's digest and has one of its own."
)


def measure(subject: Subject) -> Evidence:
    """Measure use, read training from the ledger, and reckon both over the model's life."""
    grid = grid_of(subject.ledger)
    found = use(subject)
    each = costs(found, grid, training.embodied_per_second(subject.ledger))
    made = (*_of_use(found, each), _of_the_audit(subject, grid), *training.measurements(subject.ledger, each))
    return Evidence(made, exhibits.build(subject, each, made), METHOD, _caveats(subject, found, grid), repeatable=False)


def _of_use(found: Usage, each: Costs) -> tuple[Measurement, ...]:
    method = f"{found.reading.method}; t 95% interval over {found.repeats} repeats, widened by the meter's band"
    named = (("joules_per_prediction", each.joules, "J"), ("grams_per_1000_predictions", each.grams.times(1000), "g"))
    return tuple(
        Measurement(
            name,
            band.value,
            None if found.reason else band.low,
            None if found.reason else band.high,
            found.rows,
            unit=unit,
            method=method,
            reason=found.reason,
        )
        for name, band, unit in named
    )


def _of_the_audit(subject: Subject, grid: Intensity) -> Measurement:
    part = so_far()
    grams, low, high = (
        joules / 3.6e6 * each
        for joules, each in ((part.joules, grid.grams), (part.low, grid.low), (part.high, grid.high))
    )
    return Measurement(
        "audit_grams", grams, low, high, subject.data.rows, unit="g", method=f"{part.method}; the meter's band"
    )


def _caveats(subject: Subject, found: Usage, grid: Intensity) -> tuple[str, ...]:
    asked = f"{found.rows:,} rows at a time" if found.rows > 1 else "one row at a time"
    return (
        PASSING,
        f"Place: {grid.place}, {grid.grams:g} g CO2e/kWh; {grid.source}.",
        f"The model answered {asked} on the machine of this audit; another machine, or rows that come singly, differ.",
        "Loading the model, cooling, network and storage are not counted.",
        "The audit's own cost is that of its process since it was started, whatever it did before.",
        *training.caveats(subject.ledger),
    )
