"""A grid over a network: it asks each SuperNode which site it is, and numbers the sites as in one process, from 1.

Flower's own numbers of nodes are drawn by chance, so that two runs of one federation would add up in another order.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from rai.errors import InputError, plain
from rai.train.federated.facts import Facts, from_text

POLL = 0.2
DEADLINE = 300.0
SITE, LEVELS = "site", "levels"


@dataclass
class Seated(Grid):
    """The grid that Flower gives, seen by sites' numbers; `levels` goes with each message (see `apps`)."""

    grid: Grid
    sites: int
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes: dict[int, int] = {}
        self.asked: dict[str, int] = {}

    def take_seats(self) -> list[Facts]:
        """Wait for all sites, ask each who it is, and return what they say, in the order of their numbers.

        Raises `InputError` where they do not come in time, do not say who they are, have numbers other than 0, 1, 2 …
        each once, or names that are not their own.
        """
        found = self._asked(self._present())
        numbers = sorted(each.number for each in found.values())
        if numbers != list(range(self.sites)):
            expected = f"each of 0 to {self.sites - 1} once, in sites' node config"
            raise InputError(f"are {numbers}", where="partition-id", expected=expected)
        _require_names({each.name for each in found.values()}, len(found))
        self.nodes = {each.number + 1: node for node, each in found.items()}
        return sorted(found.values(), key=lambda each: each.number)

    def ask_again(self) -> list[Facts]:
        """Return what the same sites say now."""
        found = self._asked(list(self.nodes.values()))
        return [found[self.nodes[number]] for number in sorted(self.nodes)]

    def _asked(self, nodes: list[int]) -> dict[int, Facts]:
        asked = [Message(RecordDict(), node, MessageType.QUERY) for node in nodes]
        places = dict(zip(self.grid.push_messages(asked), nodes, strict=True))
        replies = self._awaited(set(places), DEADLINE)
        return {places[each.metadata.reply_to_message_id]: _facts(each) for each in replies}

    def _present(self) -> list[int]:
        until = time.monotonic() + DEADLINE
        while len(nodes := sorted(self.grid.get_node_ids())) < self.sites:
            if time.monotonic() > until:
                what = f"{len(nodes)} of {self.sites} sites came"
                raise InputError(what, where="federated", do="start a SuperNode at each site")
            time.sleep(POLL)
        if len(nodes) > self.sites:
            raise InputError(f"{len(nodes)} sites came", where="federated", expected=f"{self.sites}")
        return nodes

    def set_run(self, run: Run) -> None:
        """Take another run's description."""
        self.grid.set_run(run)

    @property
    def run(self) -> Run:
        """The description of the run."""
        return self.grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message to one site."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the numbers of all sites, from 1."""
        return sorted(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages to the nodes that sit at these numbers."""
        given = list(messages)
        numbers = list(self.grid.push_messages([self._sent(each) for each in given]))
        for number, message in zip(numbers, given, strict=True):
            self.asked[number] = message.metadata.dst_node_id
        return numbers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there, as sent by sites' numbers."""
        found = list(self.grid.pull_messages(message_ids))
        for reply in found:
            reply.metadata.__dict__["_src_node_id"] = self.asked.pop(reply.metadata.reply_to_message_id)
        return found

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send messages and wait for all replies, or as long as `timeout` says."""
        numbers = set(self.push_messages(messages))
        return self._awaited(numbers, timeout, self)

    def _awaited(self, numbers: set[str], timeout: float | None, grid: Grid | None = None) -> list[Message]:
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        found: list[Message] = []
        while numbers and time.monotonic() < until:
            came = [_made(each) for each in (grid or self.grid).pull_messages(numbers)]
            found += came
            numbers = numbers - {each.metadata.reply_to_message_id for each in came}
            if numbers:
                time.sleep(POLL)
        return found

    def _sent(self, message: Message) -> Message:
        told = ConfigRecord({LEVELS: json.dumps({name: list(each) for name, each in self.levels.items()})})
        content = RecordDict({**message.content, LEVELS: told})
        node = self.nodes[message.metadata.dst_node_id]
        return Message(content, node, message.metadata.message_type, group_id=message.metadata.group_id)


def _made(reply: Message) -> Message:
    """A reply that a site made, if only to say that it failed.

    A simulation whose worker died goes on handing out work to it, so that all sites would seem to fail: `InputError`.
    """
    if reply.has_error() and reply.error.code == ErrorCode.UNKNOWN:
        do = "see that there is memory for all workers, or choose runtime local"
        raise InputError("a worker of the simulation died", where="federated.runtime", do=do)
    return reply


def _require_names(names: set[str], sites: int) -> None:
    """What is told of sites is told by their names."""
    if len(names) < sites:
        do = "give each site a name of its own in its node config, or none"
        raise InputError(f"{sites} sites have {len(names)} names between them", where="name", do=do)


def _facts(reply: Message) -> Facts:
    """What a site says of itself; `InputError` with its reason for one that does not."""
    if reply.has_error():
        raise InputError(f"a site cannot take part: {plain(reply.error.reason)}", where="federated")
    record = reply.content.get(SITE)
    found = from_text(str(record.get(SITE))) if isinstance(record, ConfigRecord) else None
    if found is None:
        raise InputError("a site did not say who it is", where="federated", do="use one version of rai everywhere")
    return found
