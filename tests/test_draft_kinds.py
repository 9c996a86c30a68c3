"""Cards drafted for images, sequences and texts: once filled in where they say so, the audit reads the same rows."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from rai.card import ImageInput, Network, SequenceInput, TextInput, read_card
from rai.data import load
from rai.draft import draft
from rai.errors import InputError
from rai.intake import Choices, from_files
from rai.networks import build
from rai.rehearsal import rehearse

ROWS = 40
RNG = np.random.default_rng(4)
LABELS = np.array(["no", "yes"])[np.arange(ROWS) % 2]
SEX = np.array(["f", "m", "m", "f"])[np.arange(ROWS) % 4]
SIDES = {"y": LABELS, "sex": SEX}
WORDS = ("[PAD]", "[UNK]", "[MASK]", *(f"w{place}" for place in range(17)))


def saved(folder: Path, kind: str, **arguments: Any) -> nn.Module:
    """A model file of bare tensors with fresh weights."""
    torch.manual_seed(0)
    module = build(Network(kind, arguments)).eval()
    torch.save(module.state_dict(), folder / "model.pt")
    return module


def drafted(folder: Path, data: str, filled: dict[str, str] | None = None, **choices: Any) -> str:
    """Write the draft beside the model, with the lines to be filled in changed as said."""
    text = draft(folder / "model.pt", folder / data, target="y", sensitive=("sex",), **choices)
    for line, instead in (filled or {}).items():
        assert line in text
        text = text.replace(line, instead, 1)
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return text


def agrees(folder: Path, module: nn.Module, rows: np.ndarray) -> None:
    """The audit hands the model these very rows, and reads labels and groups beside them."""
    subject = from_files(folder / "model.pt", Choices()).subject
    with torch.inference_mode():
        expected = module(torch.tensor(rows)).numpy()
    np.testing.assert_allclose(subject.scores, expected, atol=1e-6)
    assert np.array_equal(np.asarray(subject.card.classes)[subject.data.labels], LABELS)
    assert [subject.data.groups["sex"].levels[code] for code in subject.data.groups["sex"].codes] == SEX.tolist()


NETWORK = 'kind = ""  # to be filled in: "cnn" or "resnet"'
CNN = {NETWORK: 'kind = "cnn"  #', "outputs = 1": "size = [6, 8]\nchannels = [4]\noutputs = 1"}
RECURRENT = {
    'kind = ""  # to be filled in: "recurrent"': 'kind = "recurrent"  #',
    "outputs = 1": "hidden = 5\noutputs = 1",
}


@pytest.mark.parametrize(("shape", "last"), [((6, 8), False), ((3, 6, 8), False), ((6, 8, 3), True)])
def test_images_of_an_archive(shape: tuple[int, ...], last: bool, tmp_path: Path) -> None:  # noqa: FBT001
    pixels = RNG.integers(0, 256, (ROWS, *shape), dtype=np.uint8)
    np.savez(tmp_path / "test.npz", images=pixels, **SIDES)
    rows = pixels[:, None] if len(shape) == 2 else np.moveaxis(pixels, -1, 1) if last else pixels
    module = saved(tmp_path, "cnn", inputs=rows.shape[1], outputs=1, size=(6, 8), channels=(4,))
    drafted(tmp_path, "test.npz", CNN)
    given = read_card(tmp_path / "model.toml").input
    assert given == ImageInput("image", (6, 8), rows.shape[1], patches=4)
    agrees(tmp_path, module, (rows / 255).astype(np.float32))


def test_a_folder_of_images_has_the_size_and_colour_of_most(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    pixels = RNG.integers(0, 256, (ROWS, 6, 8), dtype=np.uint8)
    for place, image in enumerate(pixels):
        Image.fromarray(image[:3] if place == 7 else image).save(tmp_path / "test" / f"{place}.png")
    frame = pd.DataFrame({"file": [f"{place}.png" for place in range(ROWS)], **SIDES})
    frame.to_csv(tmp_path / "test" / "labels.csv", index=False)
    module = saved(tmp_path, "cnn", inputs=1, outputs=1, size=(6, 8), channels=(4,))
    drafted(tmp_path, "test", CNN)
    assert read_card(tmp_path / "model.toml").input == ImageInput("image", (6, 8), 1, patches=4)
    pixels[7] = np.asarray(Image.fromarray(pixels[7, :3]).resize((8, 6), Image.Resampling.BILINEAR))
    agrees(tmp_path, module, (pixels[:, None] / 255).astype(np.float32))
    Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8)).save(tmp_path / "test" / "9.png")
    assert "channels = 3" in drafted(tmp_path, "test")


def series(steps: int = 5) -> np.ndarray:
    values = RNG.normal(size=(ROWS, steps, 2))
    values[::3, 3:] = np.nan
    return values


def test_sequences_of_an_archive_have_as_many_steps_as_the_longest(tmp_path: Path) -> None:
    values = series()
    np.savez(tmp_path / "test.npz", values=values, **SIDES)
    np.savez(tmp_path / "train.npz", values=series(9), **SIDES)
    module = saved(tmp_path, "recurrent", inputs=2, outputs=1, hidden=5)
    drafted(tmp_path, "test.npz", RECURRENT, reference=tmp_path / "train.npz")
    card = read_card(tmp_path / "model.toml")
    assert card.input == SequenceInput("sequence", ("feature 1", "feature 2"), 9, segments=4)
    agrees(tmp_path, module, np.pad(values, ((0, 0), (0, 4), (0, 0)), constant_values=np.nan).astype(np.float32))


def long_table(values: np.ndarray) -> pd.DataFrame:
    """One row a step, in no order of steps, with a column of text that is no feature."""
    row, step = np.nonzero(~np.isnan(values[..., 0]))
    frame = pd.DataFrame({"id": [f"p{each}" for each in row], "note": "x", "step": step, "load": values[row, step, 0]})
    frame = frame.assign(heat=values[row, step, 1], y=LABELS[row], sex=SEX[row], place=row)
    return frame.sort_values("step", ascending=False).sort_values("place", kind="stable").drop(columns="place")


@pytest.mark.parametrize("name", ["test.parquet", "test.csv"])
def test_a_long_table_of_sequences(name: str, tmp_path: Path) -> None:
    values, path = series(), tmp_path / name
    frame = long_table(values)
    frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
    module = saved(tmp_path, "recurrent", inputs=2, outputs=1, hidden=5)
    drafted(tmp_path, name, RECURRENT)
    assert read_card(tmp_path / "model.toml").input == SequenceInput("sequence", ("load", "heat"), 5, segments=4)
    agrees(tmp_path, module, values.astype(np.float32))


@pytest.mark.parametrize("change", ["each id once", "labels change within an id"])
def test_a_table_with_id_and_step_need_not_be_long(change: str, tmp_path: Path) -> None:
    frame = long_table(series())
    if change == "each id once":
        frame["id"] = np.arange(len(frame))
    else:
        frame["y"] = np.where(np.arange(len(frame)) % 2, "no", "yes")
    frame.to_csv(tmp_path / "test.csv", index=False)
    saved(tmp_path, "mlp", inputs=4, outputs=1, hidden=(3,))
    drafted(tmp_path, "test.csv")
    card = read_card(tmp_path / "model.toml")
    assert card.input is None
    assert {"load", "heat"} <= {column.name for column in card.columns}


def texts(folder: Path, **more: Any) -> np.ndarray:
    """A table of texts of five known words, as token numbers with two places of padding."""
    tokens = RNG.integers(3, 20, (ROWS, 5))
    said = [" ".join(WORDS[token].upper() for token in row) for row in tokens]
    pd.DataFrame({"said": said, **SIDES, **more}).to_csv(folder / "test.csv", index=False)
    return np.pad(tokens, ((0, 0), (0, 2)))


TRANSFORMER = {"outputs = 1": "width = 8\nheads = 2\nlayers = 1\nfeedforward = 8\nlength = 7\noutputs = 1"}
SIZES = {"vocabulary": 20, "outputs": 1, "width": 8, "heads": 2, "layers": 1, "feedforward": 8, "length": 7}


def test_texts_with_a_vocabulary_beside_the_model(tmp_path: Path) -> None:
    rows, module = texts(tmp_path, stars=np.arange(ROWS) % 5), saved(tmp_path, "transformer", **SIZES)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    drafted(tmp_path, "test.csv", TRANSFORMER)
    assert read_card(tmp_path / "model.toml").input == TextInput("text", "vocab.txt", "said", length=7)
    agrees(tmp_path, module, rows)


def test_a_vocabulary_that_is_not_there_is_filled_in_and_then_all_is_well(tmp_path: Path) -> None:
    rows, module = texts(tmp_path), saved(tmp_path, "transformer", **SIZES)
    drafted(tmp_path, "test.csv", TRANSFORMER)
    with pytest.raises(InputError, match=r"input\.vocabulary is empty; name a file beside the card"):
        from_files(tmp_path / "model.pt", Choices())
    (tmp_path / "mine").write_text("\n".join(WORDS))
    drafted(tmp_path, "test.csv", TRANSFORMER | {'vocabulary = ""  # to be filled in': 'vocabulary = "mine"  #'})
    agrees(tmp_path, module, rows)


def test_a_folder_of_transformers_brings_its_tokenizer(tmp_path: Path) -> None:
    texts(tmp_path, stars=np.arange(ROWS) % 5)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text('{"model": {}}')
    text = draft(tmp_path / "model", tmp_path / "test.csv", target="y", sensitive=("sex",))
    (tmp_path / "model.toml").write_text(text)
    card = read_card(tmp_path / "model.toml")
    assert card.input == TextInput("text", "model/tokenizer.json", "said")
    assert card.network is None
    assert "to be filled in" not in text


def test_marks_of_another_name_are_found_and_missing_ones_asked_for(tmp_path: Path) -> None:
    texts(tmp_path)
    saved(tmp_path, "transformer", **SIZES)
    (tmp_path / "words.txt").write_text("\n".join(["<pad>", "<unk>", "w_", *WORDS[3:]]))
    text = drafted(tmp_path, "test.csv")
    assert 'pad = "<pad>"  # guess' in text
    assert 'unknown = "<unk>"  # guess' in text
    assert 'mask = ""  # to be filled in' in text


@pytest.mark.parametrize("reader", ["a perceptron", "no vocabulary"])
def test_prose_among_columns_that_a_model_takes_makes_no_text_model(reader: str, tmp_path: Path) -> None:
    texts(tmp_path, stars=np.arange(ROWS) % 5)
    if reader == "a perceptron":
        saved(tmp_path, "mlp", inputs=1, outputs=1, hidden=(3,))
        (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    else:
        (tmp_path / "model.pt").write_bytes(b"another format")
    drafted(tmp_path, "test.csv")
    card = read_card(tmp_path / "model.toml")
    assert card.input is None
    assert "stars" in {column.name for column in card.columns}


def test_every_line_of_an_input_is_marked(tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", values=series(), **SIDES)
    saved(tmp_path, "recurrent", inputs=2, outputs=1, hidden=5)
    lines = drafted(tmp_path, "test.npz").partition("[input]")[2].splitlines()
    keys = [line for line in lines if " = " in line and not line.startswith("#")]
    assert len(keys) == 4
    assert all("# guess: " in line for line in keys)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"pixels": np.zeros((ROWS, 4, 4))}, "holds neither an array 'images' nor an array 'values'"),
        ({"images": np.zeros((ROWS, 4, 4, 7))}, "shape 40 × 4 × 4 × 7; expected .* with 1 or 3 channels"),
        ({"values": np.zeros((ROWS, 4))}, "shape 40 × 4; expected rows × steps × features"),
        ({"images": np.zeros((ROWS, 4, 4)), "y": LABELS}, "no column 'sex', named by --sensitive"),
        ({"images": np.zeros((ROWS, 0, 4))} | SIDES, "holds no images"),
        ({"values": np.zeros((ROWS, 0, 4))} | SIDES, "holds no rows"),
    ],
)
def test_an_archive_of_anything_else_is_refused(arrays: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", **arrays)
    saved(tmp_path, "mlp", inputs=1, outputs=1, hidden=(3,))
    with pytest.raises(InputError, match=said):
        drafted(tmp_path, "test.npz")


def test_a_folder_without_labels_and_a_reference_of_another_kind_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "mlp", inputs=1, outputs=1, hidden=(3,))
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match=r"holds no labels\.csv"):
        drafted(tmp_path, "test")
    np.savez(tmp_path / "test.npz", images=np.zeros((ROWS, 4, 4)), **SIDES)
    texts(tmp_path)
    with pytest.raises(InputError, match=r"test\.csv: holds a table; expected images as in"):
        drafted(tmp_path, "test.npz", reference=tmp_path / "test.csv")


def test_a_regression_on_sequences_is_drafted_too(tmp_path: Path) -> None:
    values = series()
    np.savez(tmp_path / "test.npz", values=values, y=RNG.normal(size=ROWS), sex=SEX)
    saved(tmp_path, "recurrent", inputs=2, outputs=1, hidden=5)
    drafted(tmp_path, "test.npz", RECURRENT)
    card = read_card(tmp_path / "model.toml")
    assert card.task == "regression"
    assert load(tmp_path / "test.npz", card).rows == ROWS


def test_a_guess_that_leads_to_chance_is_doubted_in_the_words_of_its_kind(tmp_path: Path) -> None:
    texts(tmp_path)
    saved(tmp_path, "transformer", **SIZES)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    drafted(tmp_path, "test.csv", TRANSFORMER)
    assert "tried on the 40 test rows" in rehearse(tmp_path / "model.pt")
    assert "check positive, the order of the vocabulary" in rehearse(tmp_path / "model.pt")


def test_photographs_larger_than_a_card_allows_leave_their_size_to_be_filled_in(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "test.npz", images=np.zeros((4, 1100, 6), dtype=np.uint8), y=LABELS[:4], sex=SEX[:4])
    saved(tmp_path, "mlp", inputs=1, outputs=1, hidden=(3,))
    text = drafted(tmp_path, "test.npz")
    assert "size = [224, 224]  # to be filled in: " in text
    assert "1100 × 6" in text
    assert read_card(tmp_path / "model.toml").input is not None


@pytest.mark.parametrize("damaged", [False, True])
def test_a_workbook_is_no_archive_of_arrays(damaged: bool, tmp_path: Path) -> None:  # noqa: FBT001
    with zipfile.ZipFile(tmp_path / "test.xlsx", "w") as workbook:
        workbook.writestr("xl/workbook.xml", "x" * 500)
    if damaged:
        (tmp_path / "test.xlsx").write_bytes((tmp_path / "test.xlsx").read_bytes()[:200])
    saved(tmp_path, "mlp", inputs=1, outputs=1, hidden=(3,))
    with pytest.raises(InputError, match="is a zip archive or an Excel workbook"):
        drafted(tmp_path, "test.xlsx")
