"""Files from which a training goes on as if it had never stopped: whole, or not there at all."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from rai.energy.processor import cpu_seconds
from rai.errors import InputError
from rai.ledger import Epoch
from rai.train.loop import Machine, State

KIND = "rai checkpoint 1"
EVERY = 10.0
"""Seconds between two checkpoints of a run."""


def save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write tensors, numbers and words so that a crash at any moment leaves the old file or the new one.

    Raises `InputError` where the folder cannot be written to.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            torch.save({"kind": KIND, **contents}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write ({error.strerror})", where=path, do="choose another folder") from None


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it can run code. Raises `InputError` for anything that is none."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError("no such file", where=path, do="train without resume first") from None
    except Exception:  # noqa: BLE001 - torch raises many kinds for a file that is no checkpoint
        found = None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise InputError("is no checkpoint of a training", where=path, do="delete it, or name another file")
    return found


@dataclass(frozen=True)
class Clock:
    """Wall and CPU seconds since `start`, on top of those of the runs before."""

    earlier: float = 0.0
    earlier_cpu: float = 0.0
    start: float = field(default_factory=time.perf_counter)
    start_cpu: float = field(default_factory=cpu_seconds)

    @property
    def seconds(self) -> float:
        """Wall seconds of training, all runs together."""
        return self.earlier + time.perf_counter() - self.start

    @property
    def cpu_seconds(self) -> float:
        """Seconds of all processor cores together, and of processes that it started, all runs together."""
        return self.earlier_cpu + cpu_seconds() - self.start_cpu


@dataclass(frozen=True)
class Keeper:
    """Writes a run's checkpoints: every so many seconds, and when told to.

    `promise` names what must not change before the run goes on (settings, data); `extra()` is whatever plain numbers
    and words the caller wants back from `Restored.extra`. Without a `path`, nothing is written; of several processes
    that train together, the first alone writes.
    """

    path: Path | None
    machine: Machine
    promise: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    extra: Callable[[], Mapping[str, Any]] = dict
    every: float = field(default_factory=lambda: EVERY)
    last: list[float] = field(default_factory=lambda: [time.perf_counter()])

    def keep(self, state: State, now: bool) -> None:  # noqa: FBT001 - the loop's own protocol
        """Write a checkpoint when one is due, or at once where `now`."""
        due = now or time.perf_counter() - self.last[0] >= self.every
        if self.path is None or not due or not _first():
            return
        save(self.path, self._contents(state))
        self.last[0] = time.perf_counter()

    def _contents(self, state: State) -> dict[str, Any]:
        return {
            "promise": json.dumps(dict(self.promise), sort_keys=True),
            "model": self.machine.module.state_dict(),
            "optimizer": self.machine.optimizer.state_dict(),
            "generators": {name: each.get_state() for name, each in self.machine.generators.items()},
            "random": _random_states(self.machine),
            "state": {**_plain(state), "history": [_epoch(each) for each in state.history]},
            "seconds": [self.clock.seconds, self.clock.cpu_seconds],
            "extra": dict(self.extra()),
        }


@dataclass(frozen=True)
class Restored:
    """What a checkpoint gave back beside the machine."""

    state: State
    clock: Clock
    extra: Mapping[str, Any]


def restore(path: Path, machine: Machine, promise: Mapping[str, Any]) -> Restored:
    """Put the machine and torch's own random state back to where the checkpoint at `path` was written.

    Raises `InputError` where the file is no checkpoint, or naming what changed since: data, a setting, the network.
    """
    found = load(path)
    _require_same(json.loads(found["promise"]), json.loads(json.dumps(dict(promise))), path)
    _require_shapes(found["model"], machine, path)
    machine.module.load_state_dict(found["model"])
    machine.optimizer.load_state_dict(found["optimizer"])
    for name, generator in machine.generators.items():
        generator.set_state(found["generators"][name])
    _set_random_states(found["random"])
    history = [Epoch(**each) for each in found["state"].pop("history")]
    return Restored(State(**found["state"], history=history), Clock(*found["seconds"]), found["extra"])


def _first() -> bool:
    """Whether this process trains alone, or is the first of those that train together."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not together or torch.distributed.get_rank() == 0


def _require_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            raise InputError(
                f"{name} was {_short(old)} when this was written, and is now {_short(new)}",
                where=path,
                do="train anew with another checkpoint, or undo the change",
            )


def _require_shapes(weights: Mapping[str, Any], machine: Machine, path: Path) -> None:
    shapes = {name: tuple(each.shape) for name, each in machine.module.state_dict().items()}
    if shapes != {name: tuple(each.shape) for name, each in weights.items()}:
        raise InputError("belongs to another network", where=path, do="hand in the network that was trained")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:12]}…"


def _random_states(machine: Machine) -> list[torch.Tensor]:
    """States of torch's own generators: that of the CPU, and that of the module's GPU where it is on one."""
    device = next((each.device for each in machine.module.parameters()), torch.device("cpu"))
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_states(states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    for each in states[1:]:
        torch.cuda.set_rng_state(each)


def _plain(state: State) -> dict[str, Any]:
    return {each.name: getattr(state, each.name) for each in fields(state)}


def _epoch(epoch: Epoch) -> dict[str, Any]:
    return {**asdict(epoch), "metrics": dict(epoch.metrics)}
