"""What is ready before the first step: the files of rows, the card, the data, the network; and where it all goes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rai.card import Card, TextInput, read_card
from rai.data import load
from rai.errors import InputError
from rai.files import ENDED, require_folder
from rai.subject import Data
from rai.training.carding import card_text
from rai.training.describing import VOCABULARY, Described, describe, files_of, network_of
from rai.training.given_card import require_kept
from rai.training.recipe import Recipe, naming
from rai.training.splitting import Split, split
from rai.training.transferring import certificate_named, weights_named
from rai.training.without_rows import card_without_rows, no_rows

STAGING, EARLIER = ".training", "earlier_"
MODEL, CARD, LEDGER, CHECKPOINT = "model.pt", "model.toml", "ledger.json", "checkpoint.pt"
BASELINE = "baseline.pt"


@dataclass(frozen=True)
class Workshop:
    """All that training needs. New files wait in `staging` and appear in `out` together, when all of them are whole.

    `data` has the sensitive columns as groups, and beside them those that a private recipe protects together and
    the sites of a federation, where a column names them. `read`
    says what was read off the training rows before training, `left_out` which columns are no inputs. `weights` is the
    file that the network begins with, whose SHA-256 the recipe then holds; `authority` the certificate by which a
    SuperLink is known. Where sites alone have rows, `data` has none, nor has `test` without a test file of this side's.
    """

    recipe: Recipe
    out: Path
    staging: Path
    card: Card
    data: Data
    test: Data
    read: tuple[str, ...]
    left_out: tuple[str, ...]
    weights: Path | None = None
    authority: Path | None = None

    @property
    def card_here(self) -> Card:
        """The card, with its vocabulary where that lies until all files are in their places."""
        given = self.card.input
        if not isinstance(given, TextInput):
            return self.card
        waiting = self.staging / Path(given.vocabulary).name
        return _worded(self.card, waiting if waiting.exists() else self.out / given.vocabulary)


@contextmanager
def workshop(recipe: Recipe, path: Path, out: Path) -> Iterator[Workshop]:
    """Prepare everything in a folder of its own, and take that folder away at the end, whatever happens.

    Raises `InputError`, before any training, for rows or columns that cannot be learned from or tried on.
    """
    require_ours(out)
    with staged(out) as staging:
        yield _prepared(recipe, path, out, staging)


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Make an empty folder where new files wait for their places in `out`, and take it away at the end.

    Where nothing came of it, `out` goes too if it was not there before.
    """
    staging, fresh = out / STAGING, not out.exists()
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if fresh:
            with suppress(OSError):  # it is not empty: something came of it
                out.rmdir()


def rebuilt(ready: Workshop, recipe: Recipe) -> Workshop:
    """The same workshop for another recipe on the same rows: the card names that recipe's network."""
    card = replace(ready.card, network=network_of(recipe, ready.card, ready.data))
    (ready.staging / CARD).write_text(card_text(card), encoding="utf-8")
    return replace(ready, recipe=recipe, card=card)


def commit(ready: Workshop) -> None:
    """Put what waits into its place."""
    put(ready.staging, ready.out)


def put(staging: Path, out: Path) -> None:
    """Put all files of `staging` into `out`. One renaming says that they are whole; stopped later, `settle` goes on.

    Until then `out` holds what it held; from then until the model is in place, `rai.files.require_settled` refuses it.
    """
    staging.replace(out / ENDED)
    settle(out)


def settle(out: Path) -> None:
    """Move the files of a training that has ended into their places, the model last, and take its checkpoint away.

    May be stopped at any point, and called again for the rest.
    """
    waiting = [each for each in (out / ENDED).iterdir() if not each.name.startswith(EARLIER)]
    for each in sorted(waiting, key=lambda each: (each.name == MODEL, each.name)):
        _place(each, out / each.name)
    (out / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(out / ENDED)


def _place(new: Path, place: Path) -> None:
    """Move a file or a folder into its place; a folder of an earlier training is put aside, to go with all the rest."""
    if new.is_dir() and place.is_dir():
        place.replace(new.with_name(f"{EARLIER}{new.name}"))
    new.replace(place)


def require_ours(out: Path, *, ledger: str = LEDGER, command: str = "rai train") -> None:
    """Raise `InputError` unless `out` can be written to; a model without this ledger is not written over."""
    require_folder(out)
    if (out / MODEL).exists() and not (out / ledger).exists():
        what = f"holds a model.pt that {command} did not write"
        raise InputError(what, where=out, do="choose another folder with --out")


def _require_free(rows: Split, out: Path) -> None:
    """The parts of the rows go where nothing of the owner's is."""
    for each in (rows.training, rows.test) if rows.own else ():
        place = out / each.name
        if place.exists() and (place.samefile(rows.whole) or not (out / LEDGER).exists()):
            what = "is there already, and a part of the rows would be written over it"
            raise InputError(what, where=place, do="give it another name, or choose another folder with --out")


def _prepared(recipe: Recipe, path: Path, out: Path, staging: Path) -> Workshop:
    recipe, weights = weights_named(recipe, path, out / MODEL)
    require_kept(recipe.data.card, path, out / CARD)
    ready = (_seen if recipe.data.train else _unseen)(recipe, path, out, staging)
    return replace(ready, weights=weights, authority=certificate_named(recipe, path))


def _seen(recipe: Recipe, path: Path, out: Path, staging: Path) -> Workshop:
    """From rows of this side's own, which tell what the recipe does not say."""
    rows = split(recipe, path.parent, staging)
    _require_free(rows, out)
    found = describe(recipe, rows)
    _require_public(recipe, found, path)
    _require_same_words(recipe, found, path)
    words = _vocabulary(found, path, staging)
    loaded = _loaded(recipe, found, rows, words)
    files = files_of(recipe, *(_named(each, rows, out) for each in (rows.training, rows.test)))
    card = _written(replace(loaded.card, data=files), recipe, loaded.training, _Places(path, out, staging, words))
    training = replace(loaded.training, groups={**found.protected, **loaded.training.groups})
    return Workshop(recipe, out, staging, card, training, loaded.test, found.read, found.left_out)


def _unseen(recipe: Recipe, path: Path, out: Path, staging: Path) -> Workshop:
    """From what recipe and card say alone: the rows stay at sites."""
    bare = card_without_rows(recipe, path)
    words = _named_words(bare, path)
    card = _worded(replace(bare, data=files_of(recipe, "", "")), words)
    none = test = no_rows(card)
    named = ""
    if recipe.data.test is not None:
        test, named = load(path.parent / recipe.data.test, card), _relative(path.parent / recipe.data.test, out)
    files = files_of(recipe, "", named)
    whole = _written(replace(card, data=files), recipe, none, _Places(path, out, staging, words))
    return Workshop(recipe, out, staging, whole, none, test, (), ())


@dataclass(frozen=True)
class _Places:
    """Where the recipe lies, where the model goes, where files wait for that, and the vocabulary of texts if any."""

    recipe: Path
    out: Path
    staging: Path
    words: Path | None


def _written(card: Card, recipe: Recipe, data: Data, places: _Places) -> Card:
    """Write the card with its network to where it waits, and return it as it reads back."""
    with naming(places.recipe):
        network = network_of(recipe, card, data)
    named = replace(card, name=recipe.name or _name(places.recipe), network=network)
    beside = _beside(places.words, places.out, places.staging)
    (places.staging / CARD).write_text(card_text(_worded(named, beside)), encoding="utf-8")
    return read_card(places.staging / CARD)


def _worded(card: Card, words: Path | str | None) -> Card:
    """The card with its vocabulary at this place, where it reads texts."""
    given = card.input
    return replace(card, input=replace(given, vocabulary=str(words))) if isinstance(given, TextInput) else card


@dataclass(frozen=True)
class Loaded:
    """Training and test rows as a card says, with paths that hold now."""

    card: Card
    training: Data
    test: Data


def _loaded(recipe: Recipe, found: Described, rows: Split, words: Path | None) -> Loaded:
    """Both files through the loader of audits, so that an audit will work."""
    card = _worded(replace(found.card, data=files_of(recipe, "", "")), words)
    test = load(rows.test, card)
    return Loaded(card, load(rows.training, card), test)


def _require_public(recipe: Recipe, found: Described, path: Path) -> None:
    if recipe.promises and found.read and not recipe.data.public_columns:
        what = f"key data.public_columns is not set, and without noise {found.read[0].split(' without')[0]}"
        do = "answer for it with public_columns = true, or write classes and [[columns]] or [input] in the recipe"
        raise InputError(what, where=path, do=do)


def _require_same_words(recipe: Recipe, found: Described, path: Path) -> None:
    """Weights know words by their numbers, which are others in a vocabulary that was counted anew."""
    if recipe.network.weights is not None and found.vocabulary:
        what = "key network.weights is given, and the vocabulary would be counted anew"
        raise InputError(what, where=path, do="name the vocabulary that the weights were trained with in [input]")


def _vocabulary(found: Described, path: Path, staging: Path) -> Path | None:
    """The file of the words: one that the recipe names, or one that is written now; None where no text is read."""
    if found.vocabulary:
        (staging / VOCABULARY).write_text(found.vocabulary, encoding="utf-8")
        return staging / VOCABULARY
    return _named_words(found.card, path)


def _named_words(card: Card, path: Path) -> Path | None:
    """The vocabulary that a recipe or its card names; None where no text is read."""
    given = card.input
    return path.parent / given.vocabulary if isinstance(given, TextInput) else None


def _beside(file: Path | None, out: Path, staging: Path) -> str:
    return "" if file is None else file.name if file.parent == staging else _relative(file, out)


def _named(file: Path, rows: Split, out: Path) -> str:
    return file.name if rows.own else _relative(file, out)


def _relative(file: Path, out: Path) -> str:
    return Path(os.path.relpath(file, out)).as_posix()


def _name(path: Path) -> str:
    return path.stem if path.stem != "recipe" else path.absolute().parent.name
