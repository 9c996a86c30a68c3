"""What else the ledger tells: on which rows, for how long, with what, and which of it could be held against a file."""

from collections.abc import Iterator, Mapping

from rai.audits.training.rows import COUNTED, stated, trained_rows, unstated
from rai.evidence import Evidence, Measurement, Table
from rai.ledger import Ledger, seal_of
from rai.subject import Subject

MOST = 60
"""Keys of the recipe are listed up to so many."""
SHORT = 16


def evidence(subject: Subject, ledger: Ledger) -> Evidence:
    """The account of the training, its recipe, and whether the reference rows are those it was trained on."""
    shapes = (_account(ledger), *_recipe(ledger))
    return Evidence((_parameters(ledger),), shapes, caveats=tuple(_held(subject, ledger)))


def _parameters(ledger: Ledger) -> Measurement:
    rows = trained_rows(ledger)
    if not ledger.parameters or not rows:
        return unstated("parameters_per_row", "the ledger does not say how many parameters were trained", ledger)
    return stated("parameters_per_row", ledger.parameters / rows, ledger, method=COUNTED)


def _account(ledger: Ledger) -> Table:
    facts = tuple(_facts(ledger))
    alt = f"{ledger.data.rows:,} rows, {len(ledger.epochs):,} epochs and {ledger.seconds:,.1f} seconds."
    return Table(f"How the model was trained, {ledger.made}", alt, ("what", "value"), facts)


def _facts(ledger: Ledger) -> Iterator[tuple[str, str]]:
    yield "rows", f"{ledger.data.rows:,} from {ledger.data.source}"
    yield from (("split", _named(ledger.split)) for _ in [0] if ledger.split)
    yield "SHA-256 of the rows", _short(ledger.data.sha256)
    yield "SHA-256 of the model file", _short(ledger.model)
    yield "seal of the ledger", _short(seal_of(ledger))
    yield "epochs", f"{len(ledger.epochs):,}"
    yield "parameters", f"{ledger.parameters:,}" if ledger.parameters else "not stated"
    yield "seed", str(ledger.seed)
    yield "seconds", f"{ledger.seconds:,.1f} ({ledger.cpu_seconds:,.1f} of processors)"
    yield "floating-point operations", "not stated" if ledger.flops is None else f"{ledger.flops:.3g}"
    yield "runs on the same rows", f"{len(ledger.runs):,}"
    yield "made with", _named({"rai": ledger.rai, **ledger.versions})


def _short(digest: str) -> str:
    return f"{digest[:SHORT]}…" if digest else "none"


def _named(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in values.items()
    )


def _recipe(ledger: Ledger) -> tuple[Table, ...]:
    found = tuple(_flat(ledger.recipe))
    if not found:
        return ()
    alt = "What whoever trained the model chose, and the defaults they left."
    title = f"The recipe, {len(found)} keys"
    title += f", of which {MOST} are listed" if len(found) > MOST else ""
    return (Table(title, alt, ("key", "value"), found[:MOST]),)


def _flat(values: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested tables as dotted keys: {"fit": {"epochs": 3}} becomes fit.epochs."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", "not given" if value is None else str(value)


def _held(subject: Subject, ledger: Ledger) -> Iterator[str]:
    """What comparing the ledger's file of rows with the files of this audit shows."""
    file, reference = ledger.data.file, subject.reference
    if file and subject.data.source.sha256 == file:
        yield "The test rows come from the very file that the model was trained on: they may flatter it."
    if reference is None:
        return
    if not file or not reference.source.sha256:
        yield "Whether the reference rows are those of the training was not compared: no hash of a file is recorded."
    elif reference.source.sha256 == file:
        yield "The reference rows come from the very file that the ledger names."
    else:
        yield "The reference rows are not from the file that the ledger names: they are not those of the training."
