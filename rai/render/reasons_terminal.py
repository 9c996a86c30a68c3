"""Why one decision came out as it did, in a terminal: bars with signs and numbers, never colour alone."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rai.explanation import NOTICE, Contribution, Explanation
from rai.render.reasons import decided, order, precision, shown, signed, statement
from rai.render.terminal import said
from rai.render.words import figure, short

HALF = 12
"""How many characters the strongest bar takes on its side of the middle."""
MORE, LESS = "blue", "yellow"


def summary(made: Explanation, console: Console) -> None:
    """Print the features in the order of their strength, how the base becomes the score, and what was checked."""
    console.print(said(f"Row {made.row:,} of {made.about.data.name}: decided {decided(made)}", console, "bold"))
    console.print(_table(made, console))
    console.print(said(statement(made), console))
    console.print(said(f"Precision: {precision(made)}", console))
    console.print(said(f"Order: {order(made)}", console))
    for each in made.warnings:
        console.print(said(each, console, "bold yellow"))
    console.print(said(NOTICE.replace("page", "answer"), console, "dim"))


def _table(made: Explanation, console: Console) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Feature", ratio=1, min_width=12, overflow="fold")
    table.add_column("-", justify="right", no_wrap=True)
    table.add_column("+", no_wrap=True)
    table.add_column("Adds", justify="right", no_wrap=True)
    sampled = any(each.error for each in made.contributions)
    if sampled:
        table.add_column("Std. error", justify="right", no_wrap=True)
    most = max((abs(each.value) for each in shown(made)), default=0.0)
    for each in shown(made):
        row = [
            said(short(each.label, 80), console),
            *_bar(each, most, console),
            said(signed(each.value, made), console),
        ]
        table.add_row(*row, *([said(_error(each), console)] if sampled else []))
    return table


def _error(each: Contribution) -> str:
    return "" if each.error is None else figure(each.error)


def _bar(each: Contribution, most: float, console: Console) -> tuple[Text, Text]:
    """The bar to the left or to the right of the middle."""
    sign = "█" if console.encoding.lower().startswith("utf") else "#"
    bar = sign * round(HALF * abs(each.value) / most) if most else ""
    empty = Text("")
    return (Text(bar, LESS), empty) if each.value < 0 else (empty, Text(bar, MORE))
