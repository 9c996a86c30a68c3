"""A trained model is given a narrower gap: the curve, the files and the account."""

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
from rai.ledger import Ledger, Privacy, write_ledger
from rai.policy import read_policy
from rai.run import Plan, audit_files
from rai.subject import Subject
from rai.train.fair.afterwards import Aim
from rai.training import mitigating
from rai.training.mitigating import NOT_PRIVATE, Mitigated, mitigate

SubjectOf = Callable[[Path], Subject]
LedgerOf = Callable[[Mitigated], Ledger]
Gap = Callable[[Path], float]
FILES = {"model.pt", "model.toml", "model.ledger.json", "baseline.pt", "baseline.toml"}


def test_the_planted_gap_is_narrower_on_test_rows(gap: Gap, made: Mitigated) -> None:
    before, after = gap(made.baseline), gap(made.model)
    assert before > 0.3
    assert after < 0.12
    assert made.reached


def test_the_files_lie_beside_one_another_and_the_baseline_is_bit_for_bit_the_model(
    subject_of: SubjectOf, made: Mitigated, written: Path
) -> None:
    assert {each.name for each in made.model.parent.iterdir()} == FILES
    assert made.baseline.read_bytes() == (written / "model.pt").read_bytes()
    own, before = read_card(made.card), read_card(made.baseline.with_suffix(".toml"))
    assert own.baseline == "baseline.pt"
    assert (own.name, before.name, before.baseline) == ("loans-mitigated", "loans", None)
    assert replace(before, data=read_card(written / "model.toml").data) == read_card(written / "model.toml")
    np.testing.assert_array_equal(subject_of(made.baseline).scores, subject_of(written / "model.pt").scores)


def test_the_saved_model_gives_the_numbers_that_it_gave_in_memory(
    quick: Aim, subject_of: SubjectOf, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    whole = mitigating._write

    def write(*words: Any) -> None:
        kept.append(words[3].trained.model)
        whole(*words)

    monkeypatch.setattr(mitigating, "_write", write)
    found = mitigate(written / "model.pt", quick, out=tmp_path / "out")
    subject = subject_of(found.model)
    with torch.no_grad():
        own = kept[0](torch.as_tensor(subject.data.inputs, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(subject.scores, own, atol=1e-7)


def test_the_report_has_before_and_after(gap: Gap, made: Mitigated) -> None:
    report = audit_files(made.model, intake.Choices(), Plan(read_policy("default"), ("mitigation", "training")))
    assert not any(section.crashed or section.problem for section in report.sections)
    found = {each.name: each for section in report.sections for each in section.evidence.measurements}
    before, after = (found[f"demographic_parity_{when}"].value for when in ("before", "after"))
    assert before == pytest.approx(gap(made.baseline))
    assert after == pytest.approx(gap(made.model))


def test_the_ledger_accounts_for_every_trial(ledger_of: LedgerOf, made: Mitigated, written: Path) -> None:
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


def test_the_trials_are_measured_as_an_audit_measures(
    subject_of: SubjectOf, ledger_of: LedgerOf, gap: Gap, made: Mitigated, written: Path
) -> None:
    """The baseline's trial: its gap and accuracy are near those of new rows, and better than the chosen ones."""
    told = ledger_of(made).mitigation
    assert told is not None
    before = told.trials[0].values
    subject = subject_of(written / "model.pt")
    assert before["accuracy"] == pytest.approx(np.mean(subject.predicted == subject.data.labels), abs=0.07)
    assert before["demographic_parity_difference"] == pytest.approx(gap(written / "model.pt"), abs=0.15)


def test_the_most_accurate_of_the_points_that_reach_it_is_kept(
    quick: Aim, ledger_of: LedgerOf, base: Path, tmp_path: Path
) -> None:
    loose = mitigate(base, replace(quick, strengths=(0.0, 0.3, 1.0), at_most=0.9), out=tmp_path / "loose")
    ledger = ledger_of(loose)
    assert ledger.mitigation is not None
    best = max((each for each in ledger.mitigation.trials[1:]), key=lambda each: each.values["accuracy"])
    assert ledger.mitigation.strength == best.strength < 1.0


def test_where_none_reaches_it_the_smallest_gap_is_kept_and_that_is_said(
    quick: Aim, ledger_of: LedgerOf, base: Path, tmp_path: Path
) -> None:
    short = mitigate(base, replace(quick, strengths=(0.6, 0.0), at_most=0.0), out=tmp_path / "short")
    ledger = ledger_of(short)
    assert not short.reached
    assert ledger.mitigation is not None
    assert ledger.mitigation.strength == 0.6
    assert any("no strength has a gap of at most 0 " in each for each in ledger.warnings)
    assert any("no strength has a gap of at most 0 " in each for each in short.summary)


def test_the_same_seed_makes_the_same_model(quick: Aim, base: Path, made: Mitigated) -> None:
    again = mitigate(base, quick)
    ours, other = (torch.load(each.model, weights_only=True) for each in (again, made))
    assert all(torch.equal(ours[name], other[name]) for name in other)


def test_no_test_row_is_looked_at(quick: Aim, base: Path, made: Mitigated) -> None:
    file = base.parent / "rows" / "test.csv"
    frame = pd.read_csv(file)
    frame["repaid"] = np.where(frame["repaid"] == "yes", "no", "yes")
    frame.to_csv(file, index=False)
    again = mitigate(base, quick)
    ours, other = (torch.load(each.model, weights_only=True) for each in (again, made))
    assert all(torch.equal(ours[name], other[name]) for name in other)


def test_a_promise_of_privacy_is_the_baselines_alone(
    quick: Aim, subject_of: SubjectOf, ledger_of: LedgerOf, base: Path
) -> None:
    trained = ledger_of(mitigate(base, quick, out=base.parent / "first"))
    promise = Privacy("record", 1.0, 1e-5, 1.0, 1.0, 0.1, 10, 100.0, "pld")
    own = replace(trained, model=sha256(base), privacy=promise, mitigation=None, runs=())
    write_ledger(own, base.with_name("ledger.json"))
    found = mitigate(base, quick)
    ledger = ledger_of(found)
    assert ledger.privacy is None
    assert NOT_PRIVATE in ledger.warnings
    assert subject_of(found.baseline).ledger == own
    assert [run.epsilon for run in ledger.runs] == [1.0]


def test_a_second_call_replaces_the_first_and_enters_it_as_a_run(quick: Aim, ledger_of: LedgerOf, base: Path) -> None:
    first = mitigate(base, quick)
    again = mitigate(base, replace(quick, seed=5))
    assert again.model == first.model
    assert len(ledger_of(again).runs) == 1
    assert {each.name for each in again.model.parent.iterdir()} == FILES


class Kill(BaseException):
    """The end of a process, as far as one process can play it."""


@pytest.fixture
def mitigated(base: Path, made: Mitigated) -> Path:
    """The folder beside the model into which an earlier call wrote."""
    return Path(shutil.copytree(made.model.parent, base.parent / "mitigated"))


@pytest.mark.parametrize("place", range(1, 2 + len(FILES)))
def test_killed_at_any_renaming_the_same_call_puts_it_right(
    quick: Aim,
    subject_of: SubjectOf,
    ledger_of: LedgerOf,
    mitigated: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: int,
) -> None:
    folder, base = mitigated, mitigated.parent / "model.pt"
    old = (folder / "model.pt").read_bytes()
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
            mitigate(base, replace(quick, strengths=(0.5,), at_most=0.9))
    if place > 1:
        with pytest.raises(InputError, match="or the same rai mitigate, which puts the rest in place"):
            subject_of(folder / "model.pt")
    else:
        assert (folder / "model.pt").read_bytes() == old
    again = mitigate(base, replace(quick, strengths=(0.5,), at_most=0.9))
    assert subject_of(again.model).ledger == ledger_of(again)
    assert {each.name for each in folder.iterdir()} == FILES
    assert not (folder / ENDED).exists()
