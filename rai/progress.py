"""Progress on standard error: a bar where a person watches, plain lines where a log is kept."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rai.run import Step, Watch, unwatched


@contextmanager
def watching(*, quiet: bool) -> Iterator[Watch]:
    """Yield a watch that shows each step on standard error for as long as the block runs."""
    if quiet:
        yield unwatched
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _drawn(bar)
    else:
        yield _line


def _line(step: Step) -> None:
    if step.seconds is not None:
        sys.stderr.write(f"rai: [{step.done}/{step.total}] {step.name}: {step.seconds:.1f} s\n")


def _bar() -> Progress:
    parts = (SpinnerColumn(), TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn())
    return Progress(*parts, TimeElapsedColumn(), console=Console(stderr=True), transient=True)


def _drawn(bar: Progress) -> Watch:
    task = bar.add_task("loading model and data", total=None)

    def draw(step: Step) -> None:
        bar.update(task, description=step.name, completed=step.done, total=step.total)

    return draw
