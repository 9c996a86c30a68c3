import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

from rai.card import Card, Head, Network
from rai.errors import InputError
from rai.models import load, tensor_shapes
from rai.subject import probabilities


class Sigmoid(nn.Module):
    """An mlp that ends in a functional sigmoid, so that no module tells of it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.inner(rows)).squeeze(-1)


def onnx_mlp(module, path, *, ending="", rows="n", kind=TensorProto.FLOAT, extra=()):
    linear = [each for each in module if isinstance(each, nn.Linear)]
    nodes, weights, last = [], [], "x"
    for position, layer in enumerate(linear):
        dtype = np.float64 if kind == TensorProto.DOUBLE else np.float32
        weights += [
            numpy_helper.from_array(layer.weight.detach().numpy().T.astype(dtype), f"w{position}"),
            numpy_helper.from_array(layer.bias.detach().numpy().astype(dtype), f"b{position}"),
        ]
        nodes.append(helper.make_node("Gemm", [last, f"w{position}", f"b{position}"], [f"g{position}"]))
        last = f"g{position}"
        if position < len(linear) - 1:
            nodes.append(helper.make_node("Relu", [last], [f"r{position}"]))
            last = f"r{position}"
    if ending:
        nodes.append(helper.make_node(ending, [last], ["probabilities"]))
        last = "probabilities"
    outputs = [helper.make_tensor_value_info(last, kind, [rows, linear[-1].out_features]), *extra]
    source = helper.make_tensor_value_info("x", kind, [rows, linear[0].in_features])
    if extra:
        nodes.append(helper.make_node("ArgMax", [last], ["label"], axis=1, keepdims=0))
    graph = helper.make_graph(nodes, "g", [source], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def save(kind, module, path, kit):
    state = module.state_dict()
    match kind:
        case "zip":
            torch.save(state, path)
        case "zip protocol 5":
            torch.save(state, path, pickle_protocol=5)
        case "legacy":
            torch.save(state, path, _use_new_zipfile_serialization=False)
        case "safetensors":
            save_file(state, str(path))
        case "onnx":
            onnx_mlp(module, path)
        case "script":
            kit.script(module, path)
        case "export":
            kit.export(module, path)
        case "pickled":
            torch.save(module, path)
        case "pickled legacy":
            torch.save(module, path, _use_new_zipfile_serialization=False)
    return path


DATA_ONLY = ["zip", "zip protocol 5", "legacy", "safetensors", "onnx"]
WITH_CODE = ["script", "export", "pickled", "pickled legacy"]


@pytest.mark.parametrize("kind", DATA_ONLY + WITH_CODE)
@pytest.mark.parametrize(
    ("task", "classes", "head"),
    [
        ("binary", ("no", "yes"), Head.LOGIT),
        ("binary", ("no", "yes"), Head.LOGITS),
        ("multiclass", ("a", "b", "c"), Head.LOGITS),
        ("regression", (), Head.VALUE),
    ],
)
def test_every_format_answers_as_torch_does(kind, task, classes, head, tmp_path, kit) -> None:
    module, rows = kit.make(outputs=len(classes) if head is Head.LOGITS else 1), kit.rows
    path = save(kind, module, tmp_path / "model.bin", kit)
    loaded = load(path, kit.card(module, task=task, classes=classes), rows, allow_code=kind in WITH_CODE)
    tolerance = 1e-6 * (1 + np.abs(kit.answer(module, rows)).max())
    assert np.abs(loaded.model.scores(rows) - kit.answer(module, rows)).max() <= tolerance
    assert loaded.model.head == head
    assert loaded.model.trust == ("carries code" if kind in WITH_CODE else "data only")
    assert len(loaded.sha256) == 64
    assert loaded.head_reason


@pytest.mark.parametrize("kind", WITH_CODE)
def test_a_file_that_carries_code_is_refused_without_leave(kind, tmp_path, rows, kit, one_line) -> None:
    module = kit.make()
    path = save(kind, module, tmp_path / "model.pt", kit)
    with pytest.raises(InputError, match="--allow-code-in-model if you trust its author") as caught:
        load(path, kit.card(module), rows)
    one_line(str(caught.value))


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "script", "export", "pickled"])
def test_a_single_logit_is_scored_as_a_logit(kind, tmp_path, kit) -> None:
    """The trap: argmax over one column calls every row class 0, and softmax gives it probability 1."""
    module = kit.make(hidden=(), inputs=1)
    with torch.no_grad():
        module[0].weight.fill_(2.0)
        module[0].bias.fill_(0.0)
    rows = np.linspace(-3, 3, 41, dtype=np.float32)[:, None]
    path = save(kind, module, tmp_path / "m", kit)
    model = load(path, kit.card(module), rows, allow_code=True).model
    chances = probabilities(model.head, model.scores(rows))
    assert model.head is Head.LOGIT
    assert np.allclose(chances[:, 1], 1 / (1 + np.exp(-2.0 * rows[:, 0])), atol=1e-6)


@pytest.mark.parametrize("how", ["script", "export", "pickled"])
def test_a_functional_sigmoid_is_seen(how, tmp_path, rows, kit) -> None:
    module = Sigmoid(kit.make())
    path = tmp_path / "m"
    if how == "pickled":
        module = nn.Sequential(kit.make(), nn.Sigmoid())
    save(how, module, path, kit)
    loaded = load(path, kit.card(module), rows, allow_code=True)
    assert loaded.model.head is Head.PROBABILITY
    assert "sigmoid" in loaded.head_reason
    assert "guess" not in loaded.head_reason
    assert loaded.model.scores(rows).shape == (100, 1)


@pytest.mark.parametrize(
    ("ending", "head", "doubt"),
    [
        ("Sigmoid", Head.PROBABILITY, False),
        ("", Head.LOGIT, False),
        ("HardSigmoid", Head.PROBABILITY, True),
    ],
)
def test_the_end_of_an_onnx_graph_is_seen_and_a_guess_is_owned(ending, head, doubt, tmp_path, rows, kit) -> None:
    module = kit.make()
    loaded = load(onnx_mlp(module, tmp_path / "m", ending=ending), kit.card(module), rows)
    assert loaded.model.head is head
    assert ("guess" in loaded.head_reason) is doubt
    assert ("ends in a sigmoid" in loaded.head_reason) is (ending == "Sigmoid")


def test_onnx_logits_that_happen_to_lie_within_0_and_1_are_logits(tmp_path, rows, kit) -> None:
    module = kit.make()
    with torch.no_grad():
        module[4].weight.mul_(1e-4)
        module[4].bias.fill_(0.5)
    loaded = load(onnx_mlp(module, tmp_path / "m"), kit.card(module), rows)
    assert loaded.model.head is Head.LOGIT
    assert "weighted sum" in loaded.head_reason


def test_onnx_softmax_gives_probabilities(tmp_path, rows, kit) -> None:
    module = kit.make(outputs=2)
    loaded = load(onnx_mlp(module, tmp_path / "m", ending="Softmax"), kit.card(module), rows)
    assert loaded.model.head is Head.PROBABILITIES
    assert "ends in a softmax" in loaded.head_reason


@pytest.mark.parametrize(("given", "kind"), [(1, TensorProto.FLOAT), (7, TensorProto.FLOAT), ("n", TensorProto.DOUBLE)])
def test_onnx_with_a_fixed_batch_or_doubles_answers_all_rows(given, kind, tmp_path, rows, kit) -> None:
    module = kit.make(outputs=2)
    loaded = load(onnx_mlp(module, tmp_path / "m", rows=given, kind=kind), kit.card(module), rows)
    assert np.allclose(loaded.model.scores(rows), kit.answer(module, rows), rtol=1e-4, atol=1e-4)


def test_onnx_with_a_label_beside_the_probabilities_gives_the_probabilities(tmp_path, rows, kit) -> None:
    module = kit.make(outputs=2)
    label = helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])
    loaded = load(onnx_mlp(module, tmp_path / "m", ending="Softmax", extra=[label]), kit.card(module), rows)
    assert np.allclose(loaded.model.scores(rows).sum(axis=1), 1)
    assert any("'probabilities' was read" in note for note in loaded.notes)


@pytest.mark.parametrize(("keys", "order"), [(["yes", "no"], [1, 0]), (["no", "yes"], [0, 1])])
def test_onnx_maps_of_named_classes_come_in_the_order_of_the_card(keys, order, tmp_path, rows) -> None:
    weight = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"]),
        helper.make_node("ZipMap", ["p"], ["probabilities"], domain="ai.onnx.ml", classlabels_strings=keys),
    ]
    mapped = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    output = helper.make_value_info("probabilities", helper.make_sequence_type_proto(mapped))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])],
        [output],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "m")
    scores = load(tmp_path / "m", Card(task="binary", classes=("no", "yes")), rows).model.scores(rows)
    grown = np.exp(rows @ weight)
    assert np.allclose(scores, (grown / grown.sum(axis=1, keepdims=True))[:, order], atol=1e-5)


def test_onnx_that_points_to_other_files_is_refused(tmp_path, rows, kit) -> None:
    module = kit.make()
    path = onnx_mlp(module, tmp_path / "m.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(InputError, match="keeps tensors in other files"):
        load(path, kit.card(module), rows)


def test_a_static_export_names_the_cure(tmp_path, rows, kit) -> None:
    module = kit.make()
    path = kit.export(module, tmp_path / "m.pt2", dynamic=False)
    with pytest.raises(InputError, match="dynamic batch dimension"):
        load(path, kit.card(module), rows, allow_code=True)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_away_with_a_note(prefix, tmp_path, rows, kit) -> None:
    module = kit.make()
    torch.save({prefix + name: each for name, each in module.state_dict().items()}, tmp_path / "m.pt")
    loaded = load(tmp_path / "m.pt", kit.card(module), rows)
    assert np.allclose(loaded.model.scores(rows), kit.answer(module, rows), atol=1e-6)
    assert any("prefix" in note for note in loaded.notes)
    assert tensor_shapes(tmp_path / "m.pt")["0.weight"] == (8, 5)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoint_gives_up_its_weights(key, tmp_path, rows, kit) -> None:
    module = kit.make()
    optimiser = torch.optim.Adam(module.parameters())
    module(torch.randn(3, 5)).sum().backward()
    optimiser.step()
    extra = {"epoch": 3, "optimizer": optimiser.state_dict(), "best": np.float64(0.5), "seen": {1, 2}, "raw": b"\0\1"}
    torch.save({**extra, key: module.state_dict()}, tmp_path / "m.pt")
    loaded = load(tmp_path / "m.pt", kit.card(module), rows)
    assert np.allclose(loaded.model.scores(rows), kit.answer(module, rows), atol=1e-6)
    assert any(repr(key) in note for note in loaded.notes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_other_precisions_become_float32_with_a_note(dtype, kind, tmp_path, rows, kit) -> None:
    module = kit.make()
    path = save(kind, kit.make().to(dtype), tmp_path / "m", kit)
    loaded = load(path, kit.card(module), rows)
    exact = module.to(dtype).float()
    assert np.allclose(loaded.model.scores(rows), kit.answer(exact, rows), atol=1e-5)
    assert any("float32" in note and str(dtype).removeprefix("torch.") in note for note in loaded.notes)


def test_every_kind_of_view_reads_as_torch_reads_it(tmp_path) -> None:
    base = torch.arange(24, dtype=torch.float32)
    kept = {
        "slice": base[3:9],
        "transposed": base.reshape(4, 6).T,
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
        "int": torch.arange(5),
        "bool": torch.tensor([True, False]),
        "parameter": nn.Parameter(base[:2].clone()),
        "byte": torch.arange(4, dtype=torch.uint8),
    }
    from rai.models import archive

    for legacy, opener in ((False, archive.open_zip), (True, archive.open_legacy)):
        torch.save(kept, tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
        found = opener(tmp_path / "m.pt").named
        expected = torch.load(tmp_path / "m.pt", weights_only=True)
        assert list(found) == list(expected)
        for name, each in expected.items():
            assert torch.equal(found[name].read(), each.detach()), name
            assert found[name].shape == tuple(each.shape)


def test_weights_tagged_for_a_gpu_are_read_on_the_cpu(tmp_path, rows, kit) -> None:
    module = kit.make()
    torch.save(module.state_dict(), tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(module.state_dict(), tmp_path / "cpu.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "cpu.pt").read_bytes().replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    (tmp_path / "gpu.pt").write_bytes(content)
    loaded = load(tmp_path / "gpu.pt", kit.card(module), rows)
    assert np.allclose(loaded.model.scores(rows), kit.answer(module, rows), atol=1e-6)


def test_batch_statistics_travel_with_the_weights(tmp_path, rows, kit) -> None:
    module = kit.make(norm="batch", activation="tanh")
    module.train()(torch.randn(50, 5) * 3 + 1)
    network = Network("mlp", {"inputs": 5, "outputs": 1, "hidden": (8, 4), "norm": "batch", "activation": "tanh"})
    for kind in ("zip", "legacy", "safetensors"):
        path = save(kind, module, tmp_path / "m", kit)
        loaded = load(path, kit.card(module, network=network), rows)
        assert np.allclose(loaded.model.scores(rows), kit.answer(module, rows), atol=1e-6)


def test_loading_leaves_the_global_random_stream_alone(tmp_path, rows, kit) -> None:
    module = kit.make()
    path = save("zip", module, tmp_path / "m", kit)
    before = torch.get_rng_state()
    load(path, kit.card(module), rows)
    assert torch.equal(before, torch.get_rng_state())


def test_large_inputs_are_asked_for_in_batches(tmp_path, kit, monkeypatch) -> None:
    module = kit.make()
    many = np.random.default_rng(0).normal(size=(9001, 5)).astype(np.float32)
    loaded = load(save("zip", module, tmp_path / "m", kit), kit.card(module), many[:256])
    asked = []
    original = type(loaded.model.module).forward
    monkeypatch.setattr(
        type(loaded.model.module), "forward", lambda self, x: (asked.append(len(x)), original(self, x))[1]
    )
    scores = loaded.model.scores(many)
    assert np.allclose(scores, kit.answer(module, many), atol=1e-5)
    assert max(asked[:-1]) <= 4096
    assert loaded.model.scores(many[:0]).shape == (0, 1)


def test_inside_lends_the_module_in_evaluation_mode(tmp_path, rows, kit) -> None:
    module = kit.make()
    loaded = load(save("zip", module, tmp_path / "m", kit), kit.card(module), rows)
    found = loaded.model.inside(lambda inner, x, scale: (inner.training, len(x) * scale), rows, scale=2)
    assert found == (False, 200)
