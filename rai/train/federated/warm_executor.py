"""APART FROM THE REST: a stand-in for Flower's SuperExec that keeps torch loaded, for one machine and one person's use.

Flower 1.41 starts a new Python for each message to each site, which then imports torch again. This process imports once
and forks for each piece of work. It reaches into Flower (`SubprocessExecutor.launch`, `run_clientapp`, `run_serverapp`,
`run_simulation_process`, `run_superexec`), so it goes with the pinned version alone; without it all works as well, and
slower.

`python -m rai.train.federated.warm_executor PARENT HOST:PORT=[AUTHORITY] ...` serves all places that are named.
"""

import os
import queue
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rai.train.federated.flower import switched_off
from rai.train.federated.superlink import listens
from rai.train.federated.tethered import tether

POLL = 0.1


def main() -> None:
    """Import what all work needs, and serve each place in a process of its own; end when the parent does."""
    parent, *places = sys.argv[1:]
    tether(int(parent))
    switched_off()
    preload()
    children = [fork_for(place) for place in places]
    for child in children:
        os.waitpid(child, 0)


def preload() -> None:
    """Import, once, what a site and the server import; one step of an optimizer brings in what torch loads late."""
    import torch
    from flwr.supercore.superexec import run_superexec  # noqa: F401
    from flwr.superlink.runtime import run_serverapp  # noqa: F401
    from flwr.supernode.runtime import run_clientapp  # noqa: F401

    import rai.data
    import rai.train.federated.apps  # noqa: F401

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    torch.optim.SGD([weight], lr=0.1).step()


def fork_for(place: str) -> int:
    """Serve one place in a new process, and return its number."""
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            tether(parent)
            serve(place)
        finally:
            os._exit(1)
    return child


def serve(place: str) -> None:
    """Fetch work at HOST:PORT for ever, forking for each piece."""
    from flwr.supercore.superexec.executor.subprocess_executor import SubprocessExecutor
    from flwr.supercore.superexec.run_superexec import run_superexec

    address, _, authority = place.partition("=")
    SubprocessExecutor.launch = launch  # type: ignore[assignment,method-assign]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while not listens(address):
        time.sleep(POLL)
    run_superexec(address, insecure=not authority, root_certificates_path=authority or None)


def launch(_executor: Any, spec: Any) -> Any:
    """Do in a fork of this process what Flower would start a new Python for."""
    from flwr.supercore.superexec.executor.types import LaunchResult

    if os.fork() == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            work(spec)
        finally:
            os._exit(0)
    return LaunchResult.accepted()


def work(spec: Any) -> None:
    """Run one app to its end; what kind it is, Flower says."""
    from flwr.simulation.app import run_simulation_process
    from flwr.supercore.constant import TaskType
    from flwr.superlink.runtime.run_serverapp import run_serverapp
    from flwr.supernode.runtime.run_clientapp import run_clientapp

    path = spec.root_certificates_path
    common = {
        "runtime_api_address": spec.runtime_api_address,
        "token": spec.token,
        "insecure": spec.insecure,
        "certificates": None if path is None else Path(path).read_bytes(),
        "parent_pid": os.getppid(),
        "runtime_dependency_install": False,
    }
    if spec.task_type == TaskType.CLIENT_APP:
        run_clientapp(**common)
    elif spec.task_type == TaskType.SERVER_APP:
        run_serverapp(log_queue=queue.Queue(), **common)
    elif spec.task_type == TaskType.SIMULATION:
        run_simulation_process(log_queue=queue.Queue(), **common)


if __name__ == "__main__":
    main()
