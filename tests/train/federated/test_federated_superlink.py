"""Servers that are started are stopped, with all that they started, whatever happens; nothing leaves the machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rai.errors import InputError
from rai.train.federated import superlink
from rai.train.federated.flower import switched_off
from rai.train.federated.superlink import Crew, Link, Node, crew, environment, free_port, listens, start_supernodes

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
FAMILY = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
LISTENER = """
import socket, sys, time
found = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""


def alive(number: int) -> bool:
    """Whether a process runs; one that has ended and waits to be seen by its parent does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: object) -> None:
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.02)


def first_line(path: Path) -> str:
    until(lambda: path.exists() and path.read_text().count("\n"))
    return path.read_text().splitlines()[0]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_all_that_was_started_is_stopped_on_any_way_out(
    tmp_path: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(superlink, "PATIENCE", 0.3)
    seen: list[int] = []

    def work() -> None:
        with crew(tmp_path) as ours:
            ours.start("family", [sys.executable, "-c", FAMILY])
            seen.extend([ours.started["family"].pid, int(first_line(tmp_path / "family.log"))])
            assert all(alive(each) for each in seen)
            raise error

    with pytest.raises(error):
        work()
    until(lambda: not any(alive(each) for each in seen))
    assert not any(alive(each) for each in seen)


def test_a_port_is_free_again_when_its_server_is_stopped(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    address = f"127.0.0.1:{port}"
    with crew(tmp_path) as ours:
        ours.start("listener", [sys.executable, "-c", LISTENER, str(port)])
        ours.wait_for("listener", address, time.monotonic() + 60)
        assert listens(address)
        ours.require_running()
    assert not listens(address)


def test_a_server_that_stops_before_it_is_ready_is_named_with_its_log(tmp_path: Path) -> None:
    with crew(tmp_path) as ours:
        ours.start("nobody", [sys.executable, "-c", "print('why'); raise SystemExit(3)"])
        with pytest.raises(InputError, match=r"nobody: stopped before it was ready; see .*nobody\.log"):
            ours.wait_for("nobody", f"127.0.0.1:{free_port('127.0.0.1')}", time.monotonic() + 60)
        with pytest.raises(InputError, match="nobody: stopped while it was needed"):
            ours.require_running()
    assert (tmp_path / "nobody.log").read_text() == "why\n"


def test_a_server_that_never_listens_is_given_up(tmp_path: Path) -> None:
    with crew(tmp_path) as ours:
        ours.start("idler", [sys.executable, "-c", "import time; time.sleep(600)"])
        with pytest.raises(InputError, match="was not ready in time"):
            ours.wait_for("idler", f"127.0.0.1:{free_port('127.0.0.1')}", time.monotonic())


def test_a_tethered_process_ends_with_a_parent_that_was_killed() -> None:
    tethered = Path(superlink.__file__).with_name("tethered.py")
    child = f"import runpy, sys, time; runpy.run_path({str(tethered)!r})['tether'](int(sys.argv[1])); time.sleep(600)"
    parent = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}, str(os.getpid())], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        assert alive(number)
        process.kill()
    until(lambda: not alive(number))
    assert not alive(number)


def test_flower_sees_every_switch_and_a_home_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_HOME", "/elsewhere")
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    found = environment(tmp_path)
    assert found["FLWR_HOME"] == str(tmp_path / "flower")
    assert found["FLWR_TELEMETRY_ENABLED"] == "0"
    assert found["FLWR_DISABLE_UPDATE_CHECK"] == found["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "1"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "site.example", "::"])  # noqa: S104 - that is refused
def test_no_connection_leaves_the_machine_in_the_open(tmp_path: Path, host: str) -> None:
    ours = Crew(tmp_path)
    with pytest.raises(InputError, match="without encryption"):
        superlink.start_superlink(ours, host=host)
    with pytest.raises(InputError, match="without encryption"):
        start_supernodes(ours, Link(f"{host}:8000"), [Node({"partition-id": 0})])
    assert not ours.started
    superlink.require_encrypted(host, None, insecure=True)
    superlink.require_encrypted(host, tmp_path / "authority.pem", insecure=False)


def test_a_node_is_told_its_values_as_flower_reads_them(tmp_path: Path) -> None:
    switched_off()
    from flwr.common.config import parse_config_args

    config = {"partition-id": 3, "data": str(tmp_path / "a b = c.csv"), "name": "north"}
    assert parse_config_args([Node(config).option]) == config
    with pytest.raises(InputError, match="text without quotes"):
        _ = Node({"data": "it's.csv"}).option


def test_signals_to_a_group_that_is_gone_are_no_error(tmp_path: Path) -> None:
    with crew(tmp_path) as ours:
        ours.start("brief", [sys.executable, "-c", ""])
        ours.started["brief"].wait()
        superlink._signal(ours.started["brief"], signal.SIGTERM)
