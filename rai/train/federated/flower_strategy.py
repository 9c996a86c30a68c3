"""A Flower strategy around any other: it draws sites, looks at each reply before it is joined, and writes it down."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid, strategy
from flwr.serverapp.strategy import FedAvg, Strategy
from numpy.typing import NDArray

from rai.train.federated.book import NUMBER, Server, Sheet, size_of
from rai.train.federated.flower import EXAMPLES, LOSS, evaluation_in
from rai.train.federated.grid import arrays_in
from rai.train.federated.site import Arrays, Update
from rai.train.federated.strategies import STRATEGIES, flower_arguments
from rai.train.federated.validation import checked

Attributes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Received:
    """The reply of one site to a request to learn."""

    site: int
    update: Update


def inner_of(name: str, arguments: Mapping[str, float]) -> FedAvg:
    """Return Flower's strategy of this name, which takes whoever is drawn; `arguments` are those of `arguments_of`."""
    own: dict[str, Any] = dict(flower_arguments(name, arguments))
    if name == "qfedavg":
        own["train_loss_key"] = LOSS
    kind = getattr(strategy, STRATEGIES[name].flower)
    made = kind(
        min_train_nodes=0, min_evaluate_nodes=0, min_available_nodes=0, train_metrics_aggr_fn=_no_metrics, **own
    )
    return cast("FedAvg", made)


class Checking(Strategy):
    """Flower's strategy inside, and around it what `Server` says; `book` holds a sheet for each round.

    `attributes` are the counts that every site must answer with, `pack` turns arrays into what is sent.
    """

    def __init__(
        self,
        inner: FedAvg,
        server: Server,
        attributes: Attributes,
        pack: Callable[[Mapping[str, Any]], ArrayRecord],
    ) -> None:
        self.inner, self.server, self.attributes, self.pack = inner, server, attributes, pack
        self.book: list[Sheet] = []
        self.state: Arrays = {}
        self.places: dict[int, int] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask the sites that are drawn for this round to learn from their rows."""
        nodes = sorted(grid.get_node_ids())
        self.places = {node: place for place, node in enumerate(nodes)}
        sites = tuple(sorted(self.server.drawn(server_round)))
        state = arrays_in(arrays)
        self.book.append(Sheet(server_round, state, state, sites))
        asked = cast("Grid", Nodes([nodes[site] for site in sites]))
        messages = list(self.inner.configure_train(server_round, arrays, config, asked))
        self.book[-1].bytes_down += len(messages) * size_of(state)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Join what is left after the checks; with nothing left the common model stays as it was."""
        sheet = self.book[-1]
        joined = self._checked(self._received(replies, sheet), sheet)
        arrays, _ = self.inner.aggregate_train(server_round, self._for_inner(joined, sheet))
        if arrays is None:
            sheet.weights.clear()
            return None, None
        sheet.end = self._ended(arrays_in(arrays), sheet)
        return self.pack(sheet.end), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask all sites how good the common model is on the rows that they hold back."""
        config["server-round"] = server_round
        record = RecordDict({"arrays": arrays, "config": config})
        nodes = sorted(grid.get_node_ids())
        self.book[-1].bytes_down += len(nodes) * size_of(self.book[-1].end)
        return [Message(record, node, MessageType.EVALUATE) for node in nodes]

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:  # noqa: ARG002
        """Write down what each site says of the common model, and tell whoever listens that the round is done."""
        sheet = self.book[-1]
        for reply in self._in_order(replies):
            if reply.has_content() and (metrics := _metrics(reply)) is not None:
                sheet.bytes_up += NUMBER * len(metrics)
                seen = evaluation_in(metrics, self.attributes)
                if seen is not None:
                    sheet.evaluations[self._site(reply)] = seen
        sheet.seconds = time.perf_counter() - sheet.started
        self.server.heard(sheet)
        self.state = sheet.end
        if not self.server.keep:
            sheet.updates, sheet.start, sheet.end = {}, {}, {}
        return None

    def summary(self) -> None:
        """Say nothing: the ledger holds all of it."""

    def _site(self, reply: Message) -> int:
        return self.places[reply.metadata.src_node_id]

    def _in_order(self, replies: Iterable[Message]) -> list[Message]:
        known = [each for each in replies if each.metadata.src_node_id in self.places]
        return sorted(known, key=self._site)

    def _received(self, replies: Iterable[Message], sheet: Sheet) -> list[Received]:
        """What came back, in the order of sites; who sent nothing that can be read is left out for that reason."""
        found = []
        for reply in self._in_order(replies):
            site = self._site(reply)
            update = None if reply.has_error() else _update(reply)
            if update is None:
                sheet.excluded[site] = (reply.error.reason if reply.has_error() else "") or "its reply cannot be read"
            else:
                sheet.bytes_up += size_of(update.arrays) + 3 * NUMBER
                found.append(Received(site, update))
        missing = set(sheet.asked) - {each.site for each in found} - set(sheet.excluded)
        sheet.excluded.update(dict.fromkeys(sorted(missing), "it did not reply"))
        return found

    def _checked(self, received: Sequence[Received], sheet: Sheet) -> list[Received]:
        """Those whose update may be joined."""
        updates, sites = [each.update for each in received], [each.site for each in received]
        found = checked(updates, sheet.start, most_examples=self.server.most_examples, sites=sites)
        for place, each in enumerate(received):
            sheet.examples[each.site] = max(0, each.update.examples)
            if place in found.norms:
                sheet.norms[each.site] = found.norms[place]
            reason = found.excluded.get(place, "" if _sound(each.update.loss) else "its loss is no number")
            if reason:
                sheet.excluded[each.site] = reason
        return [received[place] for place in found.kept if received[place].site not in sheet.excluded]

    def _for_inner(self, joined: Sequence[Received], sheet: Sheet) -> list[Message]:
        """What Flower's strategy is handed: fresh messages with nothing in them but what was checked."""
        for each in joined:
            sheet.updates[each.site], sheet.losses[each.site] = each.update.arrays, each.update.loss
            sheet.weights[each.site] = float(each.update.examples)
        if self.server.mean is not None:
            sheet.weights = dict.fromkeys(sheet.weights, 1.0)
            mean = self.server.mean([each.update.arrays for each in joined], sheet.start)
            return [self._message(mean, weight=1.0, loss=0.0)]
        if self.server.weights is not None and joined:
            before = self.book[-2] if len(self.book) > 1 else None
            sheet.weights = dict(self.server.weights(sheet, before))
        counted = [each for each in joined if sheet.weights[each.site] > 0]
        still = {name: sheet.start[name].astype(np.float64) for name in self.server.averaged}
        return [
            self._message({**each.update.arrays, **still}, weight=sheet.weights[each.site], loss=each.update.loss)
            for each in counted
        ]

    def _message(self, arrays: Mapping[str, Any], *, weight: float, loss: float) -> Message:
        told = MetricRecord({EXAMPLES: weight, LOSS: loss})
        return Message(RecordDict({"arrays": self.pack(arrays), "metrics": told}), 1, MessageType.TRAIN)

    def _ended(self, arrays: Arrays, sheet: Sheet) -> dict[str, NDArray[Any]]:
        """The new common state, of the types it had; running statistics are averages whatever the strategy does."""
        averaged = {name: _average(name, sheet) for name in self.server.averaged if sheet.weights}
        return {name: _like(averaged.get(name, arrays[name]), each) for name, each in sheet.start.items()}


class Nodes:
    """As much of a grid as a strategy reads that is to ask these sites and no others."""

    def __init__(self, nodes: list[int]) -> None:
        self.nodes = nodes

    def get_node_ids(self) -> list[int]:
        """Return the sites that were drawn."""
        return self.nodes


def _no_metrics(_contents: list[RecordDict], _weight: str) -> MetricRecord:
    return MetricRecord()


def _metrics(reply: Message) -> MetricRecord | None:
    found = reply.content.get("metrics")
    return found if isinstance(found, MetricRecord) else None


def _update(reply: Message) -> Update | None:
    metrics, arrays = _metrics(reply), reply.content.get("arrays")
    if metrics is None or not isinstance(arrays, ArrayRecord):
        return None
    examples, loss = metrics.get(EXAMPLES), metrics.get(LOSS)
    if not isinstance(examples, int) or not isinstance(loss, int | float):
        return None
    try:
        return Update(arrays_in(arrays), examples, float(loss), 0.0)
    except (TypeError, ValueError, OSError, EOFError):
        return None


def _sound(loss: float) -> bool:
    return math.isfinite(loss)


def _average(name: str, sheet: Sheet) -> NDArray[Any]:
    total = sum(sheet.weights.values())
    parts = [weight / total * sheet.updates[site][name].astype(np.float64) for site, weight in sheet.weights.items()]
    return np.asarray(sum(parts))


def _like(given: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    values = np.rint(given) if wanted.dtype.kind in "iu" and given.dtype.kind == "f" else given
    return np.asarray(values).astype(wanted.dtype, copy=False)
