"""A narrower gap for models of every kind: other heads, classes, files and kinds of rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rai import intake
from rai.card import read_card
from rai.ledger import Ledger, read_ledger
from rai.policy import read_policy
from rai.run import Plan, audit_files
from rai.subject import Subject
from rai.train.fair.afterwards import Aim
from rai.training import train
from rai.training.mitigating import Mitigated, mitigate

Write = Callable[..., Path]
SubjectOf = Callable[[Path], Subject]
LedgerOf = Callable[[Mitigated], Ledger]
Gap = Callable[[Path], float]


@pytest.mark.parametrize("method", ["gap_penalty", "adversarial"])
def test_the_model_itself_learns_further(quick: Aim, gap: Gap, base: Path, method: str) -> None:
    found = mitigate(base, replace(quick, method=method, strengths=(3.0,), at_most=0.9))
    card = read_card(found.card)
    assert card.network == read_card(base.with_suffix(".toml")).network
    assert gap(found.model) < gap(found.baseline)


def test_a_model_whose_first_class_is_positive(quick: Aim, gap: Gap, card_with: Write, made: Mitigated) -> None:
    """Its one number speaks of that class, so the very same weights with all labels turned round are the same case."""
    base = card_with(**{'["no", "yes"]': '["yes", "no"]'})
    found = mitigate(base, quick)
    ours, other = (torch.load(each.model, weights_only=True) for each in (found, made))
    assert all(torch.equal(ours[name], other[name]) for name in other)
    assert gap(found.model) == pytest.approx(gap(made.model))


def test_a_card_without_a_head_and_with_a_threshold(quick: Aim, gap: Gap, card_with: Write) -> None:
    """Decisions are made at the card's own threshold, before and after."""
    base = card_with(**{'head = "logit"\n': "threshold = 0.7\n"})
    found = mitigate(base, quick)
    card = read_card(found.card)
    assert card.threshold == 0.7
    assert card.network is not None
    assert card.network.arguments["threshold"] == 0.7
    assert gap(found.baseline) == gap(base) > 0.25
    assert gap(found.model) < 0.12


def test_a_model_with_two_logits(quick: Aim, gap: Gap, card_with: Write) -> None:
    base = card_with(**{'head = "logit"': 'head = "logits"', "outputs = 1": "outputs = 2"})
    weights = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    torch.save({"0.weight": weights, "0.bias": torch.zeros(2)}, base)
    found = mitigate(base, quick)
    assert str(read_card(found.card).head) == "logits"
    assert gap(found.model) < 0.12 < gap(found.baseline)


def test_a_model_with_three_classes(quick: Aim, subject_of: SubjectOf, ledger_of: LedgerOf, card_with: Write) -> None:
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
    found = mitigate(base, quick)
    told = ledger_of(found).mitigation
    assert told is not None
    gaps = [each.values["demographic_parity_difference"] for each in told.trials]
    assert gaps[-1] < gaps[0] / 2
    assert np.allclose(subject_of(found.baseline).scores, subject_of(base).scores)


def test_a_file_of_safetensors(quick: Aim, gap: Gap, base: Path, made: Mitigated) -> None:
    from safetensors.torch import save_file

    whole = base.with_suffix(".safetensors")
    save_file(torch.load(base, weights_only=True), whole)
    base.unlink()
    found = mitigate(whole, quick)
    assert found.baseline.name == read_card(found.card).baseline == "baseline.safetensors"
    assert found.baseline.read_bytes() == whole.read_bytes()
    assert gap(found.model) == gap(made.model)
    assert gap(found.baseline) == gap(made.baseline)


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_model_of_images_or_texts_that_rai_trained(
    quick: Aim, subject_of: SubjectOf, ledger_of: LedgerOf, every_kind: dict[str, Path], kind: str
) -> None:
    """Its groups are told apart by a copy of it, its files are found again, and its training is entered as a run."""
    base = train(every_kind[kind])
    found = mitigate(base.model, replace(quick, method="threshold", strengths=(1.0,), at_most=0.9))
    card, before = read_card(found.card), read_card(base.card)
    assert card.network is not None
    assert card.network.parts["base"] == before.network
    assert card.network.parts["groups"].kind == before.network.kind  # type: ignore[union-attr]
    np.testing.assert_array_equal(subject_of(found.baseline).scores, subject_of(base.model).scores)
    assert subject_of(found.baseline).ledger == read_ledger(base.ledger)
    assert [run.settings["epochs"] for run in ledger_of(found).runs] == [len(read_ledger(base.ledger).epochs)]
    report = audit_files(found.model, intake.Choices(), Plan(read_policy("default"), ("mitigation",)))
    assert not any(section.crashed or section.problem for section in report.sections)
