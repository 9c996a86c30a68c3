"""Flower in this process: a grid that hands messages to the sites' app one after the other, without server or network.

Only Flower's public `Grid` is filled in, with two of its inner names: an empty `Run`, and the identity that `Message`
asks for. Arrays stay arrays on their way; they become bytes only for whoever asks for bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode, SType
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from rai.errors import InputError, plain

Before = Callable[[Sequence[Message]], None]
"""What is done with all messages of one sending before each of them is handed over."""


class Held(Array):
    """An array as it is, that becomes bytes only when somebody reads them."""

    values: NDArray[Any]

    def __init__(self, values: NDArray[Any]) -> None:
        self.__dict__.update(values=values, dtype=_name(values.dtype), shape=values.shape, stype=SType.NUMPY)

    @property
    def data(self) -> bytes:  # type: ignore[override]
        """The bytes that Flower would send."""
        return Array(self.values).data

    def numpy(self) -> NDArray[Any]:
        """Return a copy, as if it had been sent: whoever changes it changes nothing elsewhere."""
        return self.values.copy()


@cache
def _name(dtype: np.dtype[Any]) -> str:
    return str(dtype)


def held(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """Return arrays as a record that stays in this process."""
    record = ArrayRecord()  # handed a mapping, it would turn all of it into bytes
    for name, each in arrays.items():
        record[name] = Held(np.asarray(each))
    return record


def sent(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """Return arrays as a record that can be sent anywhere."""
    return ArrayRecord({name: Array(np.asarray(each)) for name, each in arrays.items()})


def arrays_in(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    """Return the arrays of a record by name, to be read and not changed."""
    return {name: each.values if isinstance(each, Held) else each.numpy() for name, each in record.items()}


class LocalGrid(Grid):
    """Sites as calls of one `ClientApp`, answered in the order of sites; node numbers are sites counted from 1.

    What a site raises becomes Flower's error reply, as on any other grid. Ctrl-C goes through. `before` sees all
    messages of a sending at once, so that sites may be worked on together.
    """

    def __init__(self, app: ClientApp, sites: int, before: Before | None = None) -> None:
        self._run = Run.create_empty(run_id=1)
        self._app, self._before = app, before
        self._contexts = {site + 1: _context(site, sites) for site in range(sites)}
        self._replies: dict[str, Message] = {}
        self._numbers = count(1)

    def set_run(self, run: Run) -> None:
        """Take another run's description."""
        self._run = run

    @property
    def run(self) -> Run:
        """The description of the run."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message to one site."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the numbers of all sites."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand over each message, and keep the replies under the numbers that are returned."""
        return [self._kept(reply) for reply in self._answered(messages)]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are kept under these numbers, once."""
        return [self._replies.pop(each) for each in list(message_ids) if each in self._replies]

    def send_and_receive(
        self,
        messages: Iterable[Message],
        *,
        timeout: float | None = None,  # noqa: ARG002 - Flower's word, with nobody here to wait for
    ) -> Iterable[Message]:
        """Hand over each message and return all replies in the order of sites; nobody is waited for."""
        return list(self._answered(messages))

    def _answered(self, messages: Iterable[Message]) -> Iterator[Message]:
        ordered = sorted(messages, key=lambda each: each.metadata.dst_node_id)
        if self._before is not None:
            self._before(ordered)
        for message in ordered:
            yield self._answer(message)

    def _answer(self, message: Message) -> Message:
        try:
            return self._app(message, self._contexts[message.metadata.dst_node_id])
        except Exception as error:  # noqa: BLE001 - whatever goes wrong at one site, the others go on
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason_of(error)), reply_to=message)

    def _kept(self, reply: Message) -> str:
        number = str(next(self._numbers))
        self._replies[number] = reply
        return number


def reason_of(error: Exception) -> str:
    """Return why a site failed, in words; of a stranger's error only its kind, for its text may quote rows."""
    return plain(error) if isinstance(error, InputError) else f"it stopped with a {type(error).__name__}"


@contextmanager
def identified() -> Iterator[None]:
    """Let messages be made in this process, which no Flower runtime started."""
    names = ("_task_id", "_run_id", "_node_id")
    before = {name: getattr(TaskIdentity, name) for name in names}
    try:
        for name in names:
            setattr(TaskIdentity, name, 1)
        yield
    finally:
        for name, value in before.items():
            setattr(TaskIdentity, name, value)


def _context(site: int, sites: int) -> Context:
    own: dict[str, Any] = {"partition-id": site, "num-partitions": sites}
    return Context(run_id=1, node_id=site + 1, node_config=own, state=RecordDict(), run_config={})
