"""A recipe with a criterion: what it writes can be audited, says what was aimed at, and keeps what it promises."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from rai import intake
from rai.card import Network, read_card
from rai.data import raw
from rai.errors import InputError
from rai.ledger import Ledger, read_ledger
from rai.policy import read_policy
from rai.run import Plan, audit_files
from rai.subject import Subject
from rai.train.loop import Watch
from rai.training import making, train
from rai.training.carding import card_text
from rai.training.making import Made

Write = Callable[..., Path]
METHODS = ("adversarial", "gap_penalty", "threshold", "reductions", "reweighing")
GAP = "demographic_parity_difference"
PUT_TOGETHER = {"threshold": "adjusted", "reductions": "mixture"}


def unequal(folder: Path, rows: int = 600) -> pd.DataFrame:
    """The loans again: one sex has less income and more often one of the jobs, and fewer of it pay back."""
    rng = np.random.default_rng(3)
    sex = rng.choice(["f", "m"], rows)
    income = (rng.normal(50, 10, rows) - 12 * (sex == "f")).round(2)
    frame = pd.DataFrame({"income": income, "years": rng.integers(0, 30, rows), "sex": sex})
    frame["job"] = np.where(rng.random(rows) < np.where(sex == "f", 0.8, 0.2), "clerk", "cook")
    chance = 1 / (1 + np.exp(-((income - 46) / 3 + (frame["years"] - 15) / 5)))
    frame["repaid"] = np.where(rng.random(rows) < chance, "yes", "no")
    frame.to_csv(folder / "rows.csv", index=False)
    return frame


@pytest.fixture
def fair_with(folder: Path, recipe_with: Write) -> Write:
    """Write the usual recipe with a table [fair] at its end, for rows whose groups differ."""
    unequal(folder)
    large = {"epochs = 12": "epochs = 10", "batch_size = 32": "batch_size = 120"}

    def write(*lines: str, more: str = "", **changed: str) -> Path:
        text = recipe_with(**large).read_text()
        return recipe_with(text, more="\n".join(["[fair]", *lines, more]) + "\n", **changed)

    return write


def subject_of(model: Path) -> Subject:
    return intake.from_files(model, intake.Choices()).subject


def ledger_of(made: Made) -> Ledger:
    return read_ledger(made.ledger)


def gap(model: Path) -> float:
    """The difference of the shares that are said yes to."""
    subject = subject_of(model)
    rates = [subject.predicted[group.mask(i)].mean() for group in subject.data.groups.values() for i in range(2)]
    return float(max(rates) - min(rates))


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
    fair_with: Write, in_memory: dict[str, torch.nn.Module], method: str
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


def test_the_gap_of_the_test_rows_is_narrower_than_the_baselines(fair_with: Write, folder: Path) -> None:
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


def test_a_threshold_a_group_needs_the_attribute_and_the_card_says_so(fair_with: Write, folder: Path) -> None:
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


def test_the_score_of_a_row_moves_with_its_group_where_the_attribute_is_needed(fair_with: Write) -> None:
    subject = subject_of(train(fair_with('method = "threshold"', "attribute_at_predict = true")).model)
    other = np.array(subject.data.inputs)
    other[:, -2:] = 1 - other[:, -2:]
    moved = (subject.model.scores(other) - subject.scores)[:, 0]
    women = subject.data.groups["sex"].mask(0)
    assert (moved[women] < 0).all()
    assert (moved[~women] > 0).all()


def test_a_card_whose_columns_lack_what_is_needed_is_refused(fair_with: Write) -> None:
    made = train(fair_with('method = "threshold"', "attribute_at_predict = true"))
    columns = '[[columns]]\nname = "sex"'
    whole = made.card.read_text()
    made.card.write_text(whole[: whole.index(columns)])
    with pytest.raises(InputError, match="key needed_at_predict names 'sex', which is none of the columns") as caught:
        subject_of(made.model)
    assert "\n" not in str(caught.value)


UNTELLABLE = {
    "an input already": ({"[network]": "sensitive_inputs = true\n[network]"}, "is an input already"),
    "cut into bands": ({'["sex"]': '["years"]\nbands = { years = [15] }'}, "column 'years' is cut into bands"),
}


@pytest.mark.parametrize("name", UNTELLABLE)
def test_an_attribute_that_cannot_be_told_is_refused_before_training(
    fair_with: Write, folder: Path, name: str, stop_at: Callable[[int], Watch]
) -> None:
    changed, words = UNTELLABLE[name]
    path = fair_with('method = "threshold"', "attribute_at_predict = true", **changed)
    with pytest.raises(InputError, match=words):
        train(path, watch=stop_at(1))
    assert {each.name for each in folder.iterdir()} == {"rows.csv", "recipe.toml"}


def test_an_attribute_that_is_empty_somewhere_cannot_be_told(fair_with: Write, folder: Path) -> None:
    path = fair_with('method = "threshold"', "attribute_at_predict = true")
    frame = unequal(folder)
    frame.loc[7, "sex"] = None
    frame.to_csv(folder / "rows.csv", index=False)
    with pytest.raises(InputError, match="column 'sex' is empty in some rows"):
        train(path)


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


PRIVATE = """\
[private]
epsilon = 4.0
delta = 1e-3
sample_rate = 0.25
steps = 4
expected_batch = 80
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_promise_that_the_method_would_break_is_refused_in_one_line(fair_with: Write, method: str) -> None:
    path = fair_with(f'method = "{method}"', more=PRIVATE, **{"[network]": "public_columns = true\n[network]"})
    with pytest.raises(InputError, match=f"private: is given, and '{method}' cannot keep its promise") as caught:
        train(path)
    assert "\n" not in str(caught.value)


WRONG = {
    "no such method": ('method = "debias"', {}, "key fair.method is 'debias'; expected"),
    "no such criterion": ('criterion = "parity"', {}, "key fair.criterion is 'parity'; expected"),
    "no share": ('method = "threshold"\nstrength = 2.0', {}, "fair.strength: is 2.0 for 'threshold'; expected a share"),
    "no such column": ('sensitive = ["job"]', {}, "key fair.sensitive names 'job'; expected some of data.sensitive"),
    "nobody compared": ("", {'sensitive = ["sex"]\n': ""}, "key data.sensitive is empty, and [fair] compares groups"),
    "told for nothing": ("attribute_at_predict = true", {}, "fair.attribute_at_predict: is on, and the method is"),
    "another threshold": ("", {"[data]": "threshold = 0.3\n[data]"}, "key threshold is 0.3, and [fair] measures gaps"),
    "two strengths": ("strength = 0.5\nstrengths = [0.5]", {}, "key fair.strength is given beside fair.strengths"),
    "one of several": ('method = "threshold"\nstrengths = [0.5, 7]', {}, "fair.strength: is 7.0 for 'threshold'"),
    "no seed": ("seeds = 0", {}, "key fair.seeds is 0; expected a whole number from 1"),
    "told in trials": (
        'method = "threshold"\nattribute_at_predict = true\nseeds = 2',
        {},
        "key fair.attribute_at_predict is on beside fair.strengths or fair.seeds",
    ),
    "two searches": (
        'seeds = 2\n[search]\nspace = { "fit.epochs" = [1] }',
        {},
        "key search is given beside fair.strengths or fair.seeds; expected one of the two",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_word_is_refused_in_one_line(fair_with: Write, folder: Path, name: str) -> None:
    line, changed, words = WRONG[name]
    with pytest.raises(InputError) as caught:
        train(fair_with(line, **changed))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each.name for each in folder.iterdir()} == {"rows.csv", "recipe.toml"}


def test_strengths_are_tried_on_rows_held_back_and_the_best_is_trained(fair_with: Write) -> None:
    """Of the strengths, the only one whose gap is tolerated is kept, and every trial is told of."""
    made = train(fair_with('method = "threshold"', "strengths = [0.0, 1.0]", "seeds = 2", "tolerance = 0.2"))
    ledger = ledger_of(made)
    told = ledger.mitigation
    assert told is not None
    cells = [(each.method, each.strength, each.seed) for each in told.trials]
    tried = [("none", 0.0), ("threshold", 0.0), ("threshold", 1.0)]
    assert cells == [(*each, seed) for each in tried for seed in (0, 1)]
    gaps = {each: np.mean([t.values[GAP] for t in told.trials if (t.method, t.strength) == each]) for each in tried}
    assert gaps["threshold", 0.0] > 0.2 >= gaps["threshold", 1.0]
    assert told.strength == 1.0
    assert told.measured_on.startswith("training rows held back")
    assert [run.results[GAP] for run in ledger.runs] == [each.values[GAP] for each in told.trials]
    assert any("best of 2 on rows held back" in each for each in ledger.warnings)
    assert not any("no strength has a gap" in each for each in ledger.warnings)
    assert gap(made.model) < 0.25


def test_where_no_gap_is_small_enough_the_smallest_is_taken_and_that_is_said(fair_with: Write) -> None:
    made = train(fair_with('method = "threshold"', "strengths = [0.3, 0.0]", "seeds = 1", "tolerance = 0.001"))
    ledger = ledger_of(made)
    assert ledger.mitigation is not None
    assert ledger.mitigation.strength == 0.3
    assert any("no strength has a gap of at most 0.001" in each for each in ledger.warnings)


def test_the_trials_never_see_a_test_row(fair_with: Write, folder: Path) -> None:
    """With the labels of all test rows turned round, the trials and the model are the same."""
    first = fair_with('method = "gap_penalty"', "strengths = [0.3, 1.0]", "seeds = 1")
    made = train(first, out=folder / "first")
    whole = raw(folder / "first" / "rows_test.csv")
    whole["repaid"] = np.where(whole["repaid"] == "yes", "no", "yes")
    whole.to_csv(folder / "turned.csv", index=False)
    raw(folder / "first" / "rows_train.csv").to_csv(folder / "rows.csv", index=False)
    first.write_text(first.read_text().replace('"rows.csv"', '"rows.csv"\ntest = "turned.csv"'))
    again = train(first, out=folder / "again")
    one, other = (ledger_of(each).mitigation for each in (made, again))
    assert one is not None
    assert other is not None
    assert [each.values for each in one.trials] == [each.values for each in other.trials]
    ours, theirs = (torch.load(each.model, weights_only=True) for each in (made, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_seeds_alone_show_how_far_seeds_differ_and_choose_nothing(fair_with: Write) -> None:
    told = ledger_of(train(fair_with('method = "reweighing"', "strength = 0.5", "seeds = 2"))).mitigation
    assert told is not None
    assert told.strength == 0.5
    assert {(each.method, each.strength) for each in told.trials} == {("none", 0.0), ("reweighing", 0.5)}


def test_a_recipe_that_tries_strengths_cannot_go_on_from_a_checkpoint(
    fair_with: Write, stop_at: Callable[[int], Watch]
) -> None:
    path = fair_with('method = "gap_penalty"', "seeds = 1")
    with pytest.raises(KeyboardInterrupt):
        train(path, watch=stop_at(20))
    with pytest.raises(InputError, match=r"fair\.strengths or fair\.seeds cannot go on from a checkpoint") as caught:
        train(path, resume=True)
    assert "\n" not in str(caught.value)


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


ALONE = {
    "a whole batch": (
        'method = "gap_penalty"',
        "fair.method: is 'gap_penalty', which compares groups in a whole batch",
    ),
    "another whole batch": (
        'method = "adversarial"',
        "fair.method: is 'adversarial', which compares groups in a whole",
    ),
    "several trainings": ('method = "reweighing"\nseeds = 2', "fair.strengths: is not shared among processes"),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_several_processes_cannot_do_together_is_refused(
    fair_with: Write, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    line, words = ALONE[name]
    monkeypatch.setattr("rai.train.parallel.joined", lambda: nullcontext(SimpleNamespace(size=2, first=True)))
    with pytest.raises(InputError, match=f"{words}.*; start it without torchrun"):
        train(fair_with(line))


def test_a_baseline_of_somebody_elses_is_not_written_over(fair_with: Write, folder: Path) -> None:
    path = fair_with('method = "reweighing"')
    (folder / "baseline.pt").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"baseline\.pt: is there already, and the model before mitigation would"):
        train(path)
    assert (folder / "baseline.pt").read_bytes() == b"mine"
    (folder / "baseline.pt").unlink()
    for _ in range(2):
        train(path)


def test_a_search_finds_settings_under_the_criterion(fair_with: Write, folder: Path) -> None:
    search = '[search]\nmethod = "grid"\nspace = { "fit.learning_rate" = [1e-6, 0.02] }\n'
    made = train(fair_with('method = "gap_penalty"', more=search))
    ledger = ledger_of(made)
    assert ledger.mitigation is not None
    assert ledger.mitigation.trials == ()
    assert ledger.recipe["fit"]["learning_rate"] == 0.02
    assert gap(made.model) < gap(folder / "baseline.pt")


@pytest.mark.parametrize("levels", [(1, 2), (False, True)])
def test_levels_that_are_no_names_are_told_too(fair_with: Write, folder: Path, levels: tuple[object, object]) -> None:
    path = fair_with('method = "threshold"', "attribute_at_predict = true")
    frame = unequal(folder)
    frame["sex"] = frame["sex"].map({"f": levels[0], "m": levels[1]})
    frame.to_csv(folder / "rows.csv", index=False)
    made = train(path)
    assert read_card(made.card).columns[-1].categories == tuple(map(str, levels))
    assert gap(made.model) < gap(folder / "baseline.pt") / 2


def test_several_attributes_and_their_combinations(fair_with: Write, folder: Path) -> None:
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
