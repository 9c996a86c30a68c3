"""The recipe: one TOML file that says on which rows a network is trained, how, how privately and at what price."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rai.card import STRICT, Card, Column, ImageInput, SequenceInput, Task, TextInput, parse
from rai.errors import InputError, plain
from rai.files import require_file
from rai.train.settings import Fair, Federated, Fit, Metering, Monitor, Private, Search
from rai.training.given_card import with_card

LARGEST_RECIPE = 1 << 20
EVEN = 0.5
GIVEN = Annotated[ImageInput | SequenceInput | TextInput, Field(discriminator="kind")]
NETWORKS: Mapping[str, str] = {"table": "mlp", "image": "cnn", "sequence": "recurrent", "text": "transformer"}
"""Which network reads rows of a kind where the recipe names none."""


@dataclass(frozen=True)
class Rows:
    """`[data]`: which files and columns a network is trained on. Paths are relative to the recipe.

    Without a `test` file, `test_share` of the rows is kept from training and written beside the model. `kind` says what
    each row is where looking into the file does not tell: texts only with "text", which then stand in the column
    `text`. Sensitive columns are no inputs unless `sensitive_inputs`; those in `ignore`, and
    those that `private.unit` and `federated.column` name, are none. `words` is how many of the most frequent words of
    the training texts a vocabulary keeps, `length` how many of a text are read. `public_columns` says that what is read
    off the rows before training (means, scales, categories, fills, words, names of classes) may be known to everybody:
    private training adds no noise to it. `card` names a card that says how rows are read, what is answered and who is
    compared wherever the recipe does not. `train` is left out where sites of their own have the rows.
    """

    __pydantic_config__ = STRICT

    train: str = ""
    target: str = ""
    test: str | None = None
    card: str | None = None
    test_share: float = 0.2
    kind: Literal["table", "image", "sequence", "text"] | None = None
    text: str | None = None
    words: int = 10_000
    length: int | None = None
    sensitive: tuple[str, ...] = ()
    bands: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    intersections: bool = True
    sensitive_inputs: bool = False
    ignore: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = ()
    public_columns: bool = False


@dataclass(frozen=True)
class Architecture:
    """`[network]`: which of rai's networks, and its arguments; how many inputs and outputs follows from the data.

    `weights` names a file of weights to begin with (transfer learning), relative to the recipe; where `weights_sha256`
    is given, it must be that of the file. With `replace_head` the last linear layer begins afresh.
    """

    __pydantic_config__ = STRICT

    kind: str | None = None
    arguments: Mapping[str, str | bool | int | float | tuple[int, ...]] = field(default_factory=dict)
    weights: str | None = None
    weights_sha256: str | None = None
    replace_head: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that is chosen before training. Texts, task and classes are those of the card that is written.

    `columns` and `input` may be written as in a card; then nothing of them is read off the training rows. `positive` is
    the class that a binary model's one number speaks of.
    """

    __pydantic_config__ = STRICT

    data: Rows
    name: str = ""
    version: str = ""
    purpose: str = ""
    owner: str = ""
    intended_use: str = ""
    task: Task | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float = 0.5
    network: Architecture = field(default_factory=Architecture)
    input: GIVEN | None = None
    columns: tuple[Column, ...] = ()
    fit: Fit = field(default_factory=Fit)
    private: Private | None = None
    fair: Fair | None = None
    federated: Federated | None = None
    search: Search | None = None
    monitor: Monitor | None = None
    energy: Metering = field(default_factory=Metering)

    @property
    def tries(self) -> bool:
        """Whether several trainings go before the one that makes the model."""
        return self.search is not None or (self.fair is not None and self.fair.tries)

    @property
    def trains_once(self) -> bool:
        """Whether all that is done is the training that makes the model: no search, no baseline, no site alone."""
        return self.search is None and self.fair is None and self.federated is None

    @property
    def promises(self) -> bool:
        """Whether something is promised, to rows or to whole sites, that what is read off the rows could break."""
        to_sites = self.federated is not None and self.federated.client_privacy is not None
        return self.private is not None or to_sites

    def seeded(self, seed: int | None) -> "Recipe":
        """The same recipe with another seed, where one is given."""
        return self if seed is None else replace(self, fit=replace(self.fit, seed=seed))


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe; raise `InputError` naming file, key and what was expected."""
    found = read_tables(path)
    return recipe_of(found, path)


def read_tables(path: Path) -> dict[str, Any]:
    """The recipe as plain TOML values; raise `InputError` where it is none."""
    require_file(path, do="name a recipe; the least one has [data] with train and target")
    if path.stat().st_size > LARGEST_RECIPE:
        raise InputError("larger than 1 MiB", where=path, expected="a recipe in TOML")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=path, expected="a recipe in TOML") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not valid TOML ({plain(error)})", where=path, do="mend the line named") from None


def recipe_of(found: Mapping[str, Any], path: Path) -> Recipe:
    """Check plain values key by key; raise `InputError` for the first that is wrong."""
    recipe = parse(Recipe, with_card(found, path), path)
    for key, problem, expected in _contradictions(recipe):
        raise InputError(f"key {key} {problem}", where=path, expected=expected)
    with naming(path):
        _require_sound(recipe)
    return recipe


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the recipe's name before whatever is said about one of its keys."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error), where=path) from None


def _require_sound(recipe: Recipe) -> None:
    """Let training itself say which of its numbers make no sense."""
    from rai.train.checks import require_settings

    require_settings(recipe.fit)
    if recipe.fair is not None:
        from rai.train.fair.checks import require_fair, require_not_private

        for each in recipe.fair.strengths or (recipe.fair.strength,):
            require_fair(replace(recipe.fair, strength=each))
        require_not_private(recipe.fair, recipe.private)
    if recipe.private is not None:
        from rai.train.private.promise import promise_of, require_private_settings

        promise_of(recipe.private, {})
        require_private_settings(recipe.fit)
    if recipe.federated is not None:
        from rai.train.federated.job import require_federated

        require_federated(replace(recipe.federated, runtime="local"), recipe.fit)  # where it runs, a flag may change


def _contradictions(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """Each key that can mean nothing, what is wrong with it, and what was expected."""
    yield from _target(recipe)
    yield from _data(recipe)
    yield from _answers(recipe)
    yield from _transfer(recipe)
    yield from _compared(recipe)
    yield from _by_sites(recipe)
    if recipe.search is not None and not recipe.search.space:
        yield "search.space", "is empty", '"fit.learning_rate" = [0.001, 0.01], for example'


def _target(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    rows = recipe.data
    if not rows.target:
        yield "data.target", "is missing", "the column that is to be predicted"
    if rows.target in (*rows.sensitive, *rows.ignore):
        yield "data.target", f"is {rows.target!r}, which is also sensitive or ignored", "a column of its own"
    if rows.target in (each.name for each in recipe.columns):
        yield "columns", f"list the target {rows.target!r}: the model would be shown the answer", "inputs only"


def _data(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    rows = recipe.data
    if not 0.0 < rows.test_share < 1.0:
        yield "data.test_share", f"is {rows.test_share:g}", "a share between 0 and 1"
    if recipe.input is not None and recipe.columns:
        yield "columns", "are given beside input", "one of the two"
    if recipe.input is not None and rows.kind not in (None, recipe.input.kind):
        yield "data.kind", f"is {rows.kind!r}, and input.kind is {recipe.input.kind!r}", "the same kind"
    for name in rows.bands:
        if name not in rows.sensitive:
            yield f"data.bands.{name}", "cuts a column that is not sensitive", "a column of data.sensitive"
    for key, value in (("words", rows.words), ("length", rows.length)):
        if value is not None and value < 1:
            yield f"data.{key}", f"is {value}", "a whole number from 1"


def _answers(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    if recipe.positive is not None and recipe.classes and recipe.positive not in recipe.classes:
        yield "positive", f"is {recipe.positive!r}", f"one of the classes {', '.join(recipe.classes)}"
    if recipe.task == "regression" and (recipe.classes or recipe.positive is not None):
        yield "classes", "or positive is given for a regression", "neither"
    if not 0.0 < recipe.threshold < 1.0:
        yield "threshold", f"is {recipe.threshold:g}", "a probability between 0 and 1"


def _compared(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """What is asked of training for groups of people needs them named."""
    if recipe.fair is None:
        return
    fair = recipe.fair
    if not recipe.data.sensitive:
        yield "data.sensitive", "is empty, and [fair] compares groups", "the columns that say who is compared"
    for name in fair.sensitive:
        if name not in recipe.data.sensitive:
            yield "fair.sensitive", f"names {name!r}", f"some of data.sensitive: {', '.join(recipe.data.sensitive)}"
    if recipe.threshold != EVEN:
        yield "threshold", f"is {recipe.threshold:g}, and [fair] measures gaps at {EVEN:g}", f"{EVEN:g}, or no [fair]"
    if fair.strengths and fair.strength is not None:
        yield "fair.strength", "is given beside fair.strengths", "one of the two"
    if fair.seeds is not None and fair.seeds < 1:
        yield "fair.seeds", f"is {fair.seeds}", "a whole number from 1"
    if fair.tries and fair.attribute_at_predict:
        yield "fair.attribute_at_predict", "is on beside fair.strengths or fair.seeds", "one of the two"
    if fair.tries and recipe.search is not None:
        yield "search", "is given beside fair.strengths or fair.seeds", "one of the two"


def _by_sites(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """What several sites cannot do together, and who they are."""
    table = recipe.federated
    if table is None:
        return
    for name in ("fair", "search", "monitor"):
        if getattr(recipe, name) is not None:
            yield name, "is given beside [federated]", "one of the two"
    if table.partition == "column" and not table.column:
        yield "federated.column", "is missing", "the column that names each row's site"
    if table.partition != "column" and table.column is not None:
        yield "federated.partition", f"is {table.partition!r} beside federated.column", "'column'"
    if table.column == recipe.data.target:
        yield "federated.column", f"is {table.column!r}, which is also the target", "a column of its own"
    if recipe.private is not None:
        yield from _kept_by_sites(recipe.private)


def _kept_by_sites(private: Private) -> Iterator[tuple[str, str, str]]:
    """A promise is kept by each site for its own rows, and by none for rows that lie at others as well."""
    if private.unit != "record":
        what = f"is {private.unit!r}, and rows of one group may lie at several sites"
        yield "private.unit", what, '"record" beside [federated]'
    if private.compare:
        yield "private.compare", "is on", "false beside [federated]"
    if private.canaries:
        yield "private.canaries", f"is {private.canaries}", "0 beside [federated]"


def _transfer(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    network = recipe.network
    if network.weights is not None and recipe.fit.initialization != "default":
        yield "fit.initialization", "would draw over the weights of network.weights", "one of the two"
    if network.weights is None and network.replace_head:
        yield "network.replace_head", "is set, and there are no weights to begin with", "network.weights beside it"
    if network.weights is None and network.weights_sha256 is not None:
        yield "network.weights_sha256", "is given without a file", "network.weights beside it"


def card_of(recipe: Recipe, **more: Any) -> Card:
    """The card that a recipe's own words make; `more` is what files tell."""
    named = {key: getattr(recipe, key) for key in ("name", "version", "purpose", "owner", "intended_use", "threshold")}
    return Card(**{**named, **more})
