"""Models of images, sequences and texts, from every kind of file and from memory."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

from rai.card import Card, Head, ImageInput, Network, SequenceInput, TextInput
from rai.errors import InputError
from rai.models import bare, batches, from_object, load
from rai.models.batches import in_batches, most_rows
from rai.networks import build

TEXT, IMAGE = TextInput("text", "words.txt"), ImageInput("image", (8, 8))
SEQUENCE = SequenceInput("sequence", ("load", "heat", "hour"), 6)
CARDS = {
    "cnn": (IMAGE, {"inputs": 1, "outputs": 3, "size": (8, 8)}),
    "resnet": (IMAGE, {"inputs": 1, "outputs": 3, "channels": (4, 6)}),
    "recurrent": (SEQUENCE, {"inputs": 3, "outputs": 3, "hidden": 5}),
    "transformer": (TEXT, {"vocabulary": 12, "outputs": 3, "width": 8, "length": 7}),
}


def card(kind: str, **fields) -> Card:
    given, words = CARDS[kind]
    classes = ("low", "middle", "high")
    return Card("multiclass", **{"classes": classes, "network": Network(kind, words), "input": given, **fields})


def network(kind: str, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(Network(kind, CARDS[kind][1])).eval()


def data(kind: str, rows: int = 40) -> np.ndarray:
    stream = np.random.default_rng(0)
    lengths = stream.integers(1, 7, rows)
    if kind == "transformer":
        texts = stream.integers(1, 12, (rows, 7))
        return np.where(np.arange(7) < lengths[:, None], texts, 0)
    if kind == "recurrent":
        sequences = stream.normal(size=(rows, 6, 3)).astype(np.float32)
        sequences[np.arange(6) >= lengths[:, None]] = np.nan
        return sequences
    return stream.normal(size=(rows, 1, 8, 8)).astype(np.float32)


def answer(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(rows)).numpy()


class Recording(nn.Module):
    """Sums its rows, keeping what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.seen: list = []

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.seen.append((rows.dtype, len(rows)))
        return rows.flatten(1).nan_to_num().sum(dim=1, keepdim=True) * self.scale


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("safe", [False, True])
def test_tensors_and_a_card_answer_as_torch_does(kind: str, safe: bool, tmp_path: Path) -> None:  # noqa: FBT001 - drawn
    module, rows = network(kind), data(kind)
    save_file(module.state_dict(), tmp_path / "m") if safe else torch.save(module.state_dict(), tmp_path / "m")
    loaded = load(tmp_path / "m", card(kind), rows)
    assert np.allclose(loaded.model.scores(rows), answer(module, rows), atol=1e-5)
    assert (loaded.model.head, loaded.model.trust) == (Head.LOGITS, "data only")
    assert any("asked one row at a time" in note for note in loaded.notes)


@pytest.mark.parametrize("kind", ["cnn", "transformer"])
def test_programs_with_images_and_texts_answer_with_leave(kind: str, tmp_path: Path) -> None:
    module, rows = network(kind), data(kind)
    probe = torch.from_numpy(rows[:4])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, probe, check_trace=False).save(str(tmp_path / "script"))
        shapes = ({0: torch.export.Dim("rows", min=1)},)
        torch.export.save(torch.export.export(module, (probe,), dynamic_shapes=shapes), str(tmp_path / "export.pt2"))
    for name in ("script", "export.pt2"):
        loaded = load(tmp_path / name, card(kind, network=None), rows, allow_code=True)
        assert np.allclose(loaded.model.scores(rows), answer(module, rows), atol=1e-5), name


def test_texts_are_handed_over_as_whole_numbers_and_all_else_as_floats() -> None:
    ids = np.arange(12).reshape(3, 4)
    for given in (ids, ids.astype(np.int32), ids.astype(np.float64)):
        model = bare(Recording(), given, tokens=True)
        assert model.scores(given)[:, 0].tolist() == [6, 22, 38]
        assert {dtype for dtype, _ in model.module.seen} == {torch.int64}
    for given in (ids, ids.reshape(3, 2, 2), ids.reshape(3, 1, 2, 2)):
        model = bare(Recording(), given)
        assert {dtype for dtype, _ in model.module.seen} == {torch.float32}
    value = from_object(Recording(), Card("regression"), ids, tokens=True).model
    assert {dtype for dtype, _ in value.module.seen} == {torch.int64}


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf])
def test_broken_token_numbers_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="no token numbers; expected whole numbers|not all numbers"):
        bare(Recording(), np.array([[1.0, bad]]), tokens=True)


@pytest.mark.parametrize(
    ("shape", "tokens", "rows"),
    [
        ((10**6, 12), False, 4096),
        ((10**6, 10_000), False, 419),
        ((10**6, 10**8), False, 1),
        ((10**6, 128), True, 128),
        ((10**6, 2), True, 4096),
        ((10**6, 50, 4), False, 327),
        ((10**6, 3, 224, 224), False, 20),
        ((10**6, 1, 8, 8), False, 4096),
        ((10**6, 3, 5000, 5000), False, 1),
        ((10**6,), False, 4096),
        ((10**6, 0), False, 4096),
    ],
)
def test_a_batch_is_bounded_by_what_a_row_becomes(shape: tuple, tokens: bool, rows: int) -> None:  # noqa: FBT001 - drawn
    assert most_rows(shape, tokens=tokens) == rows


def test_batches_keep_the_order_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_PIXELS", 64 * 3)
    images, asked = data("cnn"), []
    found = in_batches(lambda rows: (asked.append(len(rows)), rows.sum(axis=(1, 2, 3))[:, None])[1], images)
    assert np.array_equal(found[:, 0], images.sum(axis=(1, 2, 3)))
    assert max(asked) == 3
    model = bare(Recording(), images)
    assert np.allclose(model.scores(images), found, atol=1e-4)
    assert max(count for _, count in model.module.seen) == 3


@pytest.mark.parametrize(
    ("kind", "rows", "said"),
    [
        ("cnn", np.ones((4, 3, 8, 8), np.float32), "takes 1 channels, and the data has 3; mend input.channels"),
        ("recurrent", np.ones((4, 6, 2), np.float32), "takes 3 features, and the data has 2; mend input.features"),
        ("transformer", np.full((4, 5), 40), "knows 12 tokens, and the data holds token number 40"),
        ("transformer", np.ones((4, 9), int), "reads at most 7 tokens or steps, and the rows have 9"),
        ("transformer", np.full((4, 5), -1), r"failed on 4 × 5 tokens \(IndexError\)"),
        ("cnn", np.ones((4, 1, 20, 20), np.float32), r"failed on 4 × 1 × 20 × 20 numbers \(RuntimeError\)"),
    ],
)
def test_what_does_not_fit_is_said_in_the_words_of_its_kind(kind, rows, said, tmp_path, one_line) -> None:
    torch.save(network(kind).state_dict(), tmp_path / "m.pt")
    with pytest.raises(InputError, match=said) as caught:
        load(tmp_path / "m.pt", card(kind), rows)
    one_line(str(caught.value))


def test_a_model_that_reads_padding_is_told_what_nan_means() -> None:
    class Careless(nn.Module):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return rows.sum(dim=(1, 2))[:, None]

    with pytest.raises(InputError, match="rows with NaN or infinity; let the model skip the steps after"):
        from_object(Careless(), Card("regression"), data("recurrent"))


def test_the_end_of_a_text_model_is_seen() -> None:
    """Its inputs have no gradient, and all its outputs lie within 0 to 1: only the graph can tell."""
    module = nn.Sequential(nn.EmbeddingBag(12, 4), nn.Linear(4, 1))
    nn.init.zeros_(module[1].weight)
    nn.init.constant_(module[1].bias, 0.5)
    binary = Card("binary", classes=("no", "yes"), input=TEXT)
    assert from_object(module, binary, data("transformer"), tokens=True).model.head is Head.LOGIT
    last = nn.Sequential(*module, nn.Sigmoid())
    assert "ends in a sigmoid" in from_object(last, binary, data("transformer"), tokens=True).head_reason


def test_a_card_of_bare_tensors_names_every_network(tmp_path: Path) -> None:
    torch.save(network("cnn").state_dict(), tmp_path / "m.pt")
    with pytest.raises(InputError, match="other networks than mlp, cnn, resnet, recurrent, transformer"):
        load(tmp_path / "m.pt", card("cnn", network=None), data("cnn"))


def onnx_file(path: Path, nodes: list, weights: dict, source: tuple, outputs: int) -> Path:
    kind, shape = source
    held = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    ports = (
        helper.make_tensor_value_info("x", kind, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs]),
    )
    graph = helper.make_graph(nodes, "g", [ports[0]], [ports[1]], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def flat_onnx(path: Path, shape: list, size: int) -> tuple[Path, np.ndarray]:
    weight = np.random.default_rng(1).normal(size=(size, 3)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    return onnx_file(path, nodes, {"w": weight}, (TensorProto.FLOAT, shape), 3), weight


@pytest.mark.parametrize("whole", [TensorProto.INT64, TensorProto.INT32])
def test_onnx_texts_are_whole_numbers(whole, tmp_path: Path) -> None:
    table = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["e"]),
        helper.make_node("ReduceSum", ["e", "axes"], ["y"], keepdims=0),
    ]
    weights = {"table": table, "axes": np.array([1])}
    path, rows = onnx_file(tmp_path / "m", nodes, weights, (whole, ["n", "t"]), 3), data("transformer")
    found = load(path, card("transformer"), rows).model.scores(rows)
    assert np.allclose(found, table[rows].sum(axis=1), atol=1e-4)
    with pytest.raises(InputError, match="expected one 2-D input of floating-point numbers"):
        load(path, card("transformer", input=None), rows)


def test_onnx_images_have_four_dimensions(tmp_path: Path) -> None:
    path, weight = flat_onnx(tmp_path / "m", ["n", 1, 8, 8], 64)
    rows = data("cnn")
    assert np.allclose(load(path, card("cnn"), rows).model.scores(rows), rows.reshape(40, 64) @ weight, atol=1e-4)
    with pytest.raises(InputError, match="expected one 2-D input of whole numbers"):
        load(path, card("transformer"), data("transformer"))


def test_onnx_sequences_have_three_dimensions(tmp_path: Path) -> None:
    path, weight = flat_onnx(tmp_path / "m", ["n", 6, 3], 18)
    rows = np.nan_to_num(data("recurrent"))
    assert np.allclose(load(path, card("recurrent"), rows).model.scores(rows), rows.reshape(40, 18) @ weight, atol=1e-4)
    with pytest.raises(InputError, match="expected one 4-D input"):
        load(path, card("cnn"), data("cnn"))
