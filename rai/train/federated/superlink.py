"""Flower's servers on this machine for as long as they are needed: a SuperLink, SuperNodes, and who does their work.

Each is started in a group of processes of its own and stopped with the whole group. All of Flower's files lie in the
folder that is given. The SuperLink is always ours: the one that Flower would start by itself is left running.
"""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rai.errors import InputError
from rai.train.federated.flower import SWITCHES

LOOPBACK = "127.0.0.1"
NEARBY = (LOOPBACK, "localhost", "::1")
DEADLINE = 120.0
PATIENCE = 5.0
POLL = 0.1
HOME = "flower"
QUICK = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2"}
"""How often it is asked for work, in seconds; Flower's own is 1."""


@dataclass(frozen=True)
class Tls:
    """PEM files of an encrypted SuperLink: its certificate, its key, and the authority that signed the certificate."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class Link:
    """A SuperLink that can be reached at `address` (HOST:PORT), encrypted where there is an `authority`.

    `insecure` says that somebody allowed it to be reached over a network without encryption.
    """

    address: str
    authority: Path | None = None
    insecure: bool = False

    @property
    def options(self) -> list[str]:
        """The options by which Flower's commands reach it."""
        return ["--insecure"] if self.authority is None else ["--root-certificates", str(self.authority)]


@dataclass(frozen=True)
class Node:
    """One SuperNode: the values that the site's app finds in its node config, such as `partition-id` and `data`."""

    config: Mapping[str, str | int]

    @property
    def option(self) -> str:
        """The values as `--node-config` takes them."""
        return " ".join(f"{name}={_toml(value)}" for name, value in self.config.items())


@dataclass
class Crew:
    """Processes that were started, each leading a group of its own; `stop` ends them and all that they started."""

    folder: Path
    started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process whose output goes to `NAME.log` in the folder."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.started[name] = subprocess.Popen(  # noqa: S603 - the commands are written in this package
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment(self.folder), **self.variables},
                cwd=self.folder,
                start_new_session=True,
            )

    def wait_for(self, name: str, address: str, until: float) -> None:
        """Return when something listens at the address; raise `InputError` where its process ended, or too late."""
        while not listens(address):
            if self.started[name].poll() is not None:
                raise InputError("stopped before it was ready", where=name, do=f"see {self.folder / name}.log")
            if time.monotonic() > until:
                raise InputError("was not ready in time", where=name, do=f"see {self.folder / name}.log")
            time.sleep(POLL)

    def require_running(self) -> None:
        """Raise `InputError` naming the first process that ended by itself."""
        for name, process in self.started.items():
            if process.poll() is not None:
                raise InputError("stopped while it was needed", where=name, do=f"see {self.folder / name}.log")

    def stop(self) -> None:
        """Ask all groups to end, wait a little, and end whatever is left of them."""
        for process in reversed(self.started.values()):
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        for process in self.started.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        for process in self.started.values():
            _signal(process, signal.SIGKILL)
            process.wait()
        self.started.clear()


@dataclass(frozen=True)
class Ready:
    """Servers that run: how the SuperLink is reached, and a question that raises where one of them has stopped.

    `options` are what else `flwr run` is told.
    """

    link: Link
    require_running: Callable[[], None]
    options: tuple[str, ...] = ()


@contextmanager
def crew(folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Crew]:
    """Hand out an empty crew, and stop all that was started in it whatever happens, Ctrl-C included.

    Its processes also see `variables` in their environment.
    """
    if os.name != "posix":
        raise InputError("needs Linux or macOS", where="federated.runtime", do="choose runtime local")
    folder.mkdir(parents=True, exist_ok=True)
    found = Crew(folder.resolve(), variables=variables or {})
    try:
        yield found
    finally:
        found.stop()


def start_superlink(
    crew: Crew,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    tls: Tls | None = None,
    insecure: bool = False,
    simulation: bool = False,
) -> Link:
    """Start a SuperLink and return where it can be reached, once it can; without a `port`, at a free one.

    With `simulation` it waits for no sites, and its runs are simulations. Raises `InputError` for a host beyond this
    machine without `tls`, unless `insecure` says that this is meant.
    """
    require_encrypted(host, None if tls is None else tls.authority, insecure=insecure)
    address = f"{host}:{port or free_port(host)}"
    options = ["--isolation", "process", "--disable-runtime-dependency-installation", *_tls(tls)]
    options += ["--simulation"] if simulation else []
    crew.start(
        "superlink", tethered("flower-superlink", "--host", host, "--port", address.rpartition(":")[2], *options)
    )
    crew.wait_for("superlink", address, time.monotonic() + DEADLINE)
    return Link(address, None if tls is None else tls.authority, insecure)


def start_supernodes(crew: Crew, link: Link, nodes: Sequence[Node], *, first: int = 1) -> tuple[str, ...]:
    """Start a SuperNode for each of `nodes`, and return where each of them hands out its work, in their order."""
    host, addresses = link.address.rpartition(":")[0], []
    require_encrypted(host, link.authority, insecure=link.insecure)
    for number, node in enumerate(nodes, start=first):
        port = str(free_port(LOOPBACK))
        options = ["--superlink", link.address, *link.options, "--host", LOOPBACK, "--port", port]
        command = tethered("flower-supernode", *options, "--isolation", "process", "--node-config", node.option)
        crew.start(f"supernode-{number}", command)
        addresses.append(f"{LOOPBACK}:{port}")
    until = time.monotonic() + DEADLINE
    for number, address in enumerate(addresses, start=first):
        crew.wait_for(f"supernode-{number}", address, until)
    return tuple(addresses)


def start_executors(crew: Crew, links: Sequence[Link], *, warm: bool = True) -> None:
    """Start who fetches work at these places and runs the apps: one warm process for all, or Flower's own for each."""
    if warm:
        places = [f"{link.address}={link.authority or ''}" for link in links]
        crew.start(
            "executor", [sys.executable, "-P", "-m", "rai.train.federated.warm_executor", str(os.getpid()), *places]
        )
        return
    for number, link in enumerate(links):
        command = tethered("flower-superexec", *link.options, "--runtime-api-address", link.address)
        crew.start(f"executor-{number}", command)


@contextmanager
def rehearsal(folder: Path, nodes: Sequence[Node], *, tls: Tls | None = None, warm: bool = True) -> Iterator[Ready]:
    """Keep a SuperLink and a SuperNode for each of `nodes` on this machine while the block runs, and no longer."""
    with crew(folder) as ours:
        link = start_superlink(ours, tls=tls)
        addresses = start_supernodes(ours, link, nodes)
        start_executors(ours, [link, *(Link(each) for each in addresses)], warm=warm)
        yield Ready(link, ours.require_running)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that Flower's processes see: all calls home switched off, and a home in the folder."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return {**os.environ, **SWITCHES, **QUICK, **threads, "PATH": path, "FLWR_HOME": str(folder.resolve() / HOME)}


def tethered(command: str, *options: str) -> list[str]:
    """Return how one of Flower's commands is run so that it ends with this process."""
    return [sys.executable, "-P", str(Path(__file__).with_name("tethered.py")), str(os.getpid()), command, *options]


def require_encrypted(host: str, authority: Path | None, *, insecure: bool) -> None:
    """Raise `InputError` where a connection would leave this machine without encryption and nobody said that it may."""
    if authority is None and not insecure and host.strip("[]") not in NEARBY:
        do = "name certificates, or say that it may be insecure"
        raise InputError("would be reached without encryption", where=host, expected="this machine", do=do)


def free_port(host: str) -> int:
    """Return a port that nothing listens at."""
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])


def listens(address: str) -> bool:
    """Whether something on this machine or another accepts connections at the address."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]").replace("0.0.0.0", LOOPBACK), int(port)), timeout=1):  # noqa: S104
            return True
    except OSError:
        return False


def _tls(tls: Tls | None) -> list[str]:
    if tls is None:
        return ["--insecure"]
    files = {"--ssl-certfile": tls.certificate, "--ssl-keyfile": tls.key, "--ssl-ca-certfile": tls.authority}
    return [word for option, path in files.items() for word in (option, str(Path(path).resolve()))]


def _toml(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    if "'" in value or "\n" in value:
        raise InputError(f"is {value!r}", where="node config", expected="text without quotes and new lines")
    return f"'{value}'"


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
