"""A trained model is given a narrower gap: the curve, the files, the account, and everything that is refused."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from rai import intake
from rai.card import read_card
from rai.errors import InputError
from rai.files import ENDED, sha256
from rai.ledger import Ledger, Privacy, read_ledger, write_ledger
from rai.policy import read_policy
from rai.run import Plan, audit_files
from rai.subject import Subject
from rai.train.fair.afterwards import Aim
from rai.training import mitigating, train
from rai.training.mitigating import NOT_PRIVATE, Mitigated, mitigate

QUICK = Aim("demographic_parity", at_most=0.12, strengths=(0.5, 1.0), seeds=1)
CARD = """\
name = "loans"
task = "binary"
head = "logit"
classes = ["no", "yes"]
positive = "yes"
[network]
kind = "mlp"
arguments = { inputs = 3, outputs = 1, hidden = [] }
[data]
test = "rows/test.csv"
reference = "rows/train.csv"
target = "repaid"
sensitive = ["sex"]
[[columns]]
name = "income"
kind = "number"
[[columns]]
name = "job"
kind = "category"
categories = ["clerk", "cook"]
"""
FILES = {"model.pt", "model.toml", "model.ledger.json", "baseline.pt", "baseline.toml"}


def people(rows: int, seed: int) -> pd.DataFrame:
    """Income decides, one sex has less of it, and the job tells the sex of most."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], rows)
    income = (rng.normal(0, 1, rows) + 0.5 * (sex == "m") - 0.5 * (sex == "f")).round(3)
    job = np.where(rng.random(rows) < np.where(sex == "f", 0.95, 0.05), "clerk", "cook")
    repaid = np.where(rng.random(rows) < 1 / (1 + np.exp(-2 * income)), "yes", "no")
    return pd.DataFrame({"income": income, "job": job, "sex": sex, "repaid": repaid})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model whose weights are right, its card, and its rows a folder below."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "rows").mkdir()
    people(1500, 1).to_csv(folder / "rows" / "train.csv", index=False)
    people(1500, 2).to_csv(folder / "rows" / "test.csv", index=False)
    tensors = {"0.weight": torch.tensor([[2.0, 0.0, 0.0]]), "0.bias": torch.zeros(1)}
    torch.save(tensors, folder / "model.pt")
    (folder / "model.toml").write_text(CARD)
    return folder


@pytest.fixture
def base(written: Path, tmp_path: Path) -> Path:
    """A model of one's own, in a folder that a test may spoil."""
    return Path(shutil.copytree(written, tmp_path / "base")) / "model.pt"


@pytest.fixture(scope="module")
def made(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Mitigated:
    """What comes of that model, in a folder far from it."""
    return mitigate(written / "model.pt", QUICK, out=tmp_path_factory.mktemp("out") / "a" / "b")


@pytest.fixture
def card_with(base: Path) -> Callable[..., Path]:
    """Change the model's card."""

    def write(**changed: str) -> Path:
        text = CARD
        for old, new in changed.items():
            assert old in text
            text = text.replace(old, new)
        base.with_suffix(".toml").write_text(text)
        return base

    return write


def subject_of(model: Path) -> Subject:
    return intake.from_files(model, intake.Choices()).subject


def gap(model: Path) -> float:
    """The difference of the shares that are said yes to, on test rows."""
    subject = subject_of(model)
    rates = [subject.predicted[subject.data.groups["sex"].mask(i)].mean() for i in range(2)]
    return float(max(rates) - min(rates))


def ledger_of(found: Mitigated) -> Ledger:
    return read_ledger(found.ledger)


def test_the_planted_gap_is_narrower_on_test_rows(made: Mitigated) -> None:
    before, after = gap(made.baseline), gap(made.model)
    assert before > 0.3
    assert after < 0.12
    assert made.reached


def test_the_files_lie_beside_one_another_and_the_baseline_is_bit_for_bit_the_model(
    made: Mitigated, written: Path
) -> None:
    assert {each.name for each in made.model.parent.iterdir()} == FILES
    assert made.baseline.read_bytes() == (written / "model.pt").read_bytes()
    own, before = read_card(made.card), read_card(made.baseline.with_suffix(".toml"))
    assert own.baseline == "baseline.pt"
    assert (own.name, before.name, before.baseline) == ("loans-mitigated", "loans", None)
    assert replace(before, data=read_card(written / "model.toml").data) == read_card(written / "model.toml")
    np.testing.assert_array_equal(subject_of(made.baseline).scores, subject_of(written / "model.pt").scores)


def test_the_saved_model_gives_the_numbers_that_it_gave_in_memory(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    whole = mitigating._write

    def write(*words: Any) -> None:
        kept.append(words[3].trained.model)
        whole(*words)

    monkeypatch.setattr(mitigating, "_write", write)
    found = mitigate(written / "model.pt", QUICK, out=tmp_path / "out")
    subject = subject_of(found.model)
    with torch.no_grad():
        own = kept[0](torch.as_tensor(subject.data.inputs, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(subject.scores, own, atol=1e-7)


def test_the_report_has_before_and_after(made: Mitigated) -> None:
    report = audit_files(made.model, intake.Choices(), Plan(read_policy("default"), ("mitigation", "training")))
    assert not any(section.crashed or section.problem for section in report.sections)
    found = {each.name: each for section in report.sections for each in section.evidence.measurements}
    before, after = (found[f"demographic_parity_{when}"].value for when in ("before", "after"))
    assert before == pytest.approx(gap(made.baseline))
    assert after == pytest.approx(gap(made.model))


def test_the_ledger_accounts_for_every_trial(made: Mitigated, written: Path) -> None:
    ledger = ledger_of(made)
    told = ledger.mitigation
    assert told is not None
    assert ledger.model == sha256(made.model)
    assert (told.criterion, told.method, told.sensitive) == ("demographic_parity", "threshold", ("sex",))
    tried = [(each.method, each.strength, each.seed) for each in told.trials]
    assert tried == [("none", 0.0, 0), ("threshold", 0.5, 0), ("threshold", 1.0, 0)]
    assert "15 % of the reference rows" in told.measured_on
    assert ledger.data.rows == 1500
    assert ledger.data.file == sha256(written / "rows" / "train.csv")
    assert sum(ledger.split.values()) == 1500
    assert ledger.recipe["mitigate"]["at_most"] == 0.12
    assert ledger.energy is not None
    assert 0 < ledger.energy.low <= ledger.energy.kwh <= ledger.energy.high


def test_the_trials_are_measured_as_an_audit_measures(made: Mitigated, written: Path) -> None:
    """The baseline's trial: its gap and accuracy are near those of new rows, and better than the chosen ones."""
    told = ledger_of(made).mitigation
    assert told is not None
    before = told.trials[0].values
    subject = subject_of(written / "model.pt")
    assert before["accuracy"] == pytest.approx(np.mean(subject.predicted == subject.data.labels), abs=0.07)
    assert before["demographic_parity_difference"] == pytest.approx(gap(written / "model.pt"), abs=0.15)


def test_the_most_accurate_of_the_points_that_reach_it_is_kept(base: Path, tmp_path: Path) -> None:
    loose = mitigate(base, replace(QUICK, strengths=(0.0, 0.3, 1.0), at_most=0.9), out=tmp_path / "loose")
    ledger = ledger_of(loose)
    assert ledger.mitigation is not None
    best = max((each for each in ledger.mitigation.trials[1:]), key=lambda each: each.values["accuracy"])
    assert ledger.mitigation.strength == best.strength < 1.0


def test_where_none_reaches_it_the_smallest_gap_is_kept_and_that_is_said(base: Path, tmp_path: Path) -> None:
    short = mitigate(base, replace(QUICK, strengths=(0.6, 0.0), at_most=0.0), out=tmp_path / "short")
    ledger = ledger_of(short)
    assert not short.reached
    assert ledger.mitigation is not None
    assert ledger.mitigation.strength == 0.6
    assert any("no strength has a gap of at most 0 " in each for each in ledger.warnings)
    assert any("no strength has a gap of at most 0 " in each for each in short.summary)


@pytest.mark.parametrize("method", ["gap_penalty", "adversarial"])
def test_the_model_itself_learns_further(base: Path, method: str) -> None:
    found = mitigate(base, replace(QUICK, method=method, strengths=(3.0,), at_most=0.9))
    card = read_card(found.card)
    assert card.network == read_card(base.with_suffix(".toml")).network
    assert gap(found.model) < gap(found.baseline)


def test_the_same_seed_makes_the_same_model(base: Path, made: Mitigated) -> None:
    again = mitigate(base, QUICK)
    ours, other = (torch.load(each.model, weights_only=True) for each in (again, made))
    assert all(torch.equal(ours[name], other[name]) for name in other)


def test_no_test_row_is_looked_at(base: Path, made: Mitigated) -> None:
    file = base.parent / "rows" / "test.csv"
    frame = pd.read_csv(file)
    frame["repaid"] = np.where(frame["repaid"] == "yes", "no", "yes")
    frame.to_csv(file, index=False)
    again = mitigate(base, QUICK)
    ours, other = (torch.load(each.model, weights_only=True) for each in (again, made))
    assert all(torch.equal(ours[name], other[name]) for name in other)


def test_a_model_whose_first_class_is_positive(card_with: Callable[..., Path], made: Mitigated) -> None:
    """Its one number speaks of that class, so the very same weights with all labels turned round are the same case."""
    base = card_with(**{'["no", "yes"]': '["yes", "no"]'})
    found = mitigate(base, QUICK)
    ours, other = (torch.load(each.model, weights_only=True) for each in (found, made))
    assert all(torch.equal(ours[name], other[name]) for name in other)
    assert gap(found.model) == pytest.approx(gap(made.model))


def test_a_card_without_a_head_and_with_a_threshold(card_with: Callable[..., Path]) -> None:
    """Decisions are made at the card's own threshold, before and after."""
    base = card_with(**{'head = "logit"\n': "threshold = 0.7\n"})
    found = mitigate(base, QUICK)
    card = read_card(found.card)
    assert card.threshold == 0.7
    assert card.network is not None
    assert card.network.arguments["threshold"] == 0.7
    assert gap(found.baseline) == gap(base) > 0.25
    assert gap(found.model) < 0.12


def test_a_model_with_two_logits(card_with: Callable[..., Path]) -> None:
    base = card_with(**{'head = "logit"': 'head = "logits"', "outputs = 1": "outputs = 2"})
    weights = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    torch.save({"0.weight": weights, "0.bias": torch.zeros(2)}, base)
    found = mitigate(base, QUICK)
    assert str(read_card(found.card).head) == "logits"
    assert gap(found.model) < 0.12 < gap(found.baseline)


def test_a_model_with_three_classes(card_with: Callable[..., Path]) -> None:
    """Income in three steps; the largest difference over the classes goes down."""
    classes = {'"binary"': '"multiclass"', '["no", "yes"]': '["low", "mid", "top"]', 'positive = "yes"\n': ""}
    base = card_with(**classes, **{'head = "logit"': 'head = "logits"', "outputs = 1": "outputs = 3"})
    for name in ("train", "test"):
        file = base.parent / "rows" / f"{name}.csv"
        frame = pd.read_csv(file)
        frame["repaid"] = np.select([frame["income"] < -0.5, frame["income"] < 0.5], ["low", "mid"], "top")
        frame.to_csv(file, index=False)
    weights = torch.tensor([[-8.0, 0.0, 0.0], [0.0, 0.0, 0.0], [8.0, 0.0, 0.0]])
    torch.save({"0.weight": weights, "0.bias": torch.tensor([-4.0, 0.0, -4.0])}, base)
    found = mitigate(base, QUICK)
    told = ledger_of(found).mitigation
    assert told is not None
    gaps = [each.values["demographic_parity_difference"] for each in told.trials]
    assert gaps[-1] < gaps[0] / 2
    assert np.allclose(subject_of(found.baseline).scores, subject_of(base).scores)


def test_a_file_of_safetensors(base: Path, made: Mitigated) -> None:
    from safetensors.torch import save_file

    whole = base.with_suffix(".safetensors")
    save_file(torch.load(base, weights_only=True), whole)
    base.unlink()
    found = mitigate(whole, QUICK)
    assert found.baseline.name == read_card(found.card).baseline == "baseline.safetensors"
    assert found.baseline.read_bytes() == whole.read_bytes()
    assert gap(found.model) == gap(made.model)
    assert gap(found.baseline) == gap(made.baseline)


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_model_of_images_or_texts_that_rai_trained(every_kind: dict[str, Path], kind: str) -> None:
    """Its groups are told apart by a copy of it, its files are found again, and its training is entered as a run."""
    base = train(every_kind[kind])
    found = mitigate(base.model, replace(QUICK, method="threshold", strengths=(1.0,), at_most=0.9))
    card, before = read_card(found.card), read_card(base.card)
    assert card.network is not None
    assert card.network.parts["base"] == before.network
    assert card.network.parts["groups"].kind == before.network.kind  # type: ignore[union-attr]
    np.testing.assert_array_equal(subject_of(found.baseline).scores, subject_of(base.model).scores)
    assert subject_of(found.baseline).ledger == read_ledger(base.ledger)
    assert [run.settings["epochs"] for run in ledger_of(found).runs] == [len(read_ledger(base.ledger).epochs)]
    report = audit_files(found.model, intake.Choices(), Plan(read_policy("default"), ("mitigation",)))
    assert not any(section.crashed or section.problem for section in report.sections)


def test_a_promise_of_privacy_is_the_baselines_alone(base: Path) -> None:
    trained = ledger_of(mitigate(base, QUICK, out=base.parent / "first"))
    promise = Privacy("record", 1.0, 1e-5, 1.0, 1.0, 0.1, 10, 100.0, "pld")
    own = replace(trained, model=sha256(base), privacy=promise, mitigation=None, runs=())
    write_ledger(own, base.with_name("ledger.json"))
    found = mitigate(base, QUICK)
    ledger = ledger_of(found)
    assert ledger.privacy is None
    assert NOT_PRIVATE in ledger.warnings
    assert subject_of(found.baseline).ledger == own
    assert [run.epsilon for run in ledger.runs] == [1.0]


def test_a_second_call_replaces_the_first_and_enters_it_as_a_run(base: Path) -> None:
    first = mitigate(base, QUICK)
    again = mitigate(base, replace(QUICK, seed=5))
    assert again.model == first.model
    assert len(ledger_of(again).runs) == 1
    assert {each.name for each in again.model.parent.iterdir()} == FILES


class Kill(BaseException):
    """The end of a process, as far as one process can play it."""


@pytest.mark.parametrize("place", range(1, 2 + len(FILES)))
def test_killed_at_any_renaming_the_same_call_puts_it_right(
    base: Path, made: Mitigated, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    folder = Path(shutil.copytree(made.model.parent, base.parent / "mitigated"))
    old = made.model.read_bytes()
    whole, seen = os.replace, []

    def replaced(source: Any, target: Any) -> None:
        seen.append(source)
        if len(seen) == place:
            raise Kill
        whole(source, target)

    def put(staging: Path, out: Path) -> None:
        patch.setattr(os, "replace", replaced)
        mitigating_put(staging, out)

    mitigating_put = mitigating.put
    with monkeypatch.context() as patch:
        patch.setattr(mitigating, "put", put)
        with pytest.raises(Kill):
            mitigate(base, replace(QUICK, strengths=(0.5,), at_most=0.9))
    if place > 1:
        with pytest.raises(InputError, match="or the same rai mitigate, which puts the rest in place"):
            subject_of(folder / "model.pt")
    else:
        assert (folder / "model.pt").read_bytes() == old
    again = mitigate(base, replace(QUICK, strengths=(0.5,), at_most=0.9))
    assert subject_of(again.model).ledger == ledger_of(again)
    assert {each.name for each in folder.iterdir()} == FILES
    assert not (folder / ENDED).exists()


BAD_AIMS = {
    "no such criterion": ({"criterion": "parity"}, "fair.criterion: is 'parity'"),
    "no such method": ({"method": "reductions"}, "method: is 'reductions'; expected one of threshold"),
    "no such column": ({"sensitive": ("age",)}, "there is no group 'age'; expected among sex"),
    "no share": ({"strengths": (0.5, 2.0)}, "fair.strength: is 2.0 for 'threshold'; expected a share"),
    "no number": ({"strengths": (float("nan"),)}, "fair.strength: is nan"),
    "no seed": ({"seeds": 0}, "seeds: is 0"),
    "no gap": ({"at_most": float("nan")}, "at_most: is nan"),
}


@pytest.mark.parametrize("name", BAD_AIMS)
def test_a_senseless_aim_is_refused_in_one_line(base: Path, name: str) -> None:
    changed, words = BAD_AIMS[name]
    refused(base, words, aim=replace(QUICK, **changed))  # type: ignore[arg-type]


BAD_CARDS = {
    "no network": ('[network]\nkind = "mlp"\narguments = { inputs = 3, outputs = 1, hidden = [] }\n', "", "network is"),
    "no reference": ('reference = "rows/train.csv"\n', "", "names no reference rows with labels"),
    "no groups": ('sensitive = ["sex"]\n', "", "names no sensitive columns"),
    "another network": ("hidden = []", "hidden = [4]", "model.pt"),
    "not text": ('"rows/train.csv"', '"rows/none.csv"', "none.csv: no such file"),
}


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_card_that_says_too_little_is_refused_in_one_line(card_with: Callable[..., Path], name: str) -> None:
    old, new, words = BAD_CARDS[name]
    refused(card_with(**{old: new}), words)


def refused(base: Path, words: str, *, aim: Aim = QUICK, out: Path | None = None) -> None:
    before = {each: each.read_bytes() for each in base.parent.rglob("*") if each.is_file()}
    with pytest.raises(InputError) as caught:
        mitigate(base, aim, out=out)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each: each.read_bytes() for each in base.parent.rglob("*") if each.is_file()} == before


def test_nothing_of_somebody_elses_is_written_over(base: Path) -> None:
    refused(base, "is the model's own folder", out=base.parent)
    for name, words in (
        ("model.pt", "holds a model.pt that rai mitigate did not write"),
        ("checkpoint.pt", "is of an"),
    ):
        (base.parent / name.removesuffix(".pt")).mkdir()
        shutil.copy(base, base.parent / name.removesuffix(".pt") / name)
        refused(base, words, out=base.parent / name.removesuffix(".pt"))


def test_a_model_that_was_mitigated_before_is_refused(base: Path) -> None:
    found = mitigate(base, QUICK)
    refused(found.model, "key network.kind is 'adjusted', which was made from other networks")


def test_probabilities_cannot_learn_further(card_with: Callable[..., Path]) -> None:
    base = card_with(**{'head = "logit"': 'head = "probability"'})
    torch.save({"0.weight": torch.tensor([[0.05, 0.0, 0.0]]), "0.bias": torch.tensor([0.5])}, base)
    refused(base, "outputs are probabilities, which cannot learn further", aim=replace(QUICK, method="gap_penalty"))
    found = mitigate(base, QUICK)
    assert str(read_card(found.card).head) == "logit"
    assert gap(found.model) < 0.12 < gap(found.baseline)


def test_too_few_rows_are_refused_in_one_line(base: Path) -> None:
    file = base.parent / "rows" / "train.csv"
    pd.read_csv(file).groupby("sex").head(3).to_csv(file, index=False)
    refused(base, "reference rows: are too few to be dealt into three parts")


def test_a_gap_that_no_row_defines_is_refused_in_one_line(base: Path) -> None:
    """Without a woman who pays back, nobody knows how many of such women are found."""
    file = base.parent / "rows" / "train.csv"
    frame = pd.read_csv(file)
    frame.loc[frame["sex"] == "f", "repaid"] = "no"
    frame.to_csv(file, index=False)
    refused(
        base,
        "the equal opportunity difference is defined for no trial",
        aim=replace(QUICK, criterion="equal_opportunity"),
    )
