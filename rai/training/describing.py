"""What the training rows tell before training: what each row is, how columns become numbers, the classes, the words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rai.card import Card, Column, Files, Head, ImageInput, Network, SequenceInput, Task, TextInput
from rai.data import tables
from rai.data.cells import Raw, listed
from rai.data.looks import Look, longest, look, prose
from rai.data.profiles import Profile, profile
from rai.data.tokens import WORD
from rai.draft.finds import answer_of
from rai.errors import InputError
from rai.subject import Data, Groups
from rai.training.protecting import owners, protected
from rai.training.recipe import NETWORKS, Recipe, card_of
from rai.training.splitting import Split

VOCABULARY = "vocabulary.txt"
MARKS = ("[PAD]", "[UNK]", "[MASK]")
MOST_LENGTH = 512
FEWEST_USES = 2
MEANS = "column means, scales, categories and fills were read from the data without noise"
STEPS = "means, scales and the most steps of the sequences were read from the data without noise"
SIZE = "size and channels of the images were read from the data without noise"
WORDS = "the vocabulary was counted in the training texts without noise"
CLASSES = "the task and the class names were read from the data without noise"


@dataclass(frozen=True)
class Described:
    """A card but for its network and its files, what of it was `read` off the training rows, and what was left out.

    `vocabulary` is the text of the file that is written beside the card, "" where none is. `protected` are the groups
    of training rows that a private recipe protects together, and the sites of a federation, by their column.
    """

    card: Card
    read: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    vocabulary: str = ""
    protected: Mapping[str, Groups] = field(default_factory=dict)


def describe(recipe: Recipe, rows: Split) -> Described:
    """Look at the training rows and say how they become inputs; of the test rows only gaps and categories.

    Raises `InputError` naming file and column where the recipe asks for what is not there.
    """
    training = rows.training
    seen = look(training, _wanted(recipe))
    kind = _kind(recipe, seen, training)
    beside = replace(seen.beside, markers=recipe.data.missing_values)
    bare = _answered(recipe, beside, training)
    read = () if recipe.classes or recipe.task == "regression" else (CLASSES,)
    if kind == "table":
        found = _table(recipe, beside, rows, bare)
    elif kind == "text":
        found = _text(recipe, beside, bare)
    else:
        found = _given(recipe, seen, training, bare)
    return replace(found, read=(*found.read, *read), protected=protected(recipe, beside, rows.whole))


def network_of(recipe: Recipe, card: Card, data: Data) -> Network:
    """The recipe's network with as many inputs and outputs as the data has; raise `InputError` for other numbers."""
    kind = recipe.network.kind or NETWORKS[data.kind]
    outputs = len(card.classes) if card.task == "multiclass" else 1
    told: dict[str, Any] = {**_inputs(kind, card, data), "outputs": outputs}
    for key, value in told.items():
        own = recipe.network.arguments.get(key, value)
        if key in ("inputs", "outputs", "vocabulary") and own != value:
            where = f"network.arguments.{key}"
            raise InputError(f"is {own}", where=where, expected=f"{value} as the data says", do="leave it out")
    return Network(kind, {**told, **recipe.network.arguments})


def _inputs(kind: str, card: Card, data: Data) -> dict[str, Any]:
    if isinstance(card.input, ImageInput):
        return {"inputs": card.input.channels} | ({"size": card.input.size} if kind == "cnn" else {})
    if isinstance(card.input, SequenceInput):
        return {"inputs": len(card.input.features)} | ({"length": card.input.steps} if kind == "transformer" else {})
    if isinstance(card.input, TextInput) and data.vocabulary is not None:
        words = data.vocabulary
        return {"vocabulary": len(words.names), "length": card.input.length, "pad": words.pad}
    return {"inputs": data.inputs.shape[1]}


def _wanted(recipe: Recipe) -> dict[str, str]:
    asks = dict(owners(recipe))
    asks |= dict.fromkeys(recipe.data.sensitive, "data.sensitive in the recipe")
    return asks | {recipe.data.target: "data.target in the recipe"}


def _kind(recipe: Recipe, seen: Look, path: Path) -> str:
    found = "table" if seen.given is None else seen.given.kind
    wanted = recipe.input.kind if recipe.input is not None else recipe.data.kind or found
    if wanted != found and {wanted, found} != {"table", "text"}:
        raise InputError(f"holds rows of kind {found}", where=path, expected=f"{wanted} as the recipe says")
    return wanted


def _answered(recipe: Recipe, beside: Raw, path: Path) -> Card:
    return answered(recipe, *_task(recipe, beside), where=path)


def answered(recipe: Recipe, task: Task, classes: tuple[str, ...], *, where: Path) -> Card:
    """The card with its task and classes, the positive one last; raise `InputError` where labels make none."""
    if recipe.positive is not None and recipe.positive not in classes:
        names = ", ".join(classes)
        raise InputError(f"key positive is {recipe.positive!r}", where=where, expected=f"one of the classes {names}")
    if task == "binary" and recipe.positive is not None:
        classes = tuple(sorted(classes, key=lambda name: name == recipe.positive))
    heads = {"binary": Head.LOGIT, "multiclass": Head.LOGITS, "regression": Head.VALUE}
    positive = classes[-1] if task == "binary" else None
    return card_of(recipe, task=task, classes=classes, positive=positive, head=heads[task])


def task_said(recipe: Recipe) -> tuple[Task, tuple[str, ...]] | None:
    """The task and its classes as the recipe says them; None where they are to be read off the labels."""
    if recipe.task == "regression":
        return "regression", ()
    if recipe.classes:
        return recipe.task or ("binary" if len(recipe.classes) == 2 else "multiclass"), recipe.classes
    return None


def _task(recipe: Recipe, beside: Raw) -> tuple[Task, tuple[str, ...]]:
    told = task_said(recipe)
    if told is not None:
        return told
    cells = beside.cells(recipe.data.target)
    found = answer_of(cells, None)
    if recipe.task is None or recipe.task == found.task:
        return found.task, found.classes
    names = tuple(sorted(cells.coded.stripped().used().names))
    if found.task == "regression" and recipe.task == "multiclass":
        return "multiclass", names
    what = f"the task is {recipe.task!r}, and column {recipe.data.target!r} holds {len(names):,} distinct values"
    raise InputError(what, where=beside.where, do="mend task or target in the recipe")


def _table(recipe: Recipe, training: Raw, rows: Split, card: Card) -> Described:
    if recipe.columns:
        return Described(replace(card, columns=recipe.columns))
    test, whole = (replace(tables.read(path), markers=training.markers) for path in (rows.test, rows.whole))
    named = [name for name in training.columns if name not in _apart(recipe)]
    profiles = [_profile(name, whole, test, training) for name in named]
    left = tuple(f"column {each.column.name!r} is no input: {each.unusable}" for each in profiles if each.unusable)
    columns = tuple(_column(each) for each in profiles if not each.unusable)
    if not columns:
        raise InputError("has no column that a network could take", where=training.where, expected="numbers or names")
    unseen = tuple(note for each in columns for note in _unseen(each, training))
    return Described(replace(card, columns=columns), (MEANS,), left + unseen)


def _apart(recipe: Recipe) -> set[str]:
    """Columns that are no inputs: one that tells whose rows they are says nothing about other people."""
    sensitive = set(recipe.data.sensitive)
    kept = set() if recipe.data.sensitive_inputs else sensitive
    return {recipe.data.target, *kept, *(set(owners(recipe)) - sensitive), *recipe.data.ignore}


def _profile(name: str, whole: Raw, test: Raw, training: Raw) -> Profile:
    """A column with mean, spread and fill of the training rows, and the categories of test and training rows.

    That it numbers the rows can be seen in the `whole` file alone.
    """
    found = profile((test, training), name)
    return replace(found, unusable=profile((whole,), name).unusable or found.unusable)


def _unseen(column: Column, training: Raw) -> Iterator[str]:
    """Say which categories no training row has: the network learns nothing about them."""
    if column.kind == "category":
        known = set(training.cells(column.name).coded.used().names)
        names = [name for name in column.categories if name not in known]
        if names:
            yield f"column {column.name!r}: no training row has {listed(names)}, so nothing was learned about it"


def _column(found: Profile) -> Column:
    if found.column.kind == "category" or found.mean is None:
        return found.column
    return replace(found.column, mean=found.mean, scale=found.sd or 1.0)


def _given(recipe: Recipe, seen: Look, path: Path, card: Card) -> Described:
    if recipe.input is not None:
        return Described(replace(card, input=recipe.input))
    if isinstance(seen.given, SequenceInput):
        return Described(replace(card, input=_scaled(seen.given, recipe, path)), (STEPS,))
    return Described(replace(card, input=seen.given), (SIZE,))


def _scaled(given: SequenceInput, recipe: Recipe, path: Path) -> SequenceInput:
    """The sequences with mean and scale of each feature over all steps of the training rows."""
    from rai.data import sequences

    rows = sequences.read(path, given, _wanted(recipe), recipe.data.missing_values).data.inputs
    steps = np.asarray(rows, dtype=np.float64).reshape(-1, rows.shape[2])
    mean, scale = np.nanmean(steps, axis=0), np.nanstd(steps, axis=0)
    return replace(given, mean=tuple(mean.tolist()), scale=tuple(np.where(scale > 0, scale, 1.0).tolist()))


def _text(recipe: Recipe, beside: Raw, card: Card) -> Described:
    if isinstance(recipe.input, TextInput):
        return Described(replace(card, input=recipe.input))
    column = recipe.data.text or prose(beside, _wanted(recipe))
    if column is None or column not in beside.columns:
        what = "has no column of texts" if column is None else f"has no column {column!r}"
        raise InputError(what, where=beside.where, expected="the column that data.text in the recipe names")
    length = recipe.data.length or min(MOST_LENGTH, longest(beside, column))
    pad, unknown, mask = MARKS
    given = TextInput("text", VOCABULARY, column, length, pad=pad, unknown=unknown, mask=mask)
    words = _words(beside.cells(column).coded.names, recipe.data.words)
    return Described(replace(card, input=given), (WORDS,), vocabulary="\n".join((*MARKS, *words)) + "\n")


def _words(texts: Iterable[str], most: int) -> list[str]:
    """The most frequent words of all texts, those of one use aside; of equally frequent ones the first in order."""
    counts = Counter(_cut(texts))
    ranked = sorted(counts.items(), key=lambda found: (-found[1], found[0]))
    return [word for word, uses in ranked[:most] if uses >= FEWEST_USES]


def _cut(texts: Iterable[str]) -> Iterator[str]:
    return (found.group() for text in texts for found in WORD.finditer(text.lower()))


def files_of(recipe: Recipe, training: str, test: str) -> Files:
    """The files of a card: what is audited is the test file, and what it was trained on the reference."""
    rows = recipe.data
    return Files(test, training, rows.target, rows.sensitive, rows.bands, rows.intersections, rows.missing_values)
