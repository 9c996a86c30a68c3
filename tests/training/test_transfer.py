"""A training that begins with the weights of another: what is frozen stays, the head is new, and the file is named."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from rai.errors import InputError
from rai.files import sha256
from rai.ledger import read_ledger
from rai.train.loop import Watch
from rai.training import train

BEGUN = """\
name = "loans"
positive = "yes"
[data]
train = "rows.csv"
target = "repaid"
sensitive = ["sex"]
[network]
arguments = { hidden = [8] }
weights = "other.pt"
[fit]
epochs = 3
learning_rate = 0.02
"""
NAMED = 'weights = "other.pt"'
NEW_HEAD = BEGUN.replace(NAMED, f"{NAMED}\nreplace_head = true")
FREEZE = 'freeze = ["0."]\n'
PRIVATE = """\
[private]
noise_multiplier = 1.0
delta = 1e-3
sample_rate = 0.25
steps = 10
expected_batch = 80
"""


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(path, weights_only=True))


def written(folder: Path, outputs: int = 1, more: Mapping[str, torch.Tensor] = MappingProxyType({})) -> Path:
    """A file of weights, as a perceptron for the table's four inputs has them."""
    drawn = torch.Generator().manual_seed(5)
    shapes = {"0.weight": (8, 4), "0.bias": (8,), "2.weight": (outputs, 8), "2.bias": (outputs,)}
    named = {name: torch.randn(shape, generator=drawn) for name, shape in shapes.items()}
    torch.save({**named, **more}, folder / "other.pt")
    return folder / "other.pt"


def test_what_is_frozen_is_as_in_the_file_and_the_rest_began_there(
    folder: Path, recipe_with: Callable[..., Path]
) -> None:
    given = weights(written(folder))
    found = weights(train(recipe_with(BEGUN + FREEZE)).model)
    for name in ("0.weight", "0.bias"):
        assert torch.equal(found[name], given[name])
    moved = (found["2.weight"] - given["2.weight"]).abs()
    assert 0.01 < moved.max() < 0.5


def test_a_head_of_another_shape_is_left_in_the_file_and_a_new_one_learned(
    folder: Path, recipe_with: Callable[..., Path], tmp_path: Path
) -> None:
    """Without a step that counts, the new head is the one that the seed draws for a network that begins afresh."""
    given = weights(written(folder, outputs=3))
    still = NEW_HEAD.replace("learning_rate = 0.02", "learning_rate = 1e-12")
    found = weights(train(recipe_with(still + FREEZE)).model)
    afresh = still.replace(f"{NAMED}\nreplace_head = true\n", "")
    drawn = weights(train(recipe_with(afresh), out=tmp_path / "afresh").model)
    assert torch.equal(found["0.weight"], given["0.weight"])
    assert found["2.weight"].shape == (1, 8)
    torch.testing.assert_close(found["2.weight"], drawn["2.weight"])


def test_what_was_frozen_learns_later_where_asked(folder: Path, recipe_with: Callable[..., Path]) -> None:
    given = weights(written(folder))
    found = weights(train(recipe_with(NEW_HEAD + FREEZE + "unfreeze_after = 2\n")).model)
    assert not torch.equal(found["0.weight"], given["0.weight"])


def test_the_ledger_names_the_file_and_its_hash(folder: Path, recipe_with: Callable[..., Path]) -> None:
    file = written(folder)
    network = read_ledger(train(recipe_with(NEW_HEAD)).ledger).recipe["network"]
    assert (network["weights"], network["weights_sha256"]) == ("other.pt", sha256(file))
    assert network["replace_head"] is True


def test_a_private_training_says_that_the_first_weights_are_no_part_of_its_promise(
    folder: Path, recipe_with: Callable[..., Path]
) -> None:
    given = weights(written(folder))
    text = BEGUN.replace("[network]", "public_columns = true\n[network]") + FREEZE + PRIVATE
    made = train(recipe_with(text))
    promise = read_ledger(made.ledger).privacy
    assert promise is not None
    assert any("began from other.pt" in each for each in promise.waived)
    assert torch.equal(weights(made.model)["0.weight"], given["0.weight"])


REFUSED = {
    "no such file": ("other.pt", "none.pt", "none.pt: no such file"),
    "another shape": ("hidden = [8]", "hidden = [9]", "other.pt: tensor '0.weight' has shape (8, 4); expected (9, 4)"),
    "more layers": ("hidden = [8]", "hidden = [8, 8]", "tensor '2.weight' has shape (1, 8); expected (8, 8)"),
    "fewer layers": ("hidden = [8]", "hidden = []", "other.pt: tensor '0.weight' has shape (8, 4); expected (1, 4)"),
    "other names": ("hidden = [8]", 'hidden = [8], norm = "layer"', "has no tensor '1.weight'; expected shape (8,)"),
    "another file": ("[fit]", 'weights_sha256 = "00ff"\n[fit]', "expected 00ff, as the recipe says"),
    "drawn over": ("[fit]", '[fit]\ninitialization = "he"', "key fit.initialization would draw over the weights"),
    "a head of nothing": (NAMED, "replace_head = true", "key network.replace_head is set, and there are no weights"),
    "no file of weights": ("other.pt", "rows.csv", "rows.csv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_do_not_fit_are_refused_in_one_line(
    folder: Path, recipe_with: Callable[..., Path], name: str
) -> None:
    written(folder)
    old, new, words = REFUSED[name]
    recipe = recipe_with(BEGUN.replace('"rows.csv"', '"table.csv"').replace(old, new))
    (folder / "rows.csv").rename(folder / "table.csv")
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError) as caught:
        train(recipe)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each.name for each in folder.iterdir()} == {"rows.csv", "table.csv", "recipe.toml", "other.pt"}


def test_a_head_of_another_shape_is_refused_where_no_new_one_is_wanted(
    folder: Path, recipe_with: Callable[..., Path]
) -> None:
    written(folder, outputs=3)
    with pytest.raises(InputError, match=r"tensor '2.weight' has shape \(3, 8\); expected \(1, 8\)"):
        train(recipe_with(BEGUN))


def test_a_tensor_without_a_place_and_one_that_is_no_number_are_named(
    folder: Path, recipe_with: Callable[..., Path]
) -> None:
    written(folder, more={"extra": torch.zeros(2)})
    with pytest.raises(InputError, match="'extra' has no place"):
        train(recipe_with(NEW_HEAD))
    written(folder, more={"0.bias": torch.full((8,), torch.nan)})
    with pytest.raises(InputError, match="'0.bias' holds NaN"):
        train(recipe_with(NEW_HEAD))


def test_a_file_that_would_be_written_over_is_refused(folder: Path, recipe_with: Callable[..., Path]) -> None:
    first = train(recipe_with(BEGUN.replace(f"{NAMED}\n", "")))
    before = first.model.read_bytes()
    again = recipe_with(BEGUN.replace("other.pt", "model.pt"))
    with pytest.raises(InputError, match="would be written over; choose another folder with --out"):
        train(again)
    assert first.model.read_bytes() == before
    begun = train(again, out=folder / "begun")
    assert read_ledger(begun.ledger).recipe["network"]["weights_sha256"] == sha256(first.model)


def test_words_counted_anew_do_not_fit_weights_of_other_words(every_kind: dict[str, Path]) -> None:
    recipe = every_kind["text"]
    torch.save({"x": torch.zeros(1)}, recipe.parent / "other.pt")
    recipe.write_text(recipe.read_text().replace("[network]", f"[network]\n{NAMED}"))
    with pytest.raises(InputError, match="the vocabulary would be counted anew"):
        train(recipe)


def test_a_training_does_not_go_on_after_its_file_of_weights_was_changed(
    folder: Path, recipe_with: Callable[..., Path], stop_at: Callable[[int], Watch]
) -> None:
    written(folder)
    with pytest.raises(KeyboardInterrupt):
        train(recipe_with(BEGUN), watch=stop_at(5))
    written(folder, more={"2.bias": torch.zeros(1)})
    with pytest.raises(InputError, match="the file of the first weights was"):
        train(recipe_with(BEGUN), resume=True)
