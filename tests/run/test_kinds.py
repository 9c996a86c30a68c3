"""Images, sequences and texts are audited as tables are, from memory and from files; numbers are the model's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import rai
from rai.card import Network
from rai.networks import build
from rai.policy import read_policy
from rai.run import Plan, Step, audit_files

ROWS = 200
RNG = np.random.default_rng(8)
LABELS = RNG.integers(0, 2, ROWS)
SEX = RNG.choice(["f", "m"], ROWS)
SECTIONS = ("performance", "calibration", "fairness", "data")


class Mean(nn.Module):
    """Answers with the mean of the numbers there are, as a logit."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        flat = rows.flatten(1)
        return torch.nanmean(flat, dim=1, keepdim=True) * 8


class Words(nn.Module):
    """Answers with the mean of a number for each word, as a logit; takes whole numbers only."""

    def __init__(self) -> None:
        super().__init__()
        self.worth = nn.Embedding.from_pretrained(torch.linspace(-3, 3, 30)[:, None])

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.worth(rows).mean(dim=1)


def inputs(kind: str) -> np.ndarray:
    """Rows that tell something of the labels."""
    rng = np.random.default_rng(9)
    if kind == "text":
        return np.clip(rng.integers(1, 30, (ROWS, 6)) + 3 * LABELS[:, None], 1, 29)
    shape = {"table": (4,), "image": (2, 6, 6), "sequence": (7, 3)}[kind]
    made = rng.normal(size=(ROWS, *shape)) + 0.4 * (LABELS - 0.5).reshape(-1, *[1] * len(shape))
    if kind == "sequence":
        made[::3, 4:] = np.nan
    return made.astype(np.float32)


def value(report: rai.Report, name: str) -> float:
    frame = report.to_frame()
    return float(frame.loc[frame["measurement"] == name, "value"].iloc[0])


@pytest.mark.parametrize("kind", ["table", "image", "sequence", "text"])
@pytest.mark.parametrize("take", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_a_module_in_memory_is_audited_on_every_kind(kind: str, take: Callable[..., Any]) -> None:
    rows, model = inputs(kind), Words() if kind == "text" else Mean()
    options = {"kind": "text"} if kind == "text" else {}
    report = rai.audit(
        model,
        take(rows),
        LABELS,
        sensitive_features={"sex": SEX},
        reference=(rows[:50], LABELS[:50]),
        head="logit",
        **options,
    )
    with torch.inference_mode():
        decided = (model(torch.tensor(rows))[:, 0] >= 0).numpy()
    assert value(report, "accuracy") == pytest.approx(np.mean(decided == LABELS))
    assert value(report, "overlap_share") == pytest.approx(50 / ROWS)
    problems = {each.name: each.problem for each in report.record.sections if each.name in SECTIONS}
    assert problems == dict.fromkeys(SECTIONS, "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "sound"}, "kind: is a str; expected table, image, sequence or text"),
        ({"vocabulary": "words"}, "vocabulary: is a str; expected a list of token names"),
        ({"kind": "image"}, "in memory: has shape 200 × 6; expected numbers of shape rows × channels × height × width"),
        ({"kind": "text", "vocabulary": ["a"]}, "the data holds the token number 29"),
        ({"kind": "text", "reference": (inputs("text") + 50, LABELS)}, "reference: the data holds the token number"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(rai.InputError, match=said):
        rai.audit(Words(), inputs("text"), LABELS, **options)


def saved(folder: Path, kind: str, arguments: dict[str, Any], card: str) -> nn.Module:
    """A model file with fresh weights and its card."""
    torch.manual_seed(0)
    module = build(Network(kind, arguments)).eval()
    torch.save(module.state_dict(), folder / "model.pt")
    lines = [f"{key} = {list(each) if isinstance(each, tuple) else each!r}" for key, each in arguments.items()]
    head = [
        'task = "binary"',
        'classes = ["0", "1"]',
        'head = "logit"',
        f'network.kind = "{kind}"',
        "[network.arguments]",
    ]
    (folder / "model.toml").write_text("\n".join([*head, *lines, card]))
    return module


def audited(folder: Path) -> rai.Report:
    plan = Plan(read_policy("default"), only=SECTIONS)
    return audit_files(folder / "model.pt", rai.intake.Choices(), plan)


def agrees(report: rai.Report, module: nn.Module, rows: np.ndarray) -> bool:
    with torch.inference_mode():
        decided = (module(torch.tensor(rows))[:, 0] >= 0).numpy()
    problems = [each.problem for each in report.record.sections if each.problem]
    return value(report, "accuracy") == pytest.approx(np.mean(decided == LABELS)) and not problems


def test_a_folder_of_images_is_audited_through_its_card(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (ROWS, 8, 8, 3), dtype=np.uint8)
    (tmp_path / "test").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "test" / f"{place}.png")
    lines = [f"{place}.png,{label},{sex}" for place, (label, sex) in enumerate(zip(LABELS, SEX, strict=True))]
    (tmp_path / "test" / "labels.csv").write_text("\n".join(["file,y,sex", *lines]))
    card = """
        [data]
        test = "test"
        target = "y"
        sensitive = ["sex"]
        [input]
        kind = "image"
        size = [8, 8]
        channels = 3
        mean = [0.5, 0.4, 0.3]
        scale = [0.2, 0.2, 0.2]
    """
    module = saved(tmp_path, "cnn", {"inputs": 3, "outputs": 1, "size": (8, 8), "channels": (4,)}, card)
    rows = (np.moveaxis(pixels, -1, 1) / 255 - np.array([0.5, 0.4, 0.3])[:, None, None]) / 0.2
    assert agrees(audited(tmp_path), module, rows.astype(np.float32))


def test_sequences_are_audited_through_their_card(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(ROWS, 6, 2))
    values[::4, 3:] = np.nan
    np.savez(tmp_path / "test.npz", values=values, y=LABELS, sex=SEX)
    card = """
        [data]
        test = "test.npz"
        target = "y"
        sensitive = ["sex"]
        [input]
        kind = "sequence"
        features = ["load", "heat"]
        steps = 6
        scale = [2.0, 0.5]
    """
    module = saved(tmp_path, "recurrent", {"inputs": 2, "outputs": 1, "hidden": 5}, card)
    assert agrees(audited(tmp_path), module, (values / [2.0, 0.5]).astype(np.float32))


def test_texts_are_audited_through_their_card_and_its_vocabulary(tmp_path: Path) -> None:
    tokens = np.random.default_rng(2).integers(3, 20, (ROWS, 5))
    (tmp_path / "words.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[MASK]", *(f"w{place}" for place in range(3, 20))])
    )
    lines = [
        f"{' '.join(f'W{token}' for token in row)},{label},{sex}"
        for row, label, sex in zip(tokens, LABELS, SEX, strict=True)
    ]
    (tmp_path / "test.csv").write_text("\n".join(["text,y,sex", *lines]))
    card = """
        [data]
        test = "test.csv"
        target = "y"
        sensitive = ["sex"]
        [input]
        kind = "text"
        vocabulary = "words.txt"
        length = 7
    """
    arguments = {"vocabulary": 20, "outputs": 1, "width": 8, "heads": 2, "layers": 1, "feedforward": 8, "length": 7}
    module = saved(tmp_path, "transformer", arguments, card)
    assert agrees(audited(tmp_path), module, np.pad(tokens, ((0, 0), (0, 2))))


@pytest.mark.parametrize("change", ["the words", "their order", "the tokenizer"])
def test_a_journal_of_another_vocabulary_is_not_used(change: str, tmp_path: Path) -> None:
    """The card names the same file throughout; what stands in it changes between two runs."""
    words = ["[PAD]", "[UNK]", "[MASK]", *"abcdefghij"]
    rows = np.random.default_rng(3).integers(3, 13, (ROWS, 5))
    lines = [f"{' '.join(words[token] for token in row)},{label}" for row, label in zip(rows, LABELS, strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["text,y", *lines]))
    card = """
        [data]
        test = "test.csv"
        target = "y"
        [input]
        kind = "text"
        vocabulary = "words.txt"
        length = 5
    """
    arguments = {"vocabulary": 13, "outputs": 1, "width": 8, "heads": 2, "layers": 1, "feedforward": 8, "length": 5}
    saved(tmp_path, "transformer", arguments, card)
    other = {"the words": [*words[:3], *"abcdexyzwv"], "their order": [*words[:3], *reversed(words[3:])]}
    keys = []
    for content in (words, other.get(change)):
        (tmp_path / "words.txt").write_text("\n".join(content) if content else tokenizer(words))
        keys.append(key(tmp_path))
    (tmp_path / "words.txt").write_text("\n".join(words))
    assert keys[0] != keys[1]
    assert key(tmp_path) == keys[0]


def key(folder: Path) -> str:
    """The key under which finished sections of this folder's model are kept."""

    def watch(step: Step) -> None:
        if step.seconds is not None:
            raise KeyboardInterrupt

    plan = Plan(read_policy("default"), only=("performance",), journal=folder / "journal", watch=watch)
    with pytest.raises(KeyboardInterrupt):
        audit_files(folder / "model.pt", rai.intake.Choices(), plan)
    (kept,) = (folder / "journal").glob("*.json")
    kept.unlink()
    return kept.name


def tokenizer(words: list[str]) -> str:
    """A tokenizer of the same tokens that reads each a as b."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token=words[1]))
    made.normalizer = normalizers.Replace("a", "b")
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(made.to_str())
