"""Files and cards that carry code: what happens with leave, and the words without it."""

import importlib
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from rai.card import Card, Head
from rai.errors import InputError
from rai.models import load

USER_CODE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(5, 6)
        self.last = torch.nn.Linear(6, 1)

    def forward(self, rows):
        return torch.sigmoid(self.last(torch.tanh(self.first(rows))))

def make():
    return Net()

def fails():
    raise RuntimeError("secret library text")

def wrong():
    return 3

number = 3
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A user's package on the path, gone again after the test."""
    package = tmp_path / "lib" / "userpkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(USER_CODE)
    (package / "broken.py").write_text("raise KeyError('secret library text')")
    (package / "leaves.py").write_text("import sys; sys.exit(0)")
    (package / "needs.py").write_text("import a_module_nobody_has")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    yield importlib.import_module("userpkg.nets")
    for name in [name for name in sys.modules if name.split(".")[0] == "userpkg"]:
        del sys.modules[name]


def card(place: str) -> Card:
    return Card(task="binary", classes=("no", "yes"), factory=place)


def test_a_factory_makes_the_network_and_the_file_fills_it(user, tmp_path, kit) -> None:
    module = user.make()
    torch.save(module.state_dict(), tmp_path / "m.pt")
    loaded = load(tmp_path / "m.pt", card("userpkg.nets:make"), kit.rows, allow_code=True)
    assert np.allclose(loaded.model.scores(kit.rows), kit.answer(module, kit.rows), atol=1e-6)
    assert loaded.model.trust == "carries code"
    assert loaded.model.head is Head.PROBABILITY
    assert any("factory userpkg.nets:make, whose code ran" in note for note in loaded.notes)


def test_a_factory_is_not_imported_without_leave(user, tmp_path, kit) -> None:
    torch.save(user.make().state_dict(), tmp_path / "m.pt")
    with pytest.raises(InputError, match="names a factory, userpkg.leaves:x: code that runs") as caught:
        load(tmp_path / "m.pt", card("userpkg.leaves:x"), kit.rows)
    assert "--allow-code-in-model" in str(caught.value)
    assert "userpkg.leaves" not in sys.modules


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("userpkg.nets", "is no place of a function"),
        ("userpkg nets:make", "is no place of a function"),
        (":make", "is no place of a function"),
        ("nowhere_at_all.nets:make", "no module nowhere_at_all;"),
        ("userpkg.absent:make", "no module userpkg.absent;"),
        ("userpkg.nets:absent", "userpkg.nets has no function absent"),
        ("userpkg.nets:number", "userpkg.nets has no function number"),
        ("userpkg.nets:fails", "fails() failed (RuntimeError)"),
        ("userpkg.nets:wrong", "wrong() returned a int"),
        ("userpkg.broken:make", "importing userpkg.broken failed (KeyError)"),
        ("userpkg.leaves:make", "importing userpkg.leaves failed (SystemExit)"),
        ("userpkg.needs:make", "importing userpkg.needs failed (ModuleNotFoundError)"),
    ],
)
def test_what_is_wrong_with_a_factory_is_one_line(place, said, user, tmp_path, kit) -> None:
    torch.save(user.make().state_dict(), tmp_path / "m.pt")
    with pytest.raises(InputError) as caught:
        load(tmp_path / "m.pt", card(place), kit.rows, allow_code=True)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_card_names_a_network_or_a_factory_not_both(tmp_path, kit) -> None:
    module = kit.make()
    torch.save(module.state_dict(), tmp_path / "m.pt")
    with pytest.raises(InputError, match="names a factory and a network"):
        load(tmp_path / "m.pt", kit.card(module, factory="a:b"), kit.rows, allow_code=True)


def test_tensors_that_do_not_fit_the_factory_are_named(user, tmp_path, kit) -> None:
    torch.save(kit.make(hidden=(6,)).state_dict(), tmp_path / "m.pt")
    with pytest.raises(InputError, match=r"tensor 'first\.weight' of shape \(6, 5\) is missing"):
        load(tmp_path / "m.pt", card("userpkg.nets:make"), kit.rows, allow_code=True)


class Hyper:
    """A foreign object such as trainers put beside the weights."""


def test_a_checkpoint_with_foreign_objects_needs_leave_and_then_loads(tmp_path, kit) -> None:
    module = kit.make()
    for key in ("state_dict", "model"):
        value = module.state_dict() if key == "state_dict" else module
        torch.save({key: value, "hyper": Hyper()}, tmp_path / "m.pt")
        with pytest.raises(InputError, match=r"Hyper|Sequential"):
            load(tmp_path / "m.pt", kit.card(module), kit.rows)
        loaded = load(tmp_path / "m.pt", kit.card(module), kit.rows, allow_code=True)
        assert np.allclose(loaded.model.scores(kit.rows), kit.answer(module, kit.rows), atol=1e-6)
        assert loaded.model.trust == "carries code"


def test_a_pickled_estimator_needs_leave_and_then_loads(tmp_path, kit) -> None:
    model = LogisticRegression().fit(kit.rows, np.where(kit.rows[:, 0] > 0, "yes", "no"))
    plain = Card(task="binary", classes=("yes", "no"))
    joblib.dump(model, tmp_path / "m.joblib")
    with pytest.raises(InputError, match="is a pickled Python object"):
        load(tmp_path / "m.joblib", plain, kit.rows)
    loaded = load(tmp_path / "m.joblib", plain, kit.rows, allow_code=True)
    assert np.allclose(loaded.model.scores(kit.rows), model.predict_proba(kit.rows)[:, ::-1])
    assert loaded.model.trust == "carries code"


def test_a_pickled_class_that_is_gone_is_named_in_one_line(user, tmp_path, kit, monkeypatch) -> None:
    torch.save(user.make(), tmp_path / "m.pt")
    for name in [name for name in sys.modules if name.split(".")[0] == "userpkg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if "lib" not in Path(each).name])
    with pytest.raises(InputError, match=r"cannot be loaded; it names userpkg\.nets\.Net") as caught:
        load(tmp_path / "m.pt", card("userpkg.nets:make"), kit.rows, allow_code=True)
    kit.one_line(str(caught.value))


@pytest.mark.parametrize("name", ["script", "export", "pickled"])
def test_a_damaged_file_that_carries_code_is_one_line_even_with_leave(name, tmp_path, kit) -> None:
    path, module = tmp_path / "m", kit.make()
    {"script": kit.script, "export": kit.export, "pickled": torch.save}[name](module, path)
    content = bytearray(path.read_bytes())
    for at in range(100, len(content) // 2, 7):
        content[at] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path, kit.card(module), kit.rows, allow_code=True)
    kit.one_line(str(caught.value))


def test_a_script_saved_in_training_mode_is_calmed_with_a_note(tmp_path, kit) -> None:
    module = nn.Sequential(kit.make(), nn.Dropout(0.5)).train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(tmp_path / "m"))
    loaded = load(tmp_path / "m", kit.card(module), kit.rows, allow_code=True)
    assert any("training mode" in note for note in loaded.notes)
    assert np.allclose(loaded.model.scores(kit.rows), kit.answer(module, kit.rows), atol=1e-6)


def test_a_script_whose_loading_acts_does_not_act_without_leave(tmp_path, kit) -> None:
    class Acts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 1)

        @torch.jit.export
        def __getstate__(self):
            return (self.layer.weight, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
            self.training = state[1]
            torch.save(state[0], "marker-of-a-script")

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.layer(rows)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Acts()).save(str(tmp_path / "m"))
    with pytest.raises(InputError, match="is TorchScript"):
        load(tmp_path / "m", kit.card(kit.make()), kit.rows)
    assert not Path("marker-of-a-script").exists()
