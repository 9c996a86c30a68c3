"""Sites that learn at the same time as others: in one batched computation, or in processes beside this one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
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
Begun = Mapping[int, Callable[[], Update]] | str
Begin = Callable[[Sequence[Task]], Begun]


@dataclass
class Beside:
    """Learns for all sites of a round when its first message is handed over; a site then finds its update there.

    `begin` does the work of tasks or starts it, and says by site how its update is had, or why all is done one by one;
    that `reason` is kept, "" where there is none.
    """

    job: Job
    begin: Begin
    reason: str = ""
    under_way: dict[int, Callable[[], Update]] = field(default_factory=dict)

    def learn(self, messages: "Sequence[Message]") -> None:
        """Do the work of all messages that ask to learn, unless something stands in the way."""
        asked = [each for each in messages if each.metadata.message_type == TRAIN]
        tasks = [task_in(each, each.metadata.dst_node_id - 1, self.job.fit) for each in asked]
        if not tasks or self.reason:
            return
        begun = self.begin(tasks)
        if isinstance(begun, str):
            self.reason = begun
        else:
            self.under_way.update(begun)

    def __call__(self, module: Any, rows: Any, task: Task) -> Update:
        """Return what the site learned beside the others, or let it learn by itself; raise what stopped it."""
        update = self.under_way.pop(task.site, None)
        return learned(module, rows, task) if update is None else update()


@contextmanager
def beside(job: Job, learners: Mapping[int, Learner]) -> Iterator[Beside | None]:
    """Lend what the settings ask for, `vmap` or several `jobs`, if anything; `learners` say who learns otherwise."""
    if not job.federated.vmap and job.federated.jobs == 1:
        yield None
    elif learners:
        yield Beside(job, lambda _: OWN_WAY, OWN_WAY)
    elif job.federated.vmap:
        yield Beside(job, partial(_together, job))
    else:
        rows = tuple(each.train for each in job.sites.parts)
        with pool((job.module, rows), min(job.federated.jobs, len(rows))) as processes:
            yield Beside(job, partial(_apart, processes))


def _together(job: Job, tasks: Sequence[Task]) -> Begun:
    """One batched computation (see `vmap`)."""
    from rai.train.federated.vmap import learned_together

    found = learned_together(job.module, [job.sites.parts[task.site].train for task in tasks], tasks)
    if isinstance(found, str):
        return found
    return {task.site: partial(_given, each) for task, each in zip(tasks, found, strict=True)}


def _given(found: Update | InputError) -> Update:
    if isinstance(found, InputError):
        raise found
    return found


def _apart(processes: Pool, tasks: Sequence[Task]) -> Begun:
    """Several processes, each of which learns for one site after the other: for networks whose steps take long."""
    return {task.site: processes.submit(_learned, task).result for task in tasks}


def _learned(shared: tuple[nn.Module, Sequence[Rows]], task: Task) -> Update:
    module, rows = shared
    return learned(module, rows[task.site], task)
