"""The command line: words in, an exit code out."""

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rai.cli.federating import federated
from rai.cli.mitigating import mitigate
from rai.cli.training import train
from rai.cli.words import MODEL, NAMES, PATH, on_trial, option, report_name, require_model
from rai.errors import InputError, plain

if TYPE_CHECKING:
    from rai.report import Report

BAD_INPUT = 2
CRASHED = 3
FORMATS = ("html", "json", "md", "junit")
CHOSEN = ("card", "data", "reference", "target", "sensitive", "seed", "allow_code")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rai")
@click.pass_context
def main(context: click.Context) -> None:
    """Audit a trained model: numbers with intervals, held against a written policy, in one report.

    Or train one whose ledger says on what, how privately and at what cost it was made; or narrow a gap between groups.

    Exit codes: 0 pass · 1 a rule failed · 2 usage or input error · 3 an audit crashed or could not run to its
    end · 4 nothing failed, but a rule is unsure or unmeasured.
    """
    from rai.config import read_config

    config = read_config(Path.cwd())
    settings = {"formats" if name == "format" else name: value for name, value in config.settings.items()}
    law = {"policy": settings["policy"]} if "policy" in settings else {}
    context.default_map = {"audit": settings, "mitigate": law}
    context.obj = config.metrics


@main.command()
@on_trial
@option("--policy", default="default", show_default=True, help="A law pack's name or a path ending in .toml.")
@option("--only", type=NAMES, default=(), help="Run only these audits (see: rai list).")
@option("--out", type=PATH, help="Folder for the report (default: reports/<name>).")
@option("--format", "formats", type=NAMES, default="html,json", show_default=True, help="html, json, md, junit.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Also print the traceback of an audit that crashed.")
@click.pass_obj
def audit(metrics: dict[str, str], /, model: Path, **given: Any) -> None:
    """Audit MODEL: measure it, judge it, write the report."""
    from rai.files import require_folder
    from rai.intake import Choices
    from rai.journal import forget
    from rai.policy import read_policy
    from rai.progress import watching
    from rai.run import Plan, audit_files, now

    formats = _formats(("json", *given["formats"]))
    _hear(verbose=given["verbose"])
    require_model(model)
    choices = Choices(**{name: given[name] for name in CHOSEN}, metrics=metrics)
    folder = require_folder(given["out"] or Path("reports") / report_name(model, given["card"]))
    with watching(quiet=given["quiet"]) as watch:
        policy, journal = read_policy(given["policy"]), folder / ".journal"
        plan = Plan(policy, given["only"], command=_command(), date=now(), journal=journal, watch=watch)
        report = audit_files(model, choices, plan)
    paths = report.write(folder, formats)
    forget(journal)
    _show(report, paths, quiet=given["quiet"])
    sys.exit(report.exit_code)


@main.command()
@on_trial
@click.option("--row", type=click.IntRange(min=1), required=True, help="Row of the test data; the first is 1.")
@click.option("--method", default="shapley", show_default=True, help="How to explain (see: rai list).")
@click.option("--budget", type=click.IntRange(min=1), help="Most coalitions, samples or steps.")
@click.option("--out", type=MODEL, help="Page to write (default: reports/<name>/row-<row>.html).")
@click.option("--format", "formats", type=NAMES, default="html", show_default=True, help="html, json.")
def explain(model: Path, **given: Any) -> None:
    """Explain what MODEL says of one row: which features moved its score, how much, and how sure that is.

    The page shows one person's data and must be handled so.
    """
    from rich.console import Console

    from rai.explaining import explain_file, write
    from rai.files import require_folder
    from rai.intake import Choices
    from rai.render import explained

    formats = _formats(given["formats"], ("html", "json"))
    require_model(model)
    choices = Choices(**{name: given[name] for name in CHOSEN})
    page = given["out"] or Path("reports") / report_name(model, given["card"]) / f"row-{given['row']}.html"
    require_folder(page.parent)
    made = explain_file(model, choices, row=given["row"], method=given["method"], budget=given["budget"])
    explained(made, Console())
    for path in write(made, page, formats):
        click.echo(path)


@main.command()
@click.argument("model", type=MODEL)
@click.option("--data", type=PATH, required=True, help="Test rows: a table, images, sequences or texts.")
@click.option("--target", required=True, help="Column with the true labels.")
@click.option("--sensitive", type=NAMES, default=(), help="Sensitive columns.")
@click.option("--reference", type=PATH, help="Reference rows, usually the training data.")
@click.option("--force", is_flag=True, help="Write over a card that is already there.")
def init(model: Path, data: Path, *, target: str, sensitive: tuple[str, ...], **more: Any) -> None:
    """Draft the card of MODEL (model.toml beside it); each guess is marked by a comment.

    What each test row is, is told by looking: a row of a table, an image (a folder with labels.csv, or an .npz with an
    array images), a sequence (an .npz with an array values, or a table with id and step), or a text.
    """
    from rai.draft import draft
    from rai.files import write_atomic
    from rai.rehearsal import rehearse

    path = model.with_suffix(".toml")
    if path.exists() and not more["force"]:
        raise InputError("there is a card already", where=path, do="edit it, or pass --force to write over it")
    write_atomic(path, draft(model, data, target=target, sensitive=sensitive, reference=more["reference"]))
    click.echo(f"drafted {path}: check each guess, then run: rai audit {shlex.quote(str(model))}")
    click.echo(rehearse(model))


main.add_command(train)
main.add_command(mitigate)
main.add_command(federated)


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

    wanted = _formats(("json", *formats))
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
    """List audits, policies, methods of explanation and formats."""
    from rai.audits import listings, strangers
    from rai.methods import METHODS

    click.echo("Audits")
    for each in listings():
        click.echo(f"  {each.name:<13} {each.question}")
    for point in strangers():
        click.echo(f"  {plain(point.name):<13} from {plain(point.value)}")
    policies = sorted(path.stem for path in (Path(__file__).parents[1] / "policies").glob("*.toml"))
    click.echo(f"Policies\n  {', '.join(policies)}\nMethods of explanation\n  {', '.join(METHODS)}")
    click.echo(f"Formats\n  {', '.join(FORMATS)}")


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


def _formats(names: tuple[str, ...], known: tuple[str, ...] = FORMATS) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise InputError(f"no format is named {name!r}", where="--format", expected=f"some of {', '.join(known)}")
    return tuple(dict.fromkeys(names))


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
