"""The meter reads what is there, says how, and leaves the job as it was."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rai.energy import Machine, Meter
from rai.energy.processor import cpu_seconds
from rai.errors import InputError

SECOND = pytest.mark.parametrize("also", [None, "codecarbon"])


def burn(seconds: float) -> None:
    began = time.process_time()
    while time.process_time() < began + seconds:
        pass


def trained() -> bytes:
    """A small network after some steps, as bytes; every kind of randomness that training uses is in it."""
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.Dropout(0.2), torch.nn.ReLU(), torch.nn.Linear(16, 1)
    )
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(30):
        inputs = torch.randn(32, 8)
        optimizer.zero_grad()
        network(inputs).square().mean().backward()
        optimizer.step()
    return b"".join(each.detach().numpy().tobytes() for each in network.parameters())


@SECOND
def test_the_model_is_the_same_to_the_bit_with_the_meter_and_without(also: str | None) -> None:
    with Meter(also=also, country="FRA"):
        metered = trained()
    assert metered == trained()


@SECOND
def test_the_random_streams_go_on_as_if_nobody_had_measured(also: str | None) -> None:
    torch.manual_seed(0)
    with Meter(also=also, country="FRA"):
        first = torch.randn(3)
    second = torch.randn(3)
    torch.manual_seed(0)
    assert torch.equal(first, torch.randn(3))
    assert torch.equal(second, torch.randn(3))


@SECOND
def test_nobody_is_called(also: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def refuse(*words: Any, **_: Any) -> None:
        called.append(words)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with Meter(also=also) as meter:
        burn(0.01)
    assert called == []
    assert bool(meter.read().also) == (also is not None)


def test_the_second_meter_speaks_of_the_same_job(capfd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Meter(also="codecarbon", country="SWE") as meter:
        burn(0.05)
    second = meter.read().also
    assert second["codecarbon_kwh"] > 0
    assert second["codecarbon_grams"] / second["codecarbon_kwh"] == pytest.approx(40.695, rel=1e-3)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_an_unknown_second_meter_is_refused() -> None:
    with (
        pytest.raises(InputError, match=r"energy.also: is 'carbontracker'; expected codecarbon"),
        Meter(also="carbontracker"),
    ):
        pass


def test_cpu_seconds_times_watts(bare: Machine) -> None:
    with Meter(watts=10.0, machine=bare) as meter:
        before = cpu_seconds()
        burn(0.1)
        spent = cpu_seconds() - before
    found = meter.read()
    assert found.method == "CPU seconds × watts"
    assert spent <= found.cpu_seconds <= spent + 0.02
    assert found.joules == pytest.approx(10.0 * found.cpu_seconds)
    assert (found.low, found.high) == (pytest.approx(0.6 * found.joules), pytest.approx(1.4 * found.joules))
    assert found.inputs["watts are those of"] == "stated by the user"


def test_sleep_costs_a_modelled_processor_nothing_and_ended_children_are_counted(bare: Machine) -> None:
    with Meter(machine=bare) as asleep:
        time.sleep(0.2)
    code = "import time\nwhile time.process_time() < 0.3: pass"
    with Meter(machine=bare) as parent:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert asleep.read().cpu_seconds < 0.05
    assert parent.read().cpu_seconds >= 0.3


def test_the_watts_of_an_unknown_processor_span_a_decade(bare: Machine) -> None:
    with Meter(machine=bare) as meter:
        burn(0.01)
    found = meter.read()
    assert found.high / found.low == pytest.approx(10.0)
    assert found.low < found.joules < found.high


@pytest.mark.parametrize("watts", [0.0, -1.0, float("nan"), float("inf")])
def test_watts_that_cannot_be_are_refused(watts: float) -> None:
    with pytest.raises(InputError, match=r"energy.watts: is .*; expected watts of one busy core, above 0"):
        Meter(watts=watts)


def test_a_meter_that_was_never_started_has_nothing_to_tell() -> None:
    with pytest.raises(RuntimeError, match="never started"):
        Meter().read()


def test_counters_are_read_over_their_end(powercap: Any, bare: Machine) -> None:
    powercap.add("intel-rapl:0", "package-0", 900_000_000)
    powercap.add("intel-rapl:1", "package-1", 100)
    with Meter(machine=replace(bare, powercap=powercap.root)) as meter:
        powercap.show("intel-rapl:0", 100_000_000)
        powercap.show("intel-rapl:1", 50_000_100)
    found = meter.read()
    assert found.method == "RAPL counters"
    assert found.joules == pytest.approx(200 + 50)
    assert found.inputs["joules of the whole processor"] == pytest.approx(250)
    assert found.inputs["counters"] == "package-0, package-1"


def test_what_lies_within_or_around_a_package_counts_once_and_memory_counts(powercap: Any, bare: Machine) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 10),
        "intel-rapl:0:0": ("core", 7),
        "intel-rapl:0:1": ("dram", 2),
        "intel-rapl:1": ("psys", 30),
        "intel-rapl-mmio:0": ("package-0", 10),
    }
    for folder, (name, _) in zones.items():
        powercap.add(folder, name, 0)
    with Meter(machine=replace(bare, powercap=powercap.root)) as meter:
        for folder, (_, joules) in zones.items():
            powercap.show(folder, 1_000_000 * joules)
    assert meter.read().joules == pytest.approx(12)


def test_a_counter_that_may_not_be_read_leaves_the_model_of_cpu_seconds(powercap: Any, bare: Machine) -> None:
    powercap.add("intel-rapl:0", "package-0", 0)
    (powercap.root / "intel-rapl:0" / "energy_uj").unlink()
    with Meter(machine=replace(bare, powercap=powercap.root)) as meter:
        pass
    assert meter.read().method == "CPU seconds × watts"


def test_a_counter_that_passes_its_range_twice_is_read_in_between(powercap: Any, bare: Machine) -> None:
    """Ten joules of range ask for a reading every 10 ms; 8 + 8 + 8 joules pass it twice, and begin and end see 4."""
    powercap.add("intel-rapl:0", "package-0", 0, span=10_000_000)
    with Meter(machine=replace(bare, powercap=powercap.root)) as meter:
        counters = meter._beginning().counters
        assert counters is not None
        for shown in (8_000_000, 6_000_000, 4_000_000):
            powercap.show("intel-rapl:0", shown)
            deadline = time.monotonic() + 20
            while counters._last != [shown] and time.monotonic() < deadline:
                time.sleep(0.005)
    assert meter.read().joules == pytest.approx(24)


def test_the_processor_is_shared_out_by_busy_time(powercap: Any, bare: Machine, stat: Callable[[int], Path]) -> None:
    powercap.add("intel-rapl:0", "package-0", 0)
    machine = replace(bare, powercap=powercap.root, stat=stat(100))
    with Meter(machine=machine) as meter:
        burn(0.1)
        powercap.show("intel-rapl:0", 80_000_000)
        stat(100 + os.sysconf("SC_CLK_TCK"))
    found = meter.read()
    assert found.joules == pytest.approx(80 * found.cpu_seconds / 1.0)
    assert found.low == pytest.approx(0.95 * found.joules)
    assert found.high == pytest.approx(84)


def test_a_thread_is_there_for_counters_alone_and_ends_with_the_job(powercap: Any, bare: Machine) -> None:
    def readers() -> int:
        return sum(each.name == "rai energy" for each in threading.enumerate())

    with Meter(machine=bare):
        assert readers() == 0
    powercap.add("intel-rapl:0", "package-0", 0)
    meter = Meter(machine=replace(bare, powercap=powercap.root))
    with contextlib.suppress(KeyError), meter:
        assert readers() == 1
        raise KeyError
    assert readers() == 0
    assert meter.read().seconds > 0


def test_graphics_processors_are_added(bare: Machine, fake_nvml: Any) -> None:
    nvml = fake_nvml(5_000_000, None, 7_000_000)
    with Meter(watts=1.0, machine=replace(bare, nvml=lambda: nvml)) as meter:
        nvml.counters = [5_030_000, None, 7_012_000]
    found = meter.read()
    assert found.method == "CPU seconds × watts + NVML counters"
    assert found.joules - found.cpu_seconds == pytest.approx(42)
    assert found.inputs["GPUs without a counter, not counted"] == 1


@pytest.mark.parametrize(("visible", "joules"), [("1", 12), ("GPU-0", 30), ("0,1", 42), ("", 0)])
def test_only_the_graphics_processors_given_to_the_job_count(
    bare: Machine, fake_nvml: Any, monkeypatch: pytest.MonkeyPatch, visible: str, joules: float
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    nvml = fake_nvml(0, 0)
    with Meter(watts=1.0, machine=replace(bare, nvml=lambda: nvml)) as meter:
        nvml.counters = [30_000, 12_000]
    assert meter.read().joules - meter.read().cpu_seconds == pytest.approx(joules)


def test_a_device_lost_on_the_way_is_said_and_harms_nobody(bare: Machine, fake_nvml: Any) -> None:
    nvml = fake_nvml(0, 0)
    with Meter(watts=1.0, machine=replace(bare, nvml=lambda: nvml)) as meter:
        nvml.counters = [30_000, None]
    found = meter.read()
    assert found.joules - found.cpu_seconds == pytest.approx(30)
    assert found.inputs["GPUs without a counter, not counted"] == 1


def test_a_job_that_leaves_them_idle_is_not_charged_for_them(bare: Machine, fake_nvml: Any) -> None:
    nvml = fake_nvml(0)
    with Meter(gpus=False, machine=replace(bare, nvml=lambda: nvml)) as meter:
        nvml.counters = [10_000]
    assert meter.read().method == "CPU seconds × watts"


def test_what_is_read_while_the_job_runs_grows_and_ends_with_it(bare: Machine) -> None:
    with Meter(machine=bare) as meter:
        burn(0.02)
        first = meter.read().joules
        burn(0.02)
    last = meter.read()
    burn(0.02)
    assert 0 < first < last.joules
    assert meter.read() == last


def test_the_meter_brings_no_heavy_package_along() -> None:
    heavy = ["torch", "numpy", "pandas", "codecarbon", "pynvml"]
    code = f"import sys, rai.energy\nwith rai.energy.Meter(): pass\nprint([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
