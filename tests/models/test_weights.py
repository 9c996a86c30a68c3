import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from rai.card import Card, Network
from rai.errors import InputError
from rai.models import load, plain_mlp, tensor_shapes
from rai.models.torch_model import require_torch
from rai.networks import build


def broken(state: dict, how: str) -> dict:
    match how:
        case "missing":
            del state["2.bias"]
        case "unexpected":
            state["extra"] = torch.ones(3)
        case "shape":
            state["2.weight"] = torch.ones(4, 9)
        case "nan":
            state["2.bias"][1] = torch.nan
        case "infinity":
            state["0.weight"][0, 0] = torch.inf
        case "sparse":
            state["0.weight"] = state["0.weight"].to_sparse()
        case "complex":
            state["0.weight"] = state["0.weight"].to(torch.complex64)
        case "expanded":
            state["0.weight"] = torch.ones(1).expand(8, 5)
    return state


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "tensor '2.bias' of shape (4) is missing"),
        ("unexpected", "tensor 'extra' of shape (3) has no place"),
        ("shape", "tensor '2.weight' has shape (4, 9); expected shape (4, 8)"),
        ("nan", "tensor '2.bias' holds NaN or infinity"),
        ("infinity", "tensor '0.weight' holds NaN or infinity"),
        ("sparse", "tensor '0.weight' is sparse"),
        ("complex", "tensor '0.weight' is sparse, quantised or of a rare kind"),
        ("expanded", "tensor '0.weight' states 40 numbers and the file holds 1"),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_what_is_wrong_with_a_tensor_is_said_in_one_line(how, said, legacy, tmp_path, kit) -> None:
    module = kit.make()
    torch.save(broken(module.state_dict(), how), tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError) as caught:
        load(tmp_path / "m.pt", kit.card(module), kit.rows)
    assert said in str(caught.value)
    kit.one_line(str(caught.value))


class Own(nn.Module):
    """A user's class whose names differ from rai's."""

    def __init__(self, *, layers: tuple[nn.Linear, ...], names: tuple[str, ...]) -> None:
        super().__init__()
        for name, layer in zip(names, layers, strict=True):
            self.add_module(name, layer)
        self.names = names

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        for name in self.names[:-1]:
            rows = torch.relu(getattr(self, name)(rows))
        return getattr(self, self.names[-1])(rows)


def own(kit, names, hidden) -> Own:
    layers = tuple(each for each in kit.make(hidden=hidden) if isinstance(each, nn.Linear))
    return Own(layers=layers, names=names)


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize(
    ("names", "hidden"),
    [
        (("fc1", "fc2", "fc3", "out"), (8, 8, 8)),
        (("z", "y", "x", "w"), (8, 6, 4)),
        (("a1", "a2", "a10", "o"), (5, 5, 5)),
    ],
)
def test_names_that_differ_are_matched_layer_by_layer(safe, names, hidden, tmp_path, rows, kit) -> None:
    module = own(kit, names, hidden)
    path = tmp_path / "m"
    save_file(module.state_dict(), str(path)) if safe else torch.save(module.state_dict(), path)
    loaded = load(path, kit.card(module), rows)
    assert np.allclose(loaded.model.scores(rows), kit.answer(module, rows), atol=1e-6)
    assert any("matched by their shapes and order" in note for note in loaded.notes)


def test_layers_that_could_be_swapped_are_not_matched(tmp_path, rows, kit) -> None:
    """safetensors keeps no order: "first" and "second" of one shape could be either."""
    module = own(kit, ("second", "first", "third", "out"), (5, 5, 5))
    save_file(module.state_dict(), str(tmp_path / "m"))
    with pytest.raises(InputError, match="is missing"):
        load(tmp_path / "m", kit.card(module), rows)


def test_a_card_without_a_network_says_so(tmp_path, rows, kit) -> None:
    torch.save(kit.make().state_dict(), tmp_path / "m.pt")
    with pytest.raises(InputError, match="does not say which network"):
        load(tmp_path / "m.pt", Card(task="binary"), rows)


def test_a_network_larger_than_the_file_is_never_allocated(tmp_path, rows, kit) -> None:
    torch.save(kit.make().state_dict(), tmp_path / "m.pt")
    huge = Network("mlp", {"inputs": 5, "outputs": 1, "hidden": (40_000, 40_000)})
    with pytest.raises(InputError, match="has shape"):
        load(tmp_path / "m.pt", Card(task="binary", network=huge), rows)


@settings(max_examples=40, deadline=None)
@given(
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 12), max_size=4),
    norm=st.sampled_from(["none", "batch", "layer"]),
    prefix=st.sampled_from(["", "net.", "model.layers."]),
    shuffled=st.booleans(),
    rare=st.tuples(st.booleans(), st.booleans()),
)
def test_a_plain_mlp_is_read_off_its_shapes(**drawn) -> None:
    inputs, outputs, hidden, norm, prefix, shuffled, (late, bias) = drawn.values()
    place = {"norm_place": "after"} if late and norm != "none" and hidden else {}
    offset = {} if bias or not hidden else {"bias": False}
    sizes = {"inputs": inputs, "outputs": outputs, "hidden": tuple(hidden)}
    network = Network("mlp", {**sizes, "norm": norm, **place, **offset})
    with torch.device("meta"):
        shapes = {prefix + name: tuple(each.shape) for name, each in build(network).state_dict().items()}
    found = plain_mlp(dict(sorted(shapes.items())) if shuffled else shapes)
    assert found is not None
    expected = dict(network.arguments)
    if norm == "none" or not hidden:
        del expected["norm"]
    assert dict(found.arguments) == expected


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"conv.weight": (8, 3, 3, 3), "conv.bias": (8,)},
        {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (2, 5), "b.bias": (2,)},
        {"a.weight": (4, 3)},
        {"a.weight": (4, 3), "a.bias": (5,)},
        {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (2, 4)},
        {"e.weight": (10, 4), "a.weight": (4, 3), "a.bias": (4,)},
        {"a.weight": (4, 3), "a.bias": (4,), "n.weight": (4,), "n.bias": (4,)},
        {"n.weight": (3,), "n.bias": (3,), "a.weight": (4, 3), "a.bias": (4,)},
    ],
)
def test_what_is_no_plain_mlp_is_not_called_one(shapes) -> None:
    assert plain_mlp(shapes) is None


def test_shapes_are_read_from_both_formats(tmp_path, kit, rows, one_line) -> None:
    state = kit.make().state_dict()
    torch.save({"model_state_dict": state}, tmp_path / "a.pt")
    save_file(state, str(tmp_path / "b.safetensors"))
    expected = {name: tuple(each.shape) for name, each in state.items()}
    assert tensor_shapes(tmp_path / "a.pt") == tensor_shapes(tmp_path / "b.safetensors") == expected
    assert plain_mlp(tensor_shapes(tmp_path / "a.pt")) == Network("mlp", {"inputs": 5, "outputs": 1, "hidden": (8, 4)})
    kit.script(kit.make(), tmp_path / "c.pt")
    with pytest.raises(InputError, match="no file of bare tensors") as caught:
        tensor_shapes(tmp_path / "c.pt")
    one_line(str(caught.value))


def test_an_old_torch_is_named() -> None:
    for version in ("2.10.0", "2.13.0+cpu", "3.0.0a0"):
        require_torch(version)
    for version in ("2.9.1+cu128", "1.13.0"):
        with pytest.raises(InputError, match=r"2\.10 or newer"):
            require_torch(version)
