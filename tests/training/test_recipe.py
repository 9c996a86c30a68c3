"""What is wrong with a recipe is said in one line: the file, the key, what was expected."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rai.errors import InputError
from rai.training import train

ADDED = {
    "no such key": ("[fit]", "[fit]\nepoch = 3", "key fit.epoch is not a key rai knows"),
    "no such table": ("[fit]", "[fitting]\na = 1\n[fit]", "key fitting is not a key rai knows"),
    "wrong kind of value": ("epochs = 12", 'epochs = "many"', "key fit.epochs is 'many'; expected"),
    "senseless number": ("epochs = 12", "epochs = 0", "fit.epochs: is 0; expected a whole number from 1"),
    "unknown optimizer": ("epochs = 12", 'optimizer = "adamax"', "key fit.optimizer is 'adamax'; expected 'sgd'"),
    "missing key": ('target = "repaid"', "", "key data.target is missing"),
    "no such file": ('"rows.csv"', '"none.csv"', "none.csv: no such file"),
    "no such test file": ('target = "repaid"', 'target = "repaid"\ntest = "t.csv"', "t.csv: no such file"),
    "no such column": ('target = "repaid"', 'target = "paid"', "'paid'"),
    "no such sensitive column": ('["sex"]', '["gender"]', "no column 'gender', named by data.sensitive"),
    "no such class": (
        'positive = "yes"',
        'positive = "maybe"',
        "key positive is 'maybe'; expected one of the classes no",
    ),
    "target among the sensitive": ('["sex"]', '["repaid"]', "key data.target is 'repaid', which is also sensitive"),
    "bands of nothing": ("[network]", "bands = { age = [30] }\n[network]", "key data.bands.age cuts a column"),
    "whole share": ("[network]", "test_share = 1.0\n[network]", "key data.test_share is 1; expected a share"),
    "no such network": ("[network]", '[network]\nkind = "mpl"', "no architecture is named 'mpl'"),
    "no such argument": ("hidden = [8]", "hiden = [8]", "network.arguments.hiden: is not an argument of mlp"),
    "wrong inputs": ("hidden = [8]", "inputs = 7", "network.arguments.inputs: is 7; expected 4 as the data says"),
    "not TOML": ("[fit]", "[fit", "not valid TOML"),
    "no such country": ("[fit]", '[energy]\ncountry = "ZZZ"\n[fit]', "ZZZ"),
    "empty search": ("[fit]", "[search]\ntrials = 2\n[fit]", "key search.space is empty"),
    "search for a gap without groups": (
        'sensitive = ["sex"]',
        '[search]\nobjectives = ["group_gap"]\nspace = { "fit.epochs" = [1] }',
        "search.objectives: names group_gap; name sensitive columns",
    ),
    "nothing but two tasks": (
        'positive = "yes"',
        'task = "multiclass"',
        "the task is 'multiclass', and column 'repaid'",
    ),
    "rows of another kind": ("[network]", 'kind = "image"\n[network]', "holds rows of kind table; expected image"),
}
PRIVATE = "[private]\nepsilon = 3\ndelta = 1e-4\nsample_rate = 0.1\nsteps = 20\nexpected_batch = 32\n"
PROMISES = {
    "data not declared public": (PRIVATE, "key data.public_columns is not set"),
    "two ways to say it": (
        PRIVATE + "noise_multiplier = 1.0\n",
        "private.epsilon and noise_multiplier: are both given",
    ),
    "no chance": (PRIVATE.replace("1e-4", "2.0"), "private.delta: is 2.0; expected a chance"),
    "no public number": (PRIVATE.replace("steps = 20\n", ""), "key private.steps is missing"),
    "a way past the noise": (
        PRIVATE + '[fit]\nclass_weight = "balanced"\n',
        "fit.class_weight: is 'balanced'; leave it out",
    ),
}


@pytest.mark.parametrize("name", ADDED)
def test_a_wrong_recipe_is_refused_in_one_line(recipe_with: Callable[..., Path], folder: Path, name: str) -> None:
    old, new, words = ADDED[name]
    path = recipe_with(**{old: new})
    with pytest.raises(InputError) as caught:
        train(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each.name for each in folder.iterdir()} == {"rows.csv", "recipe.toml"}


@pytest.mark.parametrize("name", PROMISES)
def test_a_promise_that_cannot_be_kept_is_refused_in_one_line(recipe_with: Callable[..., Path], name: str) -> None:
    new, words = PROMISES[name]
    text = '[data]\ntrain = "rows.csv"\ntarget = "repaid"\n' + new
    with pytest.raises(InputError) as caught:
        train(recipe_with(text))
    assert words in str(caught.value)
    assert str(caught.value).count("recipe.toml") == 1


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.toml: no such file"):
        train(tmp_path / "nothing.toml")
