"""A private recipe that promises something to groups of rows: one group moves the weights by so much, and no more."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from rai.card import Network, read_card
from rai.errors import InputError
from rai.ledger import read_ledger
from rai.train.on_disk import fresh
from rai.training import read_recipe, train
from rai.training.workshop import workshop

LIMIT, EXPECTED = 0.5, 10.0
RECIPE = f"""\
positive = "yes"
classes = ["no", "yes"]
[[columns]]
name = "dose"
kind = "number"
mean = 50.0
scale = 10.0
[[columns]]
name = "age"
kind = "number"
mean = 15.0
scale = 9.0
[data]
train = "visits.csv"
test = "others.csv"
target = "healed"
[network]
arguments = {{ hidden = [4] }}
[fit]
optimizer = "sgd"
momentum = 0.0
learning_rate = 1.0
[private]
unit = "group:patient"
noise_multiplier = 1.0
delta = 1e-3
sample_rate = 1.0
steps = 1
max_grad_norm = {LIMIT}
expected_batch = {EXPECTED}
"""


def visits(patients: int, seed: int = 0) -> pd.DataFrame:
    """One to nine rows for each patient: more patients than an audit would compare as groups."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"p{i}" for i in range(patients)], rng.integers(1, 10, patients))
    dose = rng.normal(50, 10, len(names)).round(2)
    age = rng.integers(0, 30, len(names))
    healed = np.where(rng.random(len(names)) < 1 / (1 + np.exp((50 - dose) / 3)), "yes", "no")
    return pd.DataFrame({"patient": names, "dose": dose, "age": age, "healed": healed}).sample(
        frac=1, random_state=seed
    )


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of one step in which every patient takes part, beside the visits of 70 patients."""
    visits(70).to_csv(tmp_path / "visits.csv", index=False)
    visits(20, seed=1).drop(columns="patient").to_csv(tmp_path / "others.csv", index=False)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rai.train.private.training.own_noise", lambda _: 0.0)


def weights(model: Path) -> Tensor:
    return torch.cat([each.ravel() for each in torch.load(model, weights_only=True).values()])


def gradient(module: nn.Module, rows: pd.DataFrame) -> Tensor:
    """The gradient of the sum of some rows' losses, straight from the file."""
    inputs = torch.tensor(np.stack([(rows["dose"] - 50) / 10, (rows["age"] - 15) / 9], axis=1), dtype=torch.float32)
    targets = torch.tensor((rows["healed"] == "yes").to_numpy(), dtype=torch.float32)
    module.zero_grad()
    binary_cross_entropy_with_logits(module(inputs)[:, 0], targets, reduction="sum").backward()
    return torch.cat([each.grad.ravel() for each in module.parameters() if each.grad is not None])


def with_one_more(recipe: Path) -> Path:
    """The same rows and one patient more, of 300 visits that are like nobody else's."""
    frame = pd.read_csv(recipe.parent / "visits.csv")
    more = pd.DataFrame({"patient": "new", "dose": 90.0, "age": 60, "healed": ["no"] * 300})
    pd.concat([frame, more]).to_csv(recipe.parent / "visits.csv", index=False)
    return recipe


@pytest.mark.usefixtures("without_noise")
def test_a_step_is_the_sum_of_the_groups_clipped_gradients(recipe: Path) -> None:
    """Against a slow loop over the patients of the file, with weights as the seed draws them."""
    made = train(recipe)
    module = fresh(Network("mlp", {"inputs": 2, "outputs": 1, "hidden": (4,)}), 0)
    before = torch.cat([each.detach().ravel() for each in module.parameters()])
    frame = pd.read_csv(recipe.parent / "visits.csv")
    found = [gradient(module, rows) for _, rows in frame.groupby("patient")]
    norms = [float(each.norm()) for each in found]
    assert min(norms) < LIMIT < max(norms)
    total = sum(each * min(1.0, LIMIT / norm) for each, norm in zip(found, norms, strict=True))
    torch.testing.assert_close(before - weights(made.model), total / EXPECTED, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize(("unit", "least", "most"), [("group:patient", 0.99, 1.001), ("record", 50.0, 300.1)])
def test_a_group_more_moves_a_step_by_the_limit_and_no_further(
    recipe: Path, unit: str, least: float, most: float
) -> None:
    """Where each visit is protected for itself, the same patient moves it as often as there are visits."""
    recipe.write_text(RECIPE.replace("group:patient", unit))
    whole = weights(train(recipe, out=recipe.parent / "a").model)
    moved = (weights(train(with_one_more(recipe), out=recipe.parent / "b").model) - whole).norm()
    assert least < float(moved) * EXPECTED / LIMIT < most


def test_the_ledger_states_the_unit_and_the_column_is_neither_input_nor_sensitive(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("steps = 1", "steps = 5").replace("sample_rate = 1.0", "sample_rate = 0.2"))
    made = train(recipe)
    privacy = read_ledger(made.ledger).privacy
    assert privacy is not None
    assert (privacy.unit, privacy.gradients, privacy.steps) == ("group:patient", "group by group", 5)
    assert any("for each group of rows with one value of patient" in each for each in made.summary)
    assert read_card(made.card).data.sensitive == ()


COLUMNS = RECIPE[RECIPE.index("[[columns]]") : RECIPE.index("[data]")]


def test_what_tells_the_groups_apart_is_no_input_where_columns_are_chosen(recipe: Path) -> None:
    """Two patients of many visits would make a column like any other."""
    for name in ("visits.csv", "others.csv"):
        frame = visits(70)
        frame["patient"] = frame["patient"].str.len().map({2: "a", 3: "b"})
        frame.to_csv(recipe.parent / name, index=False)
    recipe.write_text(RECIPE.replace(COLUMNS, "").replace("[data]", "[data]\npublic_columns = true"))
    with workshop(read_recipe(recipe), recipe, recipe.parent / "out") as ready:
        assert [each.name for each in ready.card.columns] == ["dose", "age"]
        assert ready.data.groups["patient"].levels == ("a", "b")


def test_a_search_compares_sensitive_groups_only(recipe: Path) -> None:
    """Groups that are protected are not compared, and do not decide which rows are held back."""
    search = '[search]\nmethod = "grid"\nspace = { "private.max_grad_norm" = [0.1, 0.5] }\n'
    recipe.write_text(RECIPE + search)
    runs = read_ledger(train(recipe).ledger).runs
    assert [set(run.results) for run in runs] == [{"quality", "energy"}] * 2
    recipe.write_text(RECIPE + search + 'objectives = ["quality", "group_gap"]\n')
    with pytest.raises(InputError, match="name sensitive columns"):
        train(recipe, out=recipe.parent / "gap")


@pytest.mark.parametrize("kind", ["image", "sequence", "text"])
def test_rows_of_every_kind_have_groups(every_kind: dict[str, Path], kind: str) -> None:
    """In the order of the rows: the groups are those that the same column would be as a sensitive one."""
    path = every_kind[kind]
    private = RECIPE[RECIPE.index("[private]") :].replace("group:patient", "group:site")
    plain = path.read_text().replace("[data]", "[data]\npublic_columns = true")
    found = []
    for text in (plain, plain.replace('sensitive = ["site"]\n', "")):
        path.write_text(text + private)
        with workshop(read_recipe(path), path, path.parent / "out") as ready:
            found.append(ready.data.groups["site"])
            named = ready.card.data.sensitive
    assert named == ()
    assert found[0].levels == found[1].levels == ("A", "B")
    np.testing.assert_array_equal(found[0].codes, found[1].codes)


WRONG = {
    "no such column": (lambda frame: frame, "group:patent", "no column 'patent', named by private.unit in the recipe"),
    "no name": (lambda frame: frame, "group:", "no column '', named by private.unit in the recipe"),
    "no unit": (lambda frame: frame, "patient", "private.unit: is 'patient'; expected \"record\""),
    "one group": (
        lambda frame: frame.assign(patient="p1"),
        "group:patient",
        "visits.csv: column 'patient', named by private.unit in the recipe, holds one group only; expected at least",
    ),
    "unknown": (
        lambda frame: frame.assign(patient=frame["patient"].where(frame.index > 3)),
        "group:patient",
        "private.unit: patient is unknown for some rows; leave such rows out",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_groups_that_cannot_be_protected_are_refused_in_one_line(recipe: Path, name: str) -> None:
    spoil, unit, words = WRONG[name]
    spoil(pd.read_csv(recipe.parent / "visits.csv")).to_csv(recipe.parent / "visits.csv", index=False)
    recipe.write_text(RECIPE.replace("group:patient", unit))
    with pytest.raises(InputError) as caught:
        train(recipe)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each.name for each in recipe.parent.iterdir()} == {"visits.csv", "others.csv", "recipe.toml"}
