"""The command that trains: a recipe in, a model with card and ledger out."""

import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from rai.cli.words import MODEL, PATH

INTERRUPTED = 3


@click.command()
@click.argument("recipe", type=MODEL)
@click.option("--out", type=PATH, help="Folder for model, card and ledger (default: the recipe's).")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of weights and batches (default: the recipe's fit.seed)."
)
@click.option(
    "--runtime",
    type=click.Choice(("local", "ray", "deployment")),
    help="How the sites of [federated] run: local in this process, ray in Flower's simulation on Ray, deployment on "
    "Flower's servers on this machine (default: the recipe's).",
)
@click.option("--superlink", help="HOST:PORT of a running SuperLink whose sites train (with --runtime deployment).")
@click.option(
    "--stress",
    is_flag=True,
    help="Then try attacks of some sites of [federated], in trainings of their own (see [federated.stress]).",
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted training stopped.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def train(recipe: Path, *, quiet: bool, **given: Any) -> None:
    """Train a network as RECIPE (a TOML file) says; write model.pt, its card model.toml and its ledger.json.

    The card names the files of rows, so that `rai audit` of the model works at once. Ctrl-C leaves a checkpoint; the
    same command with --resume goes on from it. With [federated] in the recipe, several sites train it together.
    """
    from rai.progress import learning
    from rai.training import leading
    from rai.training import train as made_from

    quiet = quiet or not leading()
    try:
        with learning(quiet=quiet) as watch:
            made = made_from(recipe, **given, watch=watch)
    except KeyboardInterrupt:
        _interrupted(recipe, given["out"], given["seed"])
    if not quiet:
        for line in made.summary:
            click.echo(line)
        for path in (made.model, made.card, made.ledger):
            click.echo(path)
        more = "" if made.tested else " --data FILE, which names rows that no site learned from"
        click.echo(f"now: rai audit {shlex.quote(str(made.model))}{more}")


def _interrupted(recipe: Path, out: Path | None, seed: int | None) -> NoReturn:
    """Say how to go on, or that nothing was kept, and end."""
    from rai.training import checkpoint_of

    words = ["rai", "train", str(recipe), *(["--out", str(out)] if out else [])]
    words += ["--seed", str(seed)] if seed is not None else []
    kept = checkpoint_of(recipe, out).exists()
    said = f"go on with: {shlex.join([*words, '--resume'])}" if kept else "there is no checkpoint to go on from"
    click.echo(f"rai: interrupted; {said}", err=True)
    sys.exit(INTERRUPTED)
