"""The same federation in Flower's own simulation: one process runs the server, and Ray runs sites in a few workers.

A SuperLink is kept for the run, as in a deployment, and the bundle is the same. In a simulation a site is told nothing
but its number, so what its SuperNode would be told lies in a file that the environment of our own processes names.
Ray is imported by Flower alone, and kept within this machine: by itself it listens on all networks.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rai.card import Network
from rai.errors import InputError
from rai.files import write_atomic
from rai.train.federated.deployment import ANYWHERE, Deployed, Heard, Places, run_on_servers
from rai.train.federated.job import Job
from rai.train.federated.superlink import LOOPBACK, NEARBY, Node, Ready, crew, start_executors, start_superlink

SITES = "RAI_SIMULATED_SITES"
"""Names the file in which each simulated site finds its node config."""
DATA, NUMBER = "data", "partition-id"
RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ADDRESS": "local",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Ray calls nobody, listens on this machine alone (as it does by itself on macOS), joins nothing that runs already, and
does not hide GPUs from workers that asked for none."""
NOBODY = f"http://{LOOPBACK}:9"
PROXIES = {"http_proxy": NOBODY, "https_proxy": NOBODY, "all_proxy": NOBODY, "no_proxy": ",".join(NEARBY)}
NOWHERE = {**PROXIES, **{name.upper(): value for name, value in PROXIES.items()}}
"""Ray asks clouds whether it is theirs, whatever it is told; so what asks beyond this machine finds nobody."""
LONGEST = 35
"""Bytes of a folder's name that leave room for Ray's sockets below it, whose whole path has 103 at most on macOS."""


def run_simulated(job: Job, heard: Heard, network: Network, *, places: Places = ANYWHERE) -> Deployed:
    """Let all sites of the job learn together in Flower's simulation on Ray, a worker for each core of this machine.

    All that is started is stopped again. Raises `InputError` where Ray is not installed, and as `run_deployed` does.
    """
    if find_spec("ray") is None:
        raise InputError("Ray is not installed", where="federated.runtime", do="pip install 'rai[ray]'")
    return run_on_servers(job, heard, network, places=places, servers=simulation)


@contextmanager
def simulation(folder: Path, nodes: Sequence[Node]) -> Iterator[Ready]:
    """Keep a SuperLink that simulates `nodes` while the block runs; Ray's own files go at its end."""
    told = folder.resolve() / "nodes.json"
    write_atomic(told, json.dumps([dict(each.config) for each in nodes]))
    with _ray_folder(folder.resolve()) as place, crew(folder, _variables(place, told)) as ours:
        link = start_superlink(ours, simulation=True)
        start_executors(ours, [link])
        yield Ready(link, ours.require_running, ("--federation-config", _size(len(nodes))))


def node_of(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a site is told: its node config, or in a simulation what its SuperNode would be told.

    A node config that names a file of rows is never added to.
    """
    path = os.environ.get(SITES)
    if path is None or DATA in told:
        return told
    return {**told, **json.loads(Path(path).read_bytes())[int(told[NUMBER])]}


def _variables(place: Path, told: Path) -> dict[str, str]:
    return {**RAY, **NOWHERE, "RAY_TMPDIR": str(place), SITES: str(told)}


def _size(sites: int) -> str:
    workers = min(_cores(), sites)
    return f"num-supernodes={sites} client-resources-num-cpus=1 init-args-num-cpus={workers}"


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _ray_folder(folder: Path) -> Iterator[Path]:
    """Where Ray keeps its files: the folder that is given, or a short one where its name is too long for sockets."""
    if len(os.fsencode(folder)) > LONGEST:
        with TemporaryDirectory(prefix="rai-ray-", dir="/tmp", ignore_cleanup_errors=True) as short:
            yield Path(short)
        return
    try:
        yield folder
    finally:
        shutil.rmtree(folder / "ray", ignore_errors=True)
