"""Sites that learn at the same time as others: in one batched computation, or in processes beside this one."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from rai.errors import InputError
from rai.train.batches import Rows
from rai.train.federated.flower import task_in
from rai.train.federated.job import Job
from rai.train.federated.site import Learner, Task, Update, learned
from rai.train.pool import Pool, pool

if TYPE_CHECKING:
    from flwr.app import Message

TRAIN = "train"
OWN_WAY = "each site learns in its own way"


@dataclass
class Beside:
    """Learns for all sites of a round when its first message is handed over; a site then finds its update there.

    `reason` says why sites learn one by one all the same, "" where they do not.
    """

    job: Job
    reason: str = ""

    def learn(self, messages: "Sequence[Message]") -> None:
        """Do the work of all messages that ask to learn, unless something stands in the way."""
        asked = [each for each in messages if each.metadata.message_type == TRAIN]
        tasks = [task_in(each, each.metadata.dst_node_id - 1, self.job.fit) for each in asked]
        if tasks and not self.reason:
            self.begin(tasks)

    def begin(self, tasks: Sequence[Task]) -> None:
        """Do the work of these tasks, or start it."""
        raise NotImplementedError

    def made(self, task: Task) -> Update | None:
        """Return what came of a task; None where the site is to learn by itself."""
        raise NotImplementedError

    def __call__(self, module: Any, rows: Any, task: Task) -> Update:
        """Return what the site learned beside the others, or let it learn by itself."""
        found = None if self.reason else self.made(task)
        return learned(module, rows, task) if found is None else found


@dataclass
class Together(Beside):
    """One batched computation (see `vmap`)."""

    ready: dict[int, Update | InputError] = field(default_factory=dict)

    def begin(self, tasks: Sequence[Task]) -> None:
        """Do the work of these tasks."""
        from rai.train.federated.vmap import learned_together

        rows = [self.job.sites.parts[task.site].train for task in tasks]
        found = learned_together(self.job.module, rows, tasks)
        if isinstance(found, str):
            self.reason = found
        else:
            self.ready.update(zip((task.site for task in tasks), found, strict=True))

    def made(self, task: Task) -> Update | None:
        """Return the update of a site; raise what stopped it."""
        found = self.ready.pop(task.site, None)
        if isinstance(found, InputError):
            raise found
        return found


@dataclass
class Apart(Beside):
    """Several processes, each of which learns for one site after the other: for networks whose steps take long."""

    processes: Pool | None = None
    under_way: dict[int, "Future[Update]"] = field(default_factory=dict)

    def begin(self, tasks: Sequence[Task]) -> None:
        """Start the work of these tasks."""
        if self.processes is not None:
            self.under_way.update({task.site: self.processes.submit(_learned, task) for task in tasks})

    def made(self, task: Task) -> Update | None:
        """Wait for the update of a site; raise what stopped it."""
        found = self.under_way.pop(task.site, None)
        return None if found is None else found.result()


@contextmanager
def beside(job: Job, learners: Mapping[int, Learner]) -> Iterator[Beside | None]:
    """Lend what the settings ask for, `vmap` or several `jobs`, if anything; `learners` say who learns otherwise."""
    reason = OWN_WAY if learners else ""
    if job.federated.vmap:
        yield Together(job, reason)
    elif job.federated.jobs > 1 and not reason:
        rows = tuple(each.train for each in job.sites.parts)
        with pool((job.module, rows), min(job.federated.jobs, len(rows))) as processes:
            yield Apart(job, processes=processes)
    elif job.federated.jobs > 1:
        yield Apart(job, reason)
    else:
        yield None


def _learned(shared: tuple[nn.Module, Sequence[Rows]], task: Task) -> Update:
    module, rows = shared
    return learned(module, rows[task.site], task)
