"""The command line: words in, an exit code out."""

import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from rai.errors import InputError, plain

if TYPE_CHECKING:
    from rai.report import Report

F = TypeVar("F", bound=Callable[..., Any])
BAD_INPUT = 2
CRASHED = 3
FORMATS = ("html", "json", "md", "junit")


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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rai")
@click.pass_context
def main(context: click.Context) -> None:
    """Audit a trained model: numbers with intervals, held against a written policy, in one report.

    Exit codes: 0 pass · 1 a rule failed · 2 usage or input error · 3 an audit crashed or could not run to its
    end · 4 nothing failed, but a rule is unsure or unmeasured.
    """
    from rai.config import read_config

    config = read_config(Path.cwd())
    settings = {"formats" if name == "format" else name: value for name, value in config.settings.items()}
    context.default_map = {"audit": settings}
    context.obj = config.metrics


@main.command()
@click.argument("model", type=MODEL)
@option("--card", type=PATH, help="The model card (default: the model's name with .toml).")
@option("--data", type=PATH, help="Test rows: CSV, Parquet or Feather (default: the card's).")
@option("--reference", type=PATH, help="Reference rows, usually the training data.")
@option("--target", help="Column with the true labels.")
@option("--sensitive", type=NAMES, default=(), help="Sensitive columns.")
@option("--policy", default="default", show_default=True, help="A law pack's name or a path ending in .toml.")
@option("--only", type=NAMES, default=(), help="Run only these audits (see: rai list).")
@option("--out", type=PATH, help="Folder for the report (default: reports/<name>).")
@option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all resampling.")
@option("--format", "formats", type=NAMES, default="html,json", show_default=True, help="html, json, md, junit.")
@click.option("--allow-code-in-model", "allow_code", is_flag=True, help="Load a model file that carries code.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Also print the traceback of an audit that crashed.")
@click.pass_obj
def audit(metrics: dict[str, str], /, model: Path, **given: Any) -> None:
    """Audit MODEL: measure it, judge it, write the report."""
    from rai.files import require_file, require_folder
    from rai.intake import Choices
    from rai.journal import forget
    from rai.policy import read_policy
    from rai.progress import watching
    from rai.run import Plan, audit_files, now

    formats = _formats(given["formats"])
    _hear(verbose=given["verbose"])
    require_file(model, do="name the model file to audit")
    fields = ("card", "data", "reference", "target", "sensitive", "seed", "allow_code")
    choices = Choices(**{name: given[name] for name in fields}, metrics=metrics)
    folder = require_folder(given["out"] or Path("reports") / _name(model, given["card"]))
    with watching(quiet=given["quiet"]) as watch:
        policy, journal = read_policy(given["policy"]), folder / ".journal"
        plan = Plan(policy, given["only"], command=_command(), date=now(), journal=journal, watch=watch)
        report = audit_files(model, choices, plan)
    paths = report.write(folder, formats)
    forget(journal)
    _show(report, paths, quiet=given["quiet"])
    sys.exit(report.exit_code)


@main.command()
@click.argument("model", type=MODEL)
@click.option("--data", type=PATH, required=True, help="Test rows that the card will name.")
@click.option("--target", required=True, help="Column with the true labels.")
@click.option("--sensitive", type=NAMES, default=(), help="Sensitive columns.")
@click.option("--reference", type=PATH, help="Reference rows, usually the training data.")
@click.option("--force", is_flag=True, help="Write over a card that is already there.")
def init(model: Path, data: Path, *, target: str, sensitive: tuple[str, ...], **more: Any) -> None:
    """Draft the card of MODEL (model.toml beside it); each guess is marked by a comment."""
    from rai.draft import draft
    from rai.files import write_atomic
    from rai.rehearsal import rehearse

    path = model.with_suffix(".toml")
    if path.exists() and not more["force"]:
        raise InputError("there is a card already", where=path, do="edit it, or pass --force to write over it")
    write_atomic(path, draft(model, data, target=target, sensitive=sensitive, reference=more["reference"]))
    click.echo(f"drafted {path}: check each guess, then run: rai audit {shlex.quote(str(model))}")
    click.echo(rehearse(model))


@main.command()
@click.argument("report", type=PATH)
@click.option("--policy", default="default", show_default=True, help="A law pack's name or a path ending in .toml.")
@click.option("--out", type=PATH, help="Folder for the new report (default: nothing is written).")
@click.option("--format", "formats", type=NAMES, default="html,json", show_default=True, help="html, json, md, junit.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def judge(report: Path, policy: str, out: Path | None, formats: tuple[str, ...], *, quiet: bool) -> None:
    """Hold the evidence of REPORT (a report.json) against another policy, without model or data."""
    from rai.policy import read_policy
    from rai.report import Report
    from rai.run import judge_again

    wanted = _formats(formats)
    judged = judge_again(Report.read(report), read_policy(policy))
    _show(judged, judged.write(out, wanted) if out else (), quiet=quiet)
    sys.exit(judged.exit_code)


@main.command()
@click.argument("report", type=PATH)
@click.option("--format", "wanted", type=click.Choice(FORMATS), default="html", show_default=True)
@click.option("--out", type=PATH, help="File to write (default: standard output).")
def render(report: Path, wanted: str, out: Path | None) -> None:
    """Draw REPORT (a report.json) in another format."""
    from rai.render import render as draw
    from rai.report import Report

    found = Report.read(report)
    if out:
        click.echo(found.save(out, format=wanted))
    else:
        click.echo(draw(found.record, wanted), nl=False)


@main.command("list")
def listing() -> None:
    """List audits, policies and formats."""
    from rai.audits import listings, strangers

    click.echo("Audits")
    for each in listings():
        click.echo(f"  {each.name:<13} {each.question}")
    for point in strangers():
        click.echo(f"  {plain(point.name):<13} from {plain(point.value)}")
    policies = sorted(path.stem for path in (Path(__file__).parent / "policies").glob("*.toml"))
    click.echo(f"Policies\n  {', '.join(policies)}\nFormats\n  {', '.join(FORMATS)}")


@main.command()
def schema() -> None:
    """Print the JSON Schema of report.json."""
    import json

    from rai.record import schema as made

    click.echo(json.dumps(made(), indent=1))


def run() -> NoReturn:
    """Run the command line; every error becomes one line and an exit code."""
    try:
        main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        click.echo(f"rai: {plain(error.format_message())}; see: {_help(error)} --help", err=True)
        sys.exit(BAD_INPUT)
    except InputError as error:
        click.echo(f"rai: {error}", err=True)
        sys.exit(BAD_INPUT)
    except OSError as error:
        click.echo(
            f"rai: {plain(error.filename or 'a file')}: {plain(error.strerror or type(error).__name__)}", err=True
        )
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("rai: interrupted; the same command goes on where this one stopped", err=True)
        sys.exit(CRASHED)
    except Exception as error:
        logging.getLogger("rai").debug("internal error", exc_info=error)
        click.echo(f"rai: internal error, please report it: {type(error).__name__}: {plain(error)}", err=True)
        sys.exit(CRASHED)
    sys.exit(0)


def _help(error: click.ClickException) -> str:
    """The command whose help tells more."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return context.command_path if context else "rai"


def _formats(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in FORMATS:
            raise InputError(f"no format is named {name!r}", where="--format", expected=f"some of {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(("json", *names)))


def _name(model: Path, card: Path | None) -> str:
    """The model's name from its card as a folder's name; else the file's."""
    from rai.card import read_card

    named = read_card(card or model.with_suffix(".toml")).name or model.stem
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in named).strip(".") or "model"


def _command() -> str:
    return shlex.join(["rai", *sys.argv[1:]])


def _hear(*, verbose: bool) -> None:
    if verbose:
        logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
        logging.getLogger("rai").setLevel(logging.DEBUG)


def _show(report: "Report", paths: tuple[Path, ...], *, quiet: bool) -> None:
    from rich.console import Console

    from rai.render import summary

    if quiet:
        return
    summary(report.record, Console())
    for path in paths:
        click.echo(path)
