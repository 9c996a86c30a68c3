"""A folder of images is split like other rows: two folders beside the model, and the owner's is left as it was."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import rai
from rai import cli, intake
from rai.card import read_card
from rai.errors import InputError
from rai.ledger import read_ledger
from rai.train.settings import Private
from rai.training import read_recipe, train
from rai.training.splitting import split

RECIPE = """\
name = "scans"
positive = "bright"
[data]
train = "scans"
target = "label"
sensitive = ["site"]
test_share = 0.3
[fit]
epochs = 6
batch_size = 16
learning_rate = 0.02
"""
PRIVATE = Private(0.1, 10, 1e-3, 10.0, epsilon=1.0)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe beside a folder of 60 small images, some of them in a folder within."""
    rng = np.random.default_rng(0)
    (tmp_path / "scans" / "more").mkdir(parents=True)
    rows = []
    for i in range(60):
        bright, site = i % 2 == 0, "AB"[i % 3 == 0]
        pixels = rng.integers(0, 60, (8, 8)).astype(np.uint8)
        pixels[2:6, 2:6] += 120 * bright
        name = f"more/{i}, one.png" if i % 5 == 0 else f"{i}.png"
        Image.fromarray(pixels).save(tmp_path / "scans" / name)
        rows.append({"file": f"./{name}", "label": "bright" if bright else "dark", "site": site})
    pd.DataFrame(rows).to_csv(tmp_path / "scans" / "labels.csv", index=False)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def contents(folder: Path) -> dict[str, bytes]:
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def labels(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "labels.csv")


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["rai", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.run()
    return int(ended.value.code or 0)


def test_train_on_a_folder_then_audit_needs_no_further_flag(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(recipe.parent / "scans")
    out = recipe.parent / "made"
    assert command(monkeypatch, "train", recipe, "--out", out, "-q") == 0
    files = read_card(out / "model.toml").data
    assert (files.test, files.reference) == ("rows_test", "rows_train")
    assert command(monkeypatch, "audit", out / "model.pt", "--out", out / "report", "-q") in (0, 1, 4)
    report = rai.Report.read(out / "report" / "report.json")
    assert not any(section.crashed for section in report.sections)
    subject = intake.from_files(out / "model.pt", intake.Choices()).subject
    assert (subject.data.kind, subject.data.rows) == ("image", 18)
    assert np.mean(subject.predicted == subject.data.labels) > 0.9
    assert subject.reference is not None
    assert read_ledger(out / "ledger.json").data.file == subject.reference.source.sha256
    assert contents(recipe.parent / "scans") == before


def test_every_image_is_in_one_part_and_label_and_group_are_shared_out_alike(recipe: Path) -> None:
    train(recipe)
    parts = [recipe.parent / name for name in ("rows_train", "rows_test")]
    whole = labels(recipe.parent / "scans")
    both = pd.concat([labels(each) for each in parts])
    assert sorted(both["file"]) == sorted(name.removeprefix("./") for name in whole["file"])
    for part in parts:
        assert set(contents(part)) == {"labels.csv", *labels(part)["file"]}
        for name in labels(part)["file"]:
            assert (part / name).samefile(recipe.parent / "scans" / name)
    strata = [Counter(zip(frame["label"], frame["site"], strict=True)) for frame in (whole, labels(parts[1]))]
    assert all(abs(strata[1][each] - 0.3 * count) < 1 for each, count in strata[0].items())


def test_training_again_takes_the_place_of_the_folders_and_not_of_the_owners_images(recipe: Path) -> None:
    before = contents(recipe.parent / "scans")
    kept = [set(labels(train(recipe, seed=seed).model.parent / "rows_test")["file"]) for seed in (1, 2)]
    assert kept[0] != kept[1]
    assert set(contents(recipe.parent / "rows_test")) == {"labels.csv", *kept[1]}
    assert contents(recipe.parent / "scans") == before
    assert not (recipe.parent / ".training").exists()


def test_where_a_file_can_have_no_second_name_it_is_copied(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", across)
    train(recipe)
    for name in labels(recipe.parent / "rows_test")["file"]:
        mine, owners = recipe.parent / "rows_test" / name, recipe.parent / "scans" / name
        assert not mine.samefile(owners)
        assert mine.read_bytes() == owners.read_bytes()


def test_an_image_called_like_the_list_does_not_let_the_owners_list_be_written_over(recipe: Path) -> None:
    """Its second name would be that of the part's own list, which is then written."""
    listed = recipe.parent / "scans" / "labels.csv"
    listed.write_text(listed.read_text().replace("./1.png", "labels.csv"))
    before = contents(recipe.parent / "scans")
    with pytest.raises(InputError, match="is no PNG or JPEG image"):
        train(recipe)
    assert contents(recipe.parent / "scans") == before


def test_a_folder_of_the_owners_is_not_taken_for_one_of_ours(recipe: Path) -> None:
    mine = recipe.parent / "rows_test"
    mine.mkdir()
    (mine / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="rows_test: is there already"):
        train(recipe)
    assert contents(mine) == {"note.txt": b"mine"}


def test_rows_are_not_written_over_by_a_part_of_themselves(folder: Path, recipe_with: Callable[..., Path]) -> None:
    """Not even where they are the part that an earlier training wrote."""
    train(folder / "recipe.toml")
    before = (folder / "rows_train.csv").read_bytes()
    with pytest.raises(InputError, match=r"rows_train\.csv: is there already"):
        train(recipe_with(**{"rows.csv": "rows_train.csv"}))
    assert (folder / "rows_train.csv").read_bytes() == before


def test_a_private_split_goes_by_image_and_labels_alone(recipe: Path, tmp_path: Path) -> None:
    """One image less, or another name, moves no other one; equal images stay together."""
    scans = recipe.parent / "scans"
    frame = labels(scans)
    (scans / "twin.png").write_bytes((scans / "1.png").read_bytes())
    twin = frame[frame["file"] == "./1.png"].assign(file="twin.png")
    kept = {}
    for name, rows in (("whole", pd.concat([frame, twin])), ("less", frame.drop(index=7))):
        rows.to_csv(scans / "labels.csv", index=False)
        (tmp_path / name).mkdir()
        found = split(replace(read_recipe(recipe), private=PRIVATE), recipe.parent, tmp_path / name)
        kept[name] = [set(labels(each)["file"]) for each in (found.training, found.test)]
    for whole, less in zip(kept["whole"], kept["less"], strict=True):
        assert less == whole - {"7.png", "twin.png"}
        assert ("1.png" in whole) == ("twin.png" in whole)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("./1.png", "nowhere.png", "no such image: 'nowhere.png'"),
        ("./1.png", "../recipe.toml", "lies outside the folder"),
        ("file,label", "file,answer", "labels.csv: has no column 'label'"),
        ("file,label", "name,label", "no column 'file'"),
    ],
)
def test_a_folder_that_cannot_be_split_is_one_line(recipe: Path, old: str, new: str, words: str) -> None:
    listed = recipe.parent / "scans" / "labels.csv"
    listed.write_text(listed.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        train(recipe)
    assert words in str(caught.value)
    assert {each.name for each in recipe.parent.iterdir()} == {"scans", "recipe.toml"}
