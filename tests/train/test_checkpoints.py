"""A training that was stopped goes on to the same bits; a file that is not whole never appears."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rai import train
from rai.errors import InputError
from rai.networks import cnn, mlp
from rai.train import checkpoints
from rai.train.settings import Fit

RNG = np.random.default_rng(11)
IMAGES = (RNG.normal(size=(60, 1, 8, 8)).astype(np.float32), RNG.integers(0, 3, size=60))
FULL = Fit(epochs=6, batch_size=16, learning_rate=0.02, schedule="cosine", warmup=3, augment=("flip", "crop", "noise"))


def pictures():
    torch.manual_seed(4)
    return cnn.cnn(inputs=1, outputs=3, size=(8, 8), channels=(4,), norm="batch", dropout=0.2, hidden=(8,))


def bits(module):
    return {name: each.numpy().tobytes() for name, each in module.state_dict().items()}


class Stopping:
    """Somebody who presses Ctrl-C after some step."""

    def __init__(self, after):
        self.after = after

    def step(self, moment):
        if moment.step == self.after:
            raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "run.checkpoint"


def stopped(network, rows, settings, path, after, *, resume=False):
    with pytest.raises(KeyboardInterrupt):
        train.fit(network, rows, settings=settings, checkpoint=path, watch=Stopping(after), resume=resume)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_a_run_stopped_twice_ends_with_the_bits_of_an_unbroken_one(optimizer, path):
    settings = replace(FULL, optimizer=optimizer, early_stopping=3)
    whole = train.fit(pictures(), IMAGES, settings=settings)
    stopped(pictures(), IMAGES, settings, path, 5)
    stopped(pictures(), IMAGES, settings, path, 8, resume=True)  # 8 = the end of an epoch
    found = train.fit(pictures(), IMAGES, settings=settings, checkpoint=path, resume=True)
    assert bits(found.model) == bits(whole.model)
    assert found.ledger.epochs == whole.ledger.epochs
    assert found.ledger.flops == whole.ledger.flops


def test_metrics_of_any_kind_of_number_come_back(path):
    def look(module, epoch):
        return {"share": np.float32(0.5), "count": torch.tensor(3)}

    with pytest.raises(KeyboardInterrupt):
        train.fit(pictures(), IMAGES, settings=FULL, checkpoint=path, watch=Stopping(5), after_epoch=look)
    found = train.fit(pictures(), IMAGES, settings=FULL, checkpoint=path, resume=True)
    assert found.ledger.epochs[0].metrics == {"share": 0.5, "count": 3.0}
    assert found.ledger.epochs[-1].metrics == {}


def test_frozen_layers_stay_so_after_a_resume_in_the_middle(path):
    settings = replace(FULL, freeze=("features",), unfreeze_after=2)
    whole = train.fit(pictures(), IMAGES, settings=settings)
    for after in (2, 10):
        stopped(pictures(), IMAGES, settings, path, after)
        found = train.fit(pictures(), IMAGES, settings=settings, checkpoint=path, resume=True)
        assert bits(found.model) == bits(whole.model)


def test_a_finished_run_resumes_to_itself(path):
    whole = train.fit(pictures(), IMAGES, settings=FULL, checkpoint=path)
    steps = []
    watch = type("Watch", (), {"step": lambda _, moment: steps.append(moment)})()
    again = train.fit(pictures(), IMAGES, settings=FULL, checkpoint=path, resume=True, watch=watch)
    assert bits(again.model) == bits(whole.model)
    assert steps == []


def test_a_checkpoint_holds_plain_numbers_alone(path):
    stopped(pictures(), IMAGES, FULL, path, 3)
    found = torch.load(path, weights_only=True)
    assert found["state"]["step"] == 3
    assert found["seconds"][0] > 0


CHANGES = {
    "learning_rate was 0.02 .* is now 0.01": (pictures, IMAGES, replace(FULL, learning_rate=0.01)),
    "epochs was 6 .* is now 7": (pictures, IMAGES, replace(FULL, epochs=7)),
    "data was '": (pictures, (IMAGES[0] + np.float32(1e-6), IMAGES[1]), FULL),
    "validation data was '": (pictures, IMAGES, replace(FULL)),
    "belongs to another network": (lambda: cnn.cnn(inputs=1, outputs=3, size=(8, 8), channels=(5,)), IMAGES, FULL),
}


@pytest.mark.parametrize("line", CHANGES)
def test_what_changed_is_named(line, path):
    stopped(pictures(), IMAGES, FULL, path, 3)
    network, rows, settings = CHANGES[line]
    other = IMAGES if line.startswith("validation") else None
    with pytest.raises(InputError, match=line):
        train.fit(network(), rows, settings=settings, checkpoint=path, resume=True, validation=other)


def test_a_changed_label_and_changed_groups_change_the_data(squares):
    from rai.subject import Data, Groups
    from rai.train.batches import rows_of

    X, y = squares
    groups = {"sex": Groups("sex", ("a", "b"), np.arange(len(y)) % 2)}
    whole = Data("table", X, X, y, groups, ())
    marks = [rows_of(whole).fingerprint.sha256]
    flipped = y.copy()
    flipped[7] = 1 - flipped[7]
    marks += [rows_of(replace(whole, labels=flipped)).fingerprint.sha256]
    moved = {"sex": replace(groups["sex"], codes=groups["sex"].codes[::-1])}
    marks += [rows_of(replace(whole, groups=moved)).fingerprint.sha256]
    marks += [rows_of(whole.take(np.arange(len(y))[::-1])).fingerprint.sha256]
    assert len(set(marks)) == 4
    assert rows_of(replace(whole)).fingerprint.sha256 == marks[0]


@pytest.mark.parametrize("content", [b"", b"PK", b"not a file of torch", None])
def test_a_file_that_is_no_checkpoint_is_refused(content, path):
    path.parent.mkdir()
    if content is None:
        torch.save({"weights": torch.zeros(2)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="is no checkpoint"):
        checkpoints.load(path)


def test_a_missing_checkpoint_and_a_closed_folder_are_named(path):
    with pytest.raises(InputError, match="no such file"):
        train.fit(pictures(), IMAGES, checkpoint=path, resume=True)
    path.parent.write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot write"):
        checkpoints.save(path, {})


def test_a_save_that_fails_leaves_the_old_file(path, monkeypatch):
    checkpoints.save(path, {"a": 1})

    def half(contents, stream):
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(InputError, match="No space left"):
        checkpoints.save(path, {"a": 2})
    assert checkpoints.load(path)["a"] == 1


def test_the_file_changes_in_one_move_and_in_no_other_way(path, monkeypatch):
    checkpoints.save(path, {"a": 1})

    def refuse(part, target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(InputError, match="Input/output error"):
        checkpoints.save(path, {"a": 2})
    assert checkpoints.load(path)["a"] == 1


LINES = """
import os, random, signal, sys, time
import numpy as np
import torch
from pathlib import Path
from rai import train
from rai.networks import mlp
from rai.train import checkpoints

checkpoints.EVERY = 0.0
path = Path(sys.argv[1])
rng = np.random.default_rng(0)
rows = rng.normal(size=(64, 5)).astype("f"), rng.integers(0, 2, size=64)
settings = train.Fit(epochs=40, batch_size=16, learning_rate=0.01)
torch.manual_seed(0)
network = mlp.mlp(inputs=5, outputs=1, hidden=(64,), dropout=0.2)
def go(**more):
    return train.fit(network, rows, settings=settings, **more).model.state_dict()
"""
KILLED = """
class Slow:
    def step(self, moment):
        time.sleep(0.002)  # all steps together take longer than a child lives
kills = 0
whole = go()
while kills < 4:
    child = os.fork()
    if not child:
        try:
            go(checkpoint=path, resume=path.exists(), watch=Slow())
        finally:
            os._exit(0)
    time.sleep(random.uniform(0.02, 0.2))
    os.kill(child, signal.SIGKILL)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    kills += killed
    if path.exists():
        checkpoints.load(path)
    if not killed:
        path.unlink()  # this one was done, and the next begins anew
found = go(checkpoint=path, resume=path.exists())
print(kills, all(torch.equal(found[name], whole[name]) for name in whole), *sorted(os.listdir(path.parent)))
"""


def script(lines, path):
    path.parent.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", lines, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )


def test_killed_at_random_moments_it_still_ends_with_the_same_bits(path):
    out, err = script(LINES + KILLED, path).communicate(timeout=120)
    kills, same, *left = out.split() or pytest.fail(err)
    assert (same, left) == ("True", [path.name])
    assert int(kills) == 4


PRESSED = """
class Loud:
    def step(self, moment):
        print(moment.step, flush=True)
        time.sleep(0.01)
try:
    go(checkpoint=path, watch=Loud())
except KeyboardInterrupt:
    print("stopped", checkpoints.load(path)["state"]["step"])
    found, whole = go(checkpoint=path, resume=True), go()
    print(all(torch.equal(found[name], whole[name]) for name in whole))
"""


def test_ctrl_c_is_heeded_after_the_step_and_leaves_a_checkpoint(path):
    running = script(LINES.replace("EVERY = 0.0", "EVERY = 1e9") + PRESSED, path)
    assert running.stdout.readline().strip() == "1"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    *steps, stopped_at, same = out.strip().splitlines() or pytest.fail(err)
    assert stopped_at == f"stopped {steps[-1] if steps else 1}"
    assert same == "True"


def test_ctrl_c_belongs_to_the_caller_again_afterwards():
    before = signal.getsignal(signal.SIGINT)
    train.fit(mlp.mlp(inputs=2, outputs=1), (np.zeros((4, 2)), [0, 1, 0, 1]), settings=Fit(epochs=1))
    assert signal.getsignal(signal.SIGINT) is before
