"""A recipe with a criterion: what it writes can be audited, and says what was aimed at."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rai import intake
from rai.card import Network, read_card
from rai.errors import InputError
from rai.ledger import Ledger
from rai.policy import read_policy
from rai.run import Plan, audit_files
from rai.subject import Subject
from rai.train.loop import Watch
from rai.training import making, train
from rai.training.carding import card_text
from rai.training.making import Made

Write = Callable[..., Path]
SubjectOf = Callable[[Path], Subject]
LedgerOf = Callable[[Made], Ledger]
Gap = Callable[[Path], float]
Rows = Callable[[Path], pd.DataFrame]
METHODS = ("adversarial", "gap_penalty", "threshold", "reductions", "reweighing")
PUT_TOGETHER = {"threshold": "adjusted", "reductions": "mixture"}


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.nn.Module]:
    """The module that training made, as it was before its file was written."""
    found: dict[str, torch.nn.Module] = {}
    fitted = making.fitted

    def keep(job: making.Job) -> object:
        trained = fitted(job)
        found["model"] = trained.model
        return trained

    monkeypatch.setattr(making, "fitted", keep)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_each_method_writes_a_model_that_says_the_same_from_its_file(
    subject_of: SubjectOf, ledger_of: LedgerOf, fair_with: Write, in_memory: dict[str, torch.nn.Module], method: str
) -> None:
    made = train(fair_with(f'method = "{method}"'))
    subject = subject_of(made.model)
    with torch.no_grad():
        own = in_memory["model"](torch.as_tensor(subject.data.inputs, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(subject.scores, own, atol=1e-7)
    card = read_card(made.card)
    assert card.network is not None
    assert (card.network.kind, card.baseline) == (PUT_TOGETHER.get(method, "mlp"), "baseline.pt")
    assert {each.name for each in card.columns} == {"income", "years", "job"}
    made.card.write_text(card_text(card))
    assert read_card(made.card) == card
    told = ledger_of(made).mitigation
    assert told is not None
    assert (told.criterion, told.method, told.sensitive) == ("demographic_parity", method, ("sex",))
    assert not told.needed_at_predict
    assert any(f"aimed at: demographic parity by sex, with {method.replace('_', ' ')}" in each for each in made.summary)


def test_the_gap_of_the_test_rows_is_narrower_than_the_baselines(gap: Gap, fair_with: Write, folder: Path) -> None:
    made = train(fair_with('method = "threshold"'))
    before, after = gap(folder / "baseline.pt"), gap(made.model)
    assert before > 0.3
    assert after < before / 2


def test_the_baseline_is_the_network_that_the_same_recipe_trains_without_a_criterion(
    fair_with: Write, folder: Path, tmp_path: Path
) -> None:
    recipe = fair_with('method = "gap_penalty"')
    train(recipe)
    recipe.write_text(recipe.read_text().split("[fair]")[0])
    plain = train(recipe, out=tmp_path / "plain")
    ours, other = (torch.load(each, weights_only=True) for each in (folder / "baseline.pt", plain.model))
    assert all(torch.equal(ours[name], other[name]) for name in other)
    assert read_card(folder / "baseline.toml") == read_card(plain.card)


def test_without_a_baseline_none_is_written_or_named(fair_with: Write, folder: Path) -> None:
    made = train(fair_with('method = "reweighing"', "baseline = false"))
    assert read_card(made.card).baseline is None
    assert not (folder / "baseline.pt").exists()


def test_a_network_of_networks_reads_back_equal(folder: Path, recipe_with: Write, tmp_path: Path) -> None:
    card = read_card(train(recipe_with()).card)
    base = Network("mlp", {"inputs": 4, "outputs": 1, "hidden": (8, 3)})
    parts = {"base": Network("mixture", {"count": 2}, {"member": base}), "groups": base}
    whole = replace(card, network=Network("adjusted", {"combinations": 2, "head": "logit"}, parts))
    (tmp_path / "deep.toml").write_text(card_text(whole))
    assert read_card(tmp_path / "deep.toml") == whole


def test_a_threshold_a_group_needs_the_attribute_and_the_card_says_so(
    ledger_of: LedgerOf, gap: Gap, fair_with: Write, folder: Path
) -> None:
    made = train(fair_with('method = "threshold"', "attribute_at_predict = true"))
    card = read_card(made.card)
    assert card.needed_at_predict == ("sex",)
    assert card.columns[-1].categories == ("f", "m")
    told = ledger_of(made).mitigation
    assert told is not None
    assert told.needed_at_predict == ("sex",)
    report = audit_files(made.model, intake.Choices(), Plan(read_policy("default"), ("mitigation", "performance")))
    assert not any(section.crashed or section.problem for section in report.sections)
    assert gap(made.model) < gap(folder / "baseline.pt") / 2


def test_the_score_of_a_row_moves_with_its_group_where_the_attribute_is_needed(
    subject_of: SubjectOf, fair_with: Write
) -> None:
    subject = subject_of(train(fair_with('method = "threshold"', "attribute_at_predict = true")).model)
    other = np.array(subject.data.inputs)
    other[:, -2:] = 1 - other[:, -2:]
    moved = (subject.model.scores(other) - subject.scores)[:, 0]
    women = subject.data.groups["sex"].mask(0)
    assert (moved[women] < 0).all()
    assert (moved[~women] > 0).all()


@pytest.mark.parametrize("kind", ["image", "sequence", "text"])
def test_other_kinds_of_rows_are_adjusted_without_the_attribute_and_never_with_it(
    every_kind: dict[str, Path], kind: str
) -> None:
    recipe = every_kind[kind]
    plain = recipe.read_text()
    recipe.write_text(plain + '[fair]\nmethod = "threshold"\nattribute_at_predict = true\n')
    with pytest.raises(InputError, match=f"is on, and each row is of kind {kind}"):
        train(recipe)
    recipe.write_text(plain.replace("epochs = ", "epochs = 1  # ") + '[fair]\nmethod = "threshold"\n')
    made = train(recipe)
    assert read_card(made.card).network.kind == "adjusted"  # type: ignore[union-attr]
    report = audit_files(made.model, intake.Choices(), Plan(read_policy("default"), ("mitigation",)))
    assert not any(section.crashed or section.problem for section in report.sections)


def test_it_begins_with_the_weights_of_another_training(fair_with: Write, folder: Path) -> None:
    """What is frozen stays as it was in the file, under the criterion and in the baseline."""
    drawn = torch.Generator().manual_seed(5)
    shapes = {"0.weight": (8, 4), "0.bias": (8,), "2.weight": (1, 8), "2.bias": (1,)}
    given = {name: torch.randn(shape, generator=drawn) for name, shape in shapes.items()}
    torch.save(given, folder / "other.pt")
    begun = {"{ hidden = [8] }": '{ hidden = [8] }\nweights = "other.pt"', "[fit]": '[fit]\nfreeze = ["0."]'}
    made = train(fair_with('method = "gap_penalty"', "strength = 3.0", **begun))
    ours, baseline = (torch.load(each, weights_only=True) for each in (made.model, folder / "baseline.pt"))
    for found in (ours, baseline):
        assert torch.equal(found["0.weight"], given["0.weight"])
    assert not torch.equal(ours["2.weight"], baseline["2.weight"])


def test_an_interrupted_training_goes_on_to_the_same_model(
    fair_with: Write, stop_at: Callable[[int], Watch], tmp_path: Path
) -> None:
    path = fair_with('method = "adversarial"')
    unbroken = train(path, out=tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        train(path, watch=stop_at(20))
    made = train(path, resume=True)
    ours, other = (torch.load(each.model, weights_only=True) for each in (made, unbroken))
    assert all(torch.equal(ours[name], other[name]) for name in other)


@pytest.mark.parametrize("levels", [(1, 2), (False, True)])
def test_levels_that_are_no_names_are_told_too(
    gap: Gap, unequal: Rows, fair_with: Write, folder: Path, levels: tuple[object, object]
) -> None:
    path = fair_with('method = "threshold"', "attribute_at_predict = true")
    frame = unequal(folder)
    frame["sex"] = frame["sex"].map({"f": levels[0], "m": levels[1]})
    frame.to_csv(folder / "rows.csv", index=False)
    made = train(path)
    assert read_card(made.card).columns[-1].categories == tuple(map(str, levels))
    assert gap(made.model) < gap(folder / "baseline.pt") / 2


def test_several_attributes_and_their_combinations(
    subject_of: SubjectOf, unequal: Rows, fair_with: Write, folder: Path
) -> None:
    path = fair_with(
        'method = "threshold"',
        "attribute_at_predict = true",
        "intersections = true",
        **{'["sex"]': '["sex", "town"]'},
    )
    frame = unequal(folder)
    frame["town"] = np.random.default_rng(1).choice(["A", "B"], len(frame))
    frame.to_csv(folder / "rows.csv", index=False)
    made = train(path)
    card = read_card(made.card)
    assert card.needed_at_predict == ("sex", "town")
    assert card.network is not None
    assert card.network.arguments["levels"] == (2, 2)
    assert subject_of(made.model).scores.shape[1] == 1
