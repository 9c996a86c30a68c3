"""The two apps that a bundle names: what Flower runs at each site, and what it runs beside the SuperLink.

They are those of the run in one process; here each finds what to do in the bundle, and a site its own rows on its own
disk, where its node config says. Imported by Flower alone, in processes of its own.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from flwr.app import ConfigRecord, Context, Error, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp

from rai.data import load
from rai.errors import InputError
from rai.files import write_atomic
from rai.networks import build
from rai.train.federated.book import Sheet
from rai.train.federated.bundle import Order, read_order, read_start, unpacked
from rai.train.federated.facts import Facts, distant, facts_of, levels_of, to_text, write_facts
from rai.train.federated.flower import client_app, server_app
from rai.train.federated.flower_strategy import Checking, inner_of
from rai.train.federated.grid import reason_of, sent
from rai.train.federated.job import Job
from rai.train.federated.local import server_of
from rai.train.federated.own_rows import holds_parts, read_parts
from rai.train.federated.promises import SitePromises, account_at
from rai.train.federated.round_files import PROBLEM, write_round
from rai.train.federated.seats import LEVELS, SITE, Seated
from rai.train.federated.simulation import node_of
from rai.train.federated.site import Home
from rai.train.given import Parts, parts_of, rows_given
from rai.train.setup import device_of

DATA, NUMBER, NAME, ACCOUNTS = "data", "partition-id", "name", "accounts"
NodeConfig = Mapping[str, Any]
UNREADABLE = "its file cannot be read as the card says; the log of its SuperNode says why"


class Answering(ClientApp):
    """The site's app: it answers as in one process, and of what goes wrong it tells no more than there."""

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer one message."""
        try:
            order = read_order(unpacked(str(context.run_config["job"])))
            node = node_of(context.node_config)
            if message.metadata.message_type == MessageType.QUERY:
                told = ConfigRecord({SITE: to_text(told_by(order, node))})
                return Message(RecordDict({SITE: told}), reply_to=message)
            home = home_of(order, node, _levels(message))
            return client_app(lambda _: home, order.fit, sent)(message, context)
        except Exception as error:  # noqa: BLE001 - Flower would send the text of any error, which may quote rows
            _enter(error)
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason_of(error)), reply_to=message)


client = Answering()
server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Ask the sites for as many rounds as the bundle says, and write each round down where the run config says."""
    folder = unpacked(str(context.run_config["job"]))
    result = Path(str(context.run_config["result"]))
    result.mkdir(parents=True, exist_ok=True)
    try:
        serve(read_order(folder), read_start(folder), Seated(grid, _clients(folder)), context, result)
    except InputError as error:
        write_atomic(result / PROBLEM, str(error))
        raise


def serve(order: Order, start: Mapping[str, Any], grid: Seated, context: Context, result: Path) -> None:
    """Run the server's side: see who the sites are, let them learn, and where they promised something, ask again."""
    facts = grid.take_seats()
    write_facts(result, facts)
    grid.levels = order.attributes or levels_of(facts)
    sites = distant(order.names, grid.levels, order.task)
    job = Job(build(order.network), sites, order.federated, order.fit, order.private, order.arguments, start)
    inner = inner_of(order.federated.strategy, order.arguments)
    heard = partial(write_round, result, updates=server_of(job, _nobody).keep)
    strategy = Checking(inner, server_of(job, heard), grid.levels, sent)
    server_app(strategy, start)(grid, context)
    if order.private is not None:
        write_facts(result, grid.ask_again())


def home_of(order: Order, node: NodeConfig, levels: Mapping[str, tuple[str, ...]]) -> Home:
    """Return what a site has: a network to work in, the rows of its own file, part of them held back, and its promise.

    Raises `InputError` for what is wrong with the file or the node config.
    """
    module = build(order.network).to(device_of(order.fit))
    parts, site = parts_at(order, node, module), int(node[NUMBER])
    promises = promises_of(order, node, parts)
    learn = None if promises is None else promises.learners()[site]
    return Home(module, parts.train, parts.held, levels, learn)


def told_by(order: Order, node: NodeConfig) -> Facts:
    """Return what a site tells of itself."""
    parts, site = parts_at(order, node, build(order.network)), int(node[NUMBER])
    promises = promises_of(order, node, parts)
    promise = None if promises is None else promises.made().get(site)
    return facts_of(site, name_of(order, node), parts, promise)


def parts_at(order: Order, node: NodeConfig, module: torch.nn.Module) -> Parts:
    """Read a site's own file: tensors of a rehearsal, or rows as the card says, of which a share is held back.

    Raises `InputError` that tells no more than others may know: which column of the card is wrong, and how.
    """
    for name in (DATA, NUMBER):
        if name not in node:
            raise InputError(f"names no {name}", where="node config", do=f"start the SuperNode with {name}=…")
    try:
        return _parts_in(Path(str(node[DATA])), order, module)
    except InputError as error:
        raise InputError(error.outward or UNREADABLE, where=name_of(order, node)) from error


def name_of(order: Order, node: NodeConfig) -> str:
    """Return the site's name: its own, or the one that the bundle has for its number."""
    site = int(node[NUMBER])
    return str(node.get(NAME) or (order.names[site] if site < len(order.names) else site))


def _parts_in(path: Path, order: Order, module: torch.nn.Module) -> Parts:
    if not path.exists():
        raise InputError("no such file", where=path, outward=f"no such file as its node config names in {DATA}")
    if holds_parts(path):
        return read_parts(path, order.task)
    if order.card is None:
        raise InputError("cannot be read without a card", where=path.name, do="submit a recipe whose card says how")
    own = replace(order.card, data=replace(order.card.data, reference=str(path)))  # which may hold one group or class
    rows = rows_given(load(path, own), module, order.task)
    return parts_of(rows, None, share=order.fit.validation, seed=order.fit.seed)


def promises_of(order: Order, node: NodeConfig, parts: Parts) -> SitePromises | None:
    """Return what the site promises to its rows, its account in the folder `accounts`, else beside its file."""
    if order.private is None:
        return None
    folder = Path(str(node.get(ACCOUNTS) or Path(str(node[DATA])).parent / "accounts"))
    return SitePromises(order.private, {int(node[NUMBER]): account_at(folder, parts, order.private)})


def _enter(error: Exception) -> None:
    """Say in the site's own log, which stays there, what went wrong and where."""
    whole = error.__cause__ or error
    known = isinstance(whole, InputError)
    logging.getLogger("rai").error("%s", whole, exc_info=None if known else whole)


def _nobody(_sheet: Sheet) -> None:
    """Hear of no round."""


def _clients(folder: Path) -> int:
    return len(read_order(folder).names)


def _levels(message: Message) -> dict[str, tuple[str, ...]]:
    told = json.loads(str(message.content.config_records[LEVELS][LEVELS]))
    return {name: tuple(levels) for name, levels in told.items()}
