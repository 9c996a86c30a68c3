"""The commands around a federation: servers for a rehearsal on this machine."""

import shlex
import signal
import time
from pathlib import Path

import click

from rai.cli.words import MODEL, PATH

EVERY = 1.0


@click.group()
def federated() -> None:
    """Start what a training by several sites needs beside the training itself."""


@federated.command()
@click.argument("recipe", type=MODEL)
@click.option("--out", type=PATH, help="Folder for logs and sites' accounts (default: rehearsal beside the recipe).")
@click.option("--cold", is_flag=True, help="Let Flower start a new Python for each message, as real sites do.")
def up(recipe: Path, *, out: Path | None, cold: bool) -> None:
    """Start a SuperLink and a SuperNode for each site of RECIPE on this machine, until Ctrl-C.

    The recipe's rows are dealt out, and each SuperNode keeps those of its site. Nothing is reached from outside.
    """
    from rai.training.rehearsing import rehearsed

    folder = out or recipe.parent / "rehearsal"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end by others, too, stops all servers
    try:
        with rehearsed(recipe, folder, warm=not cold) as ready:
            click.echo(f"SuperLink at {ready.address}, and {len(ready.sites)} sites: {', '.join(ready.sites)}")
            command = ["rai", "train", str(recipe), "--runtime", "deployment", "--superlink", ready.address]
            click.echo(f"now, in another terminal: {shlex.join(command)}")
            click.echo("Ctrl-C stops all of them")
            while True:
                ready.look()
                time.sleep(EVERY)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
