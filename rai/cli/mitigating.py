"""The command that narrows a gap: a trained model in, a model beside its baseline and a report on both out."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rai.cli.words import MODEL, NAMES, PATH, option, report_name, require_model
from rai.errors import InputError

if TYPE_CHECKING:
    from rai.policy import Policy

NOT_REACHED, INTERRUPTED = 1, 3
CRITERIA = ("demographic_parity", "equalized_odds", "equal_opportunity")
METHODS = ("threshold", "gap_penalty", "adversarial")
SAID = ("criterion", "sensitive", "method", "at_most", "seeds", "seed")


@click.command()
@click.argument("model", type=MODEL)
@click.option("--criterion", type=click.Choice(CRITERIA), default="equalized_odds", show_default=True)
@click.option("--sensitive", type=NAMES, default=(), help="Sensitive columns (default: all that the card names).")
@click.option("--method", type=click.Choice(METHODS), default="threshold", show_default=True)
@click.option("--at-most", type=float, default=0.02, show_default=True, help="The gap that is asked for.")
@click.option("--strengths", type=NAMES, default=(), help="Strengths to try (default: the method's usual ones).")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds for each strength.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option("--out", type=PATH, help="Folder for the new model and its baseline (default: mitigated beside MODEL).")
@click.option("--report", type=PATH, help="Folder for the report (default: reports/<name>-mitigated).")
@option("--policy", default="default", show_default=True, help="A law pack's name or a path ending in .toml.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_obj
def mitigate(metrics: dict[str, str], /, model: Path, **given: Any) -> None:
    """Narrow the gap between groups of MODEL, at a price that is measured; write a new model and a report on both.

    The curve of accuracy against the gap is found on reference rows. Of its points the most accurate is kept whose gap
    is at most --at-most; where there is none, the one with the smallest gap, and the exit code is 1, whatever the
    report's verdict. The report compares before and after on the test rows.
    """
    from rai.files import require_folder
    from rai.policy import read_policy
    from rai.progress import counting
    from rai.train.fair.afterwards import Aim
    from rai.training.mitigating import mitigate as made_from

    aim = Aim(**{name: given[name] for name in SAID}, strengths=_numbers(given["strengths"]))
    require_model(model)
    policy = read_policy(given["policy"])
    folder = require_folder(given["report"] or Path("reports") / f"{report_name(model)}-mitigated")
    try:
        with counting(quiet=given["quiet"]) as tell:
            made = made_from(model, aim, out=given["out"], tell=tell)
        report = _report(made.model, policy, metrics, given).write(folder, ("json", "html"))
    except KeyboardInterrupt:
        click.echo("rai: interrupted; the same command begins anew", err=True)
        sys.exit(INTERRUPTED)
    if not given["quiet"]:
        for line in (*made.summary, made.model, made.card, made.ledger, made.baseline, *report):
            click.echo(line)
    sys.exit(0 if made.reached else NOT_REACHED)


def _numbers(given: tuple[str, ...]) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in given)
    except ValueError:
        raise InputError(f"is {','.join(given)!r}", where="--strengths", expected="numbers, such as 0.5,0.9") from None


def _report(model: Path, policy: "Policy", metrics: dict[str, str], given: dict[str, Any]) -> Any:
    """The audit that the same model gets from `rai audit`, as its page says."""
    from rai.intake import Choices
    from rai.progress import watching
    from rai.run import Plan, audit_files, now

    words = ["rai", "audit", str(model), "--policy", given["policy"], "--seed", str(given["seed"])]
    with watching(quiet=given["quiet"]) as watch:
        plan = Plan(policy, command=shlex.join(words), date=now(), watch=watch)
        return audit_files(model, Choices(seed=given["seed"], metrics=metrics), plan)
