"""The model before mitigation: opened beside the model on trial, and asked about the same rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rai.card import Card, Head, ImageInput, SequenceInput, TextInput, read_card
from rai.errors import InputError
from rai.files import require_settled, sha256
from rai.models import Loaded, from_object, heads, load
from rai.models.stored import StoredScores
from rai.subject import Data, Floats, Model, Trust

PROBE_ROWS = 256
WHERE = "baseline"
FOR_PEOPLE = frozenset({"immutable", "minimum", "maximum", "direction", "patches", "segments"})
"""What a card says of inputs for explanations and recourse alone: two models may differ in it."""


@dataclass(frozen=True)
class Baseline:
    """A model that is handed those inputs of a row that it knows, and decides from its own `threshold` on.

    `inputs` are their positions, None where it takes all. `note` names the model to the reader of a report.
    """

    model: Model
    threshold: float
    inputs: tuple[int, ...] | None = None
    note: str = ""

    @property
    def head(self) -> Head:
        """How the numbers are to be read."""
        return self.model.head

    @property
    def trust(self) -> Trust:
        """What had to be believed in order to load it."""
        return self.model.trust

    def scores(self, inputs: Any) -> Floats:
        """Return the raw outputs, shape (rows, outputs)."""
        return self.model.scores(self._own(inputs))

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:
        """Run a top-level function `procedure(module, inputs, **arguments)` where the torch module lives."""
        return self.model.inside(procedure, self._own(inputs), **arguments)

    def _own(self, inputs: Any) -> Any:
        return inputs if self.inputs is None else inputs[:, list(self.inputs)]


def from_file(card: Card, path: Path, data: Data, *, allow_code: bool = False) -> Baseline | None:
    """Open the baseline that the card at `path` names, None where it names none, and try it on every row of `data`.

    Its own card lies beside it as NAME.toml. Raise `InputError` unless it takes the same inputs (less the columns that
    the card needs at predict time) and decides about the same classes.
    """
    if card.baseline is None:
        return None
    file = path.parent / card.baseline
    require_settled(file)
    beside = file.with_suffix(".toml")
    own = _read(beside)
    _require_same_question(own, card, beside)
    places = _places(own, card, data, beside)
    probe = data.inputs[:PROBE_ROWS]
    loaded = load(file, own, probe if places is None else probe[:, list(places)], allow_code=allow_code)
    return _sound(Baseline(loaded.model, own.threshold, places, _told(loaded, file.name, own)), data)


def from_memory(thing: Any, card: Card, data: Data) -> Baseline:
    """Take a baseline from memory, to be asked about the same inputs and to decide at the same threshold.

    Stored scores are taken as they are. Raise `InputError` for what cannot be asked or read.
    """
    if isinstance(thing, StoredScores):
        return _sound(Baseline(thing, card.threshold, None, "Compared with the predictions of a baseline."), data)
    loaded = from_object(thing, card, data.inputs[:PROBE_ROWS], tokens=data.kind == "text")
    return _sound(Baseline(loaded.model, card.threshold, None, _told(loaded, type(thing).__name__, card)), data)


def notes_of(baseline: Model | None) -> tuple[str, ...]:
    """What a reader of the report should know of the baseline, if there is one."""
    return (baseline.note,) if isinstance(baseline, Baseline) and baseline.note else ()


def _sound(baseline: Baseline, data: Data) -> Baseline:
    heads.require_sound(baseline.head, baseline.scores(data.inputs), WHERE)
    return baseline


def _told(loaded: Loaded, name: str, card: Card) -> str:
    digest = f", SHA-256 {loaded.sha256}" if loaded.sha256 else ""
    threshold = f", threshold {card.threshold:g}" if card.task == "binary" else ""
    how = f"{loaded.format}, {loaded.model.trust}, head {loaded.model.head}{threshold}"
    return f"Compared with the baseline {name}{digest} ({how})."


def _read(path: Path) -> Card:
    own = read_card(path)
    given = own.input
    if isinstance(given, TextInput):
        given = replace(given, vocabulary=str(path.parent / given.vocabulary))
    return replace(own, input=given)


def _require_same_question(own: Card, card: Card, path: Path) -> None:
    """One line that names the first key by which the two models do not answer the same question."""
    for key, given, wanted in _differences(own, card):
        if given != wanted:
            raise InputError(
                f"key {key} of the baseline is {_words(given)}, and of the model {_words(wanted)}",
                where=path,
                expected="a baseline for the same inputs and classes",
                do="name another file as baseline in the model's card, or leave it out",
            )


def _differences(own: Card, card: Card) -> Iterator[tuple[str, object, object]]:
    yield "task", own.task, card.task
    yield "classes", own.classes, card.classes
    yield "positive", _positive(own), _positive(card)
    yield "input.kind", _kind(own), _kind(card)
    yield from _fields("input", _described(own), _described(card))
    names = [each.name for each in own.columns]
    wanted = [each.name for each in card.columns if each.name in names or each.name not in card.needed_at_predict]
    yield "columns", sorted(names), sorted(wanted)
    named = {each.name: each for each in card.columns}
    for place, each in enumerate(own.columns):
        yield from _fields(f"columns.{place}", each, named[each.name])


def _fields(key: str, own: Any, other: Any) -> Iterator[tuple[str, object, object]]:
    """Each field of two descriptions of one kind that bears on the inputs; none where both are not there."""
    for each in fields(own) if own is not None else ():
        if each.name not in FOR_PEOPLE:
            yield f"{key}.{each.name}", getattr(own, each.name), getattr(other, each.name)


def _positive(card: Card) -> str:
    return card.positive or (card.classes[-1] if card.classes else "")


def _kind(card: Card) -> str:
    return "table" if card.input is None else card.input.kind


def _described(card: Card) -> ImageInput | SequenceInput | TextInput | None:
    """What a row's inputs are; a vocabulary by its content, wherever its file lies."""
    given = card.input
    if not isinstance(given, TextInput):
        return given
    vocabulary = Path(given.vocabulary)
    return replace(given, vocabulary=sha256(vocabulary) if vocabulary.exists() else given.vocabulary)


def _places(own: Card, card: Card, data: Data, path: Path) -> tuple[int, ...] | None:
    """Positions of the baseline's own inputs, None where they are all of them in their order."""
    names = [each.name for each in own.columns]
    if names == [each.name for each in card.columns]:
        return None
    players = {each.name: each.inputs for each in data.players}
    lacking = next((name for name in names if name not in players), None)
    if lacking is not None:
        raise InputError(f"key columns names {lacking!r}, which is no column of the rows", where=path)
    return tuple(place for name in names for place in players[name])


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "empty"
    return repr(value) if isinstance(value, str) else str(value)
