"""Intake: files or objects handed in become a subject to try and the identity the report will show."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rai.card import Card, Files, Head, TextInput, read_card, require_sense
from rai.data import Table, Words, from_frames, kind_of, labelled, unlabelled
from rai.data import load as load_data
from rai.data.arrays import require_aligned, require_lengths, table_of
from rai.data.cells import Cells, Raw
from rai.data.frames import class_name
from rai.data.labels import class_labels, names_classes
from rai.errors import InputError, plain
from rai.evidence import SMALLEST_CELL
from rai.files import require_settled
from rai.ledger import Ledger, ledger_of, seal_of
from rai.models import Loaded, baseline, from_object, from_scores, heads
from rai.models import load as load_model
from rai.record import File, GroupCount, Identity
from rai.subject import Data, Floats, Kind, Metric, Model, Subject, Vocabulary

PROBE_ROWS = 256


@dataclass(frozen=True)
class Case:
    """A subject and its identity: all that a trial needs."""

    subject: Subject
    identity: Identity


@dataclass(frozen=True)
class Choices:
    """What a person may choose beside the card; a choice made here wins over the card's."""

    data: Path | None = None
    reference: Path | None = None
    target: str | None = None
    sensitive: tuple[str, ...] = ()
    card: Path | None = None
    seed: int = 0
    allow_code: bool = False
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What the Python API lets a caller say beside model and data.

    `kind` says what each row is where X does not show it: whole numbers (rows, tokens) are texts with "text".
    `ledger` is what training promised of this very model; in memory that is the caller's word. `baseline` is the model
    that this one was made to improve on, or of predictions, its scores.
    """

    name: str = "model"
    classes: tuple[str, ...] | None = None
    positive: str | None = None
    threshold: float = 0.5
    head: Head | None = None
    bands: Mapping[str, tuple[float, ...]] | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    reference: tuple[Any, Any] | None = None
    seed: int = 0
    kind: Kind | None = None
    vocabulary: Words | None = None
    ledger: Ledger | None = None
    baseline: Any = None

    def __post_init__(self) -> None:
        """Refuse an option of the wrong kind; raise `InputError` naming it."""
        for name, right, expected in _kinds(self):
            if not right:
                raise InputError(f"is a {type(getattr(self, name)).__name__}", where=name, expected=expected)
        if self.seed < 0:
            raise InputError(f"is {self.seed}", where="random_state", expected="a whole number from 0")
        if self.ledger is not None:
            seal_of(self.ledger)  # a value that no ledger's file may hold is refused here, by name

    def card(self, task: Any, classes: tuple[str, ...]) -> Card:
        """The card that these choices amount to; raise `InputError` when they contradict one another."""
        positive = None if self.positive is None else class_name(self.positive)
        card = Card(task, self.name, head=self.head, classes=classes, positive=positive, threshold=self.threshold)
        require_sense(card, Path("options"))
        return card

    def subject(self, table: Table, card: Card, model: Model) -> Subject:
        """The subject on trial, with the reference rows when there are some."""
        reference = None if self.reference is None else self._reference(table, *self.reference)
        before = None if self.baseline is None else baseline.from_memory(self.baseline, card, table.data)
        return Subject(self.name, model, table.data, card, reference, int(self.seed), self.metrics, self.ledger, before)

    def _reference(self, table: Table, X: Any, y: Any) -> Data:
        if table.data.kind == "table":
            return from_frames(X, y, name="reference", like=table).data
        return labelled(unlabelled(X, name="reference", like=table.data), y, like=table).data

    def rows(self, X: Any, y: Any, sensitive_features: Any) -> Table:
        """The rows handed in with their labels and groups."""
        classes = () if self.head is Head.VALUE else self.classes
        kind = kind_of(X, self.kind)
        if kind == "table":
            return from_frames(X, y, sensitive_features=sensitive_features, classes=classes, bands=self.bands)
        rows = unlabelled(X, kind=kind, vocabulary=self.vocabulary, name="in memory")
        return labelled(rows, y, sensitive_features=sensitive_features, classes=classes, bands=self.bands)


def _kinds(options: Options) -> Iterator[tuple[str, bool, str]]:
    """Options that may be of the wrong kind, whether they are right, and what was expected."""
    classes, bands, metrics, pair = options.classes, options.bands, options.metrics, options.reference
    yield "name", isinstance(options.name, str), "a text"
    yield "threshold", _is_number(options.threshold), "a number between 0 and 1"
    yield "classes", classes is None or (np.iterable(classes) and not isinstance(classes, str)), "a list of classes"
    yield "bands", bands is None or isinstance(bands, Mapping), 'cuts by column, for example {"age": [30, 50]}'
    yield "metrics", isinstance(metrics, Mapping), "functions by name"
    right = isinstance(metrics, Mapping) and all(isinstance(n, str) and callable(f) for n, f in metrics.items())
    yield "metrics", right, "a text as every name, and a function f(y_true, y_pred)"
    yield "reference", pair is None or (isinstance(pair, tuple | list) and len(pair) == 2), "a pair (X, y)"
    yield "kind", options.kind in (None, "table", "image", "sequence", "text"), "table, image, sequence or text"
    words = options.vocabulary
    yield "vocabulary", words is None or isinstance(words, Vocabulary) or _lists_names(words), "a list of token names"
    yield "ledger", options.ledger is None or isinstance(options.ledger, Ledger), "a Ledger, such as trained.ledger"
    yield "seed", isinstance(options.seed, int | np.integer), "a whole number as random_state"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _lists_names(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def from_files(model: Path, choices: Choices) -> Case:
    """Load card, data and model from disk; raise `InputError` for the first thing that is wrong."""
    require_settled(model)
    path = choices.card or model.with_suffix(".toml")
    card = _overruled(read_card(path), choices, path.parent)
    tested = _rows(card.data.test, card, path)
    loaded = load_model(model, card, tested.inputs[:PROBE_ROWS], allow_code=choices.allow_code)
    subject = Subject(
        name=card.name or model.stem,
        model=loaded.model,
        data=tested,
        card=card,
        reference=_rows(card.data.reference, card, path) if card.data.reference else None,
        seed=choices.seed,
        metrics=_metrics(choices.metrics),
        ledger=ledger_of(model, loaded.sha256),
        baseline=baseline.from_file(card, path, tested, allow_code=choices.allow_code),
    )
    return _case(subject, loaded, File(model.name, loaded.sha256))


def from_objects(model: Any, X: Any, y: Any, *, sensitive_features: Any, options: Options) -> Case:
    """Take a model and arrays or frames from memory, as the Python API does."""
    table = options.rows(X, y, sensitive_features)
    card = options.card(table.task, table.classes)
    loaded = from_object(model, card, table.data.inputs[:PROBE_ROWS], tokens=table.data.kind == "text")
    subject = options.subject(table, card, loaded.model)
    return _case(subject, loaded, File(type(model).__name__, loaded.sha256))


def from_predictions(y_true: Any, y_score: Any, *, sensitive_features: Any, options: Options) -> Case:
    """Take labels and the numbers a model gave, for those who never get the model itself."""
    given = _given(y_true, y_score, sensitive_features)
    nothing = np.zeros((given.rows, 0), dtype=np.float32)
    table = replace(options, kind="table").rows(nothing, y_true, sensitive_features)
    card = options.card(table.task, table.classes)
    loaded = from_scores(_scores(given, card), card)
    if options.baseline is not None:
        scores = _scores(_given(y_true, options.baseline, sensitive_features), card)
        options = replace(options, baseline=from_scores(scores, card).model)
    return _case(options.subject(table, card, loaded.model), loaded, File("predictions only", loaded.sha256))


def _case(subject: Subject, loaded: Loaded, model: File) -> Case:
    """Ask the model about every row at once, so that what it cannot answer is told before any audit begins."""
    heads.require_sound(subject.model.head, subject.scores, subject.name)
    return Case(subject, _identity(subject, loaded, model))


def _given(y_true: Any, y_score: Any, sensitive_features: Any) -> Raw:
    """The predictions as columns, row for row beside the labels."""
    given, labels = table_of(y_score, "y_score", "y_score"), table_of(y_true, "y_true", "y_true")
    require_lengths({"y_true": labels, "y_score": given})
    for name, other in (("y_true", y_true), ("sensitive_features", sensitive_features)):
        require_aligned((name, other), ("y_score", y_score))
    return given


def _scores(given: Raw, card: Card) -> Floats:
    """Numbers as they are, shape (rows, outputs), columns in the order of the classes; decisions as 0 and 1."""
    names = card.classes if set(given.columns) == set(card.classes) else tuple(given.columns)
    cells = [given.cells(name) for name in names]
    if len(cells) == 1 and card.classes and names_classes(cells[0], card.classes, card.task):
        _require_whole(cells[0])
        places = class_labels(cells[0], card.classes, varied=False)
        return np.asarray(places[:, None] == np.arange(len(card.classes))[None, :], dtype=np.float64)
    return np.stack([each.numbers for each in cells], axis=1)


def _require_whole(cells: Cells) -> None:
    """Broken numbers are no classes: the labels, few and whole, were taken for classes by mistake."""
    if not cells.textual:
        broken = cells.numbers != np.floor(cells.numbers)
        cells.refuse(broken & ~cells.missing, "is no class", do='for values to predict, pass head="value"')


def _overruled(card: Card, choices: Choices, folder: Path) -> Card:
    """Let flags win over the card; make the card's own paths relative to its folder."""
    files = card.data
    chosen = Files(
        test=_path(choices.data, files.test, folder),
        reference=_path(choices.reference, files.reference, folder),
        target=choices.target or files.target,
        sensitive=choices.sensitive or files.sensitive,
        bands=files.bands,
        intersections=files.intersections,
        missing_values=files.missing_values,
    )
    given = card.input
    if isinstance(given, TextInput):
        given = replace(given, vocabulary=str(folder / given.vocabulary))
    return replace(card, data=chosen, input=given)


def _path(chosen: Path | None, named: str | None, folder: Path) -> str | None:
    if chosen is not None:
        return str(chosen)
    return str(folder / named) if named else None


def _rows(name: str | None, card: Card, path: Path) -> Data:
    if name is None:
        raise InputError("names no test data", where=path, expected="data.test", do="add it, or pass --data FILE")
    return load_data(Path(name), card)


def _metrics(named: Mapping[str, str]) -> dict[str, Metric]:
    return {name: _metric(name, place) for name, place in named.items()}


def _metric(name: str, place: str) -> Metric:
    module, _, function = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything on import
        raise InputError(
            f"{place!r} cannot be imported ({type(error).__name__}: {plain(error)})",
            where=f"metrics.{name}",
            expected='"package.module:function"',
        ) from None
    if not callable(found):
        raise InputError(f"{place!r} is no function", where=f"metrics.{name}", expected="f(y_true, y_pred)")
    return found  # type: ignore[no-any-return]


def _identity(subject: Subject, loaded: Loaded, model: File) -> Identity:
    card, decides = subject.card, subject.card.task != "regression"
    return Identity(
        name=subject.name,
        version=card.version,
        task=card.task,
        head=str(loaded.model.head),
        head_reason=loaded.head_reason,
        trust=loaded.model.trust,
        format=loaded.format,
        model=model,
        data=_file(subject.data),
        reference=_file(subject.reference) if subject.reference else None,
        classes=card.classes,
        positive=card.classes[subject.positive] if card.task == "binary" else None,
        threshold=card.threshold if decides else None,
        groups=_group_counts(subject.data),
        purpose=card.purpose,
        owner=card.owner,
        intended_use=card.intended_use,
        seed=subject.seed,
        notes=loaded.notes + baseline.notes_of(subject.baseline),
    )


def _file(data: Data) -> File:
    return File(data.source.name, data.source.sha256, data.rows)


def _group_counts(data: Data) -> tuple[GroupCount, ...]:
    return tuple(
        GroupCount(attribute.name, level, int(count) if count >= SMALLEST_CELL else None)
        for attribute in data.groups.values()
        for level, count in zip(attribute.levels, attribute.counts, strict=True)
    )
