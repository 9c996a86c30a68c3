"""The federation as a Flower app: what sites answer (`ClientApp`), and who asks them (`ServerApp`).

The same two apps run in one process, in Flower's simulation and on sites of their own. Flower is imported here, in
`flower_strategy.py` and in `grid.py` alone, and those are imported only after `switched_off()`.
"""

import gc
import logging
import math
import os
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rai.errors import InputError
from rai.train.federated.book import Server
from rai.train.federated.counts import flat, nested
from rai.train.federated.site import Evaluated, Home, Task, Update, evaluated, learned, load
from rai.train.settings import Fit

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Context, Message, MetricRecord
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

SWITCHES = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What keeps Flower and Ray from calling anybody; read when they are imported, so set before."""
EXAMPLES, LOSS, NORM, CORRECT, SCORE, DECIDED = "num-examples", "loss", "norm", "correct", "score", "decided"


class Asking(Protocol):
    """A Flower strategy that knows what its server does, and how arrays are packed."""

    server: Server
    pack: "Callable[[Mapping[str, Any]], ArrayRecord]"

    def start(self, grid: Any, initial_arrays: Any, num_rounds: int = 3, *, train_config: Any = None) -> Any:
        """Ask sites for so many rounds."""


def switched_off(home: Path | None = None) -> None:
    """Import Flower, kept silent and away from the user's own folder; raise `InputError` where it is not installed.

    `home` is where Flower may keep files of its own; nothing is written there unless a server is started.
    """
    if find_spec("flwr") is None:
        raise InputError("Flower is not installed", where="fit_federated", do="pip install 'rai[federated]'")
    os.environ.update(SWITCHES)
    os.environ.setdefault("FLWR_HOME", str(home or Path(tempfile.gettempdir()) / f"rai-flower-{os.getpid()}"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Flower imports, nothing is ours to mend
        import flwr.clientapp
        import flwr.serverapp.strategy  # noqa: F401 - imported here once, with the switches set


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Flower from printing what the ledger says anyway, and Python's own random numbers as they were."""
    logger, drawn = logging.getLogger("flwr"), random.getstate()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        random.setstate(drawn)


@contextmanager
def quick_collection() -> Iterator[None]:
    """Spare Python's garbage collector what is there already: many small messages call for it often.

    Some of Flower's strategies even call it for each array of each reply.
    """
    mine = not gc.get_freeze_count()
    if mine:
        gc.freeze()
    try:
        yield
    finally:
        if mine:
            gc.unfreeze()


def client_app(
    home_of: Callable[[int], Home], fit: Fit, pack: "Callable[[Mapping[str, Any]], ArrayRecord]"
) -> "ClientApp":
    """Return the app by which a site answers; `home_of` maps the site's number to what it has.

    Only arrays, counts of rows, losses, lengths and counts of right and wrong answers are in a reply, never a row.
    """
    from flwr.clientapp import ClientApp

    app = ClientApp()

    @app.train()
    def train(message: "Message", context: "Context") -> "Message":
        site = int(context.node_config["partition-id"])
        return _learned(message, home_of(site), task_in(message, site, fit), pack)

    @app.evaluate()
    def evaluate(message: "Message", context: "Context") -> "Message":
        return _evaluated(message, home_of(int(context.node_config["partition-id"])))

    return app


def server_app(strategy: Asking, state: Mapping[str, Any]) -> "ServerApp":
    """Return the app that asks sites for as many rounds as the strategy's server says; it starts from `state`."""
    from flwr.app import ConfigRecord, Context
    from flwr.serverapp import Grid, ServerApp

    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001 - Flower hands it over
        server = strategy.server
        config = ConfigRecord({"local-epochs": server.epochs, "rounds": server.rounds})
        strategy.start(grid, strategy.pack(state), server.rounds, train_config=config)

    return app


def evaluation_in(metrics: "MetricRecord", attributes: Mapping[str, tuple[str, ...]]) -> Evaluated | None:
    """Return what a site says of the common model; None where its numbers are none that a site can have measured."""
    try:
        counts = nested(metrics)
    except InputError:
        return None
    named = {name: tuple(levels) for name, levels in counts.items()}
    rows, loss, correct, score = (float(metrics.get(key, math.nan)) for key in (EXAMPLES, LOSS, CORRECT, SCORE))  # type: ignore[arg-type]
    if named != {name: tuple(levels) for name, levels in attributes.items()} or not 0 <= correct <= rows < math.inf:
        return None
    if not rows:
        return Evaluated(None, None, 0, counts)
    known = None if math.isnan(score) else score
    return Evaluated(loss, known, int(rows), counts, correct, bool(metrics.get(DECIDED))) if loss < math.inf else None


def task_in(message: "Message", site: int, fit: Fit) -> Task:
    """Return what a message asks a site to do; how it learns is said by `fit`."""
    from rai.train.federated.grid import arrays_in

    config: Any = message.content["config"]
    return Task(
        arrays_in(message.content.array_records["arrays"]),
        int(config["server-round"]),
        fit.seed,
        fit,
        int(config["local-epochs"]),
        proximal=float(config.get("proximal-mu", 0.0)),
        site=site,
        rounds=int(config["rounds"]),
    )


def _learned(message: "Message", home: Home, task: Task, pack: "Callable[[Any], ArrayRecord]") -> "Message":
    from flwr.app import Message, MetricRecord, RecordDict

    update: Update = (home.learn or learned)(home.module, home.rows, task)
    told = MetricRecord({EXAMPLES: update.examples, LOSS: update.loss, NORM: update.norm})
    return Message(RecordDict({"arrays": pack(update.arrays), "metrics": told}), reply_to=message)


def _evaluated(message: "Message", home: Home) -> "Message":
    from flwr.app import Message, MetricRecord, RecordDict

    from rai.train.federated.grid import arrays_in

    load(home.module, arrays_in(message.content.array_records["arrays"]))
    seen = evaluated(home.module, home.held, home.attributes)
    said = {LOSS: seen.loss, SCORE: seen.accuracy}
    numbers = {name: math.nan if value is None else value for name, value in said.items()}
    told = {EXAMPLES: seen.examples, CORRECT: seen.correct, DECIDED: int(seen.decided)}
    return Message(RecordDict({"metrics": MetricRecord({**told, **numbers, **flat(seen.counts)})}), reply_to=message)
