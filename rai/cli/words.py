"""The words that commands share: lists of names, paths, flags that also come from the environment, the model."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Names(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of names."""

    name = "A,B,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:  # noqa: ARG002 - click's signature
        """Split at commas; white space around a name is dropped."""
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(part.strip() for part in parts if part.strip())


class Place(click.ParamType[Path]):
    """A path; ~ is the home folder, also where no shell wrote it out (--out=~/x, rai.toml)."""

    name = "path"

    def __init__(self, *, file: bool = False) -> None:
        self.file = file

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """Refuse the empty text, and where a file is wanted also what has no name of its own, such as . and /."""
        path = Path(os.path.expanduser(value))  # noqa: PTH111 - pathlib's own fails where there is no such home
        if not str(value).strip() or (self.file and not path.name):
            self.fail(f"{str(value)!r} names no file", param, ctx)
        return path


NAMES = Names()
PATH = Place()
MODEL = Place(file=True)


def option(name: str, *parameter: str, **more: Any) -> Callable[[F], F]:
    """Return a flag that also reads the environment variable RAI_<NAME>."""
    return click.option(name, *parameter, envvar=f"RAI_{name.strip('-').replace('-', '_').upper()}", **more)


def on_trial(command: F) -> F:
    """Give a command the words that say which model is tried on which rows."""
    words = (
        click.argument("model", type=MODEL),
        option("--card", type=PATH, help="The model card (default: the model's name with .toml)."),
        option(
            "--data", type=PATH, help="Test rows: CSV, Parquet or Feather, images, sequences (default: the card's)."
        ),
        option("--reference", type=PATH, help="Reference rows, usually the training data."),
        option("--target", help="Column with the true labels."),
        option("--sensitive", type=NAMES, default=(), help="Sensitive columns."),
        option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all sampling."),
        click.option("--allow-code-in-model", "allow_code", is_flag=True, help="Load a model file that carries code."),
    )
    for each in reversed(words):
        command = each(command)
    return command


def require_model(model: Path) -> None:
    """Raise `InputError` unless a model is there: a file, or a folder as transformers saves one."""
    from rai.files import require_file, require_settled

    require_settled(model)
    if not model.is_dir():
        require_file(model, do="name the model file")


def report_name(model: Path, card: Path | None = None) -> str:
    """Return the model's name from its card as a folder's name; else the file's."""
    from rai.card import read_card

    named = read_card(card or model.with_suffix(".toml")).name or model.stem
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in named).strip(".") or "model"
