"""Progress on standard error: a bar where a person watches, plain lines where a log is kept."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rai.run import Step, Watch, unwatched

if TYPE_CHECKING:
    from rai.train.loop import Moment
    from rai.train.loop import Watch as Learning


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


@contextmanager
def counting(*, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function of (done, of, what) that shows how many of several trainings are done."""
    if not quiet and not sys.stderr.isatty():
        yield _count
        return
    with watching(quiet=quiet) as watch:
        yield lambda done, of, what: watch(Step(what, done, of, seconds=None))


def _count(done: int, of: int, what: str) -> None:
    sys.stderr.write(f"rai: [{done}/{of}] {what}\n")


@contextmanager
def learning(*, quiet: bool) -> Iterator["Learning | None"]:
    """Yield a watch that shows training with its loss and, where private, the epsilon spent so far; None if `quiet`."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _Drawn(bar)
    else:
        yield _Lines()


class _Drawn:
    """A bar that moves with every step."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("reading the rows", total=None)

    def step(self, moment: "Moment") -> None:
        """Show a step."""
        self.bar.update(self.task, description=_told(moment), completed=moment.step, total=moment.steps)


class _Lines:
    """A line for every epoch or round, where a log is kept: a private training's loss without noise stays out."""

    def __init__(self) -> None:
        self.last: Moment | None = None

    def step(self, moment: "Moment") -> None:
        """Write a line where an epoch ended: the last step of one shows when the next begins; a round is one step."""
        if moment.part == "round":
            self._write(moment)
            return
        before, self.last = self.last, moment
        ended = before if before is not None and before.epoch != moment.epoch else None
        if moment.step == moment.steps:
            self._write(*(each for each in (ended, moment) if each is not None))
        elif ended is not None:
            self._write(ended)

    def _write(self, *moments: "Moment") -> None:
        for each in moments:
            shown = each if each.epsilon is None else replace(each, loss=None)
            sys.stderr.write(f"rai: [{each.step}/{each.steps}] {_told(shown)}\n")


def _told(moment: "Moment") -> str:
    """Epoch or round, loss, and what was spent: `epoch 3/20 · loss 0.412 · ε ≤ 1.83`."""
    loss = [] if moment.loss is None else [f"loss {moment.loss:.4g}"]
    spent = [] if moment.epsilon is None else [f"ε ≤ {moment.epsilon:.3g}"]
    return " · ".join([f"{moment.part} {moment.epoch}/{moment.epochs}", *loss, *spent])
