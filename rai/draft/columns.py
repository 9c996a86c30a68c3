"""The columns of a drafted card: which of a table's columns a network takes, and how each becomes numbers."""

from collections.abc import Iterator

from rai.card import Column
from rai.data.cells import show
from rai.data.layouts import Choice
from rai.data.profiles import Profile
from rai.draft.finds import Finds, Tensors
from rai.draft.toml import entry

MOST_NAMED = 4
RAW_NUMBERS = "the model takes raw numbers; if training standardised, write its mean and scale here"


def columns(choice: Choice, finds: Finds, tensors: Tensors) -> Iterator[str]:
    """Lines of the card that say which columns are inputs, in which order and encoded how."""
    yield f"# guess: {_fit(choice, tensors)}"
    yield "# guess: the inputs stand in the order of the file's columns"
    for each in finds.profiles:
        if each.unusable:
            yield f"# guess: column {show(each.column.name)} is no input ({each.unusable})"
    known = {each.column.name: each for each in finds.profiles}
    for column in choice.layout.columns:
        yield ""
        yield from _column(column, known[column.name], finds)


def _fit(choice: Choice, tensors: Tensors) -> str:
    width, wanted, says = choice.layout.width, tensors.size("inputs"), choice.layout.says
    if wanted is None:
        return f"{says}: {width} inputs, which nothing confirms because no network is known"
    if not choice.fits:
        seen = "" if wanted < width else "; categories that only training saw? draft again with the training file"
        return f"{says}: {width} inputs, but the network takes {wanted}, so the widths disagree: mend this list{seen}"
    also = f"; of that width too: {'; or '.join(choice.others[:MOST_NAMED])}" if choice.others else ""
    return f"{says}: {width} inputs, as many as the network takes{also}"


def _column(column: Column, known: Profile, finds: Finds) -> Iterator[str]:
    yield "[[columns]]"
    yield entry("name", column.name)
    if column.kind == "number":
        yield entry("kind", "number", "every cell is a number")
        measured = _measured(known) if len(finds.tables) > 1 else ""
        yield entry("mean", 0.0, RAW_NUMBERS + measured)
        yield entry("scale", 1.0, "as for the mean")
    else:
        yield entry("kind", "category", "some cells are text")
        yield entry("categories", column.categories, "the distinct texts of the file, sorted")
    if column.encoding == "ordinal":
        yield entry("encoding", "ordinal", "the width above")
    if column.drop is not None:
        yield entry("drop", column.drop, "the width above")
    if column.fill is not None:
        usual = "the median" if column.kind == "number" else "the most frequent category"
        yield entry(
            "fill", column.fill, f"{usual}; {known.gaps:,} {'cell is' if known.gaps == 1 else 'cells are'} missing"
        )


def _measured(known: Profile) -> str:
    return f" (reference rows: mean {known.mean:.6g}, standard deviation {known.sd:.6g})"
