"""Thresholds adjusted after training: gaps narrow on new rows, no group is asked for, and a file gives the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rai.card import Card, Head, Network
from rai.errors import InputError
from rai.models import load
from rai.networks import build
from rai.train.batches import Rows
from rai.train.fair import thresholds
from rai.train.fair.cells import combinations
from rai.train.fair.gaps import measured
from rai.train.fair.group_model import labelled
from rai.train.fair.job import Attribute, Job
from rai.train.fair.watched import outputs_of
from rai.train.fitting import fit
from rai.train.settings import Fair, Fit

SEX = (Attribute("sex", ("f", "m")),)
CRITERIA = ("demographic_parity", "equalized_odds", "equal_opportunity")
QUICK = Fit(epochs=12, batch_size=256, learning_rate=0.01, schedule="cosine")
LINE = Network("mlp", {"inputs": 3, "outputs": 1, "hidden": ()})


def fair(criterion: str = "demographic_parity", strength: float = 1.0, **also: Any) -> Fair:
    return Fair(criterion=criterion, method="threshold", strength=strength, **also)  # type: ignore[arg-type]


def chance(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


def people(count: int, seed: int, levels: int = 2) -> Rows:
    """Group moves the first number, first and second move the label: the chances of both are known to the digit."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, levels, count)
    X = rng.normal(size=(count, 3))
    X[:, 0] += 1.5 * group
    label = rng.random(count) < chance(1.2 * X[:, 0] + 1.5 * X[:, 1] - 1.0 * (levels - 1))
    inputs = torch.from_numpy(X.astype(np.float32))
    return Rows(inputs, torch.from_numpy(label).float(), "binary", sensitive=torch.from_numpy(group)[:, None])


def with_groups(rows: Rows, attributes: tuple[Attribute, ...]) -> Rows:
    """Rows of a table followed by 1 for the level that each has of each attribute, as a network that is told reads."""
    assert rows.sensitive is not None
    columns = [
        (rows.sensitive[:, [place]] == torch.arange(len(each.levels))).to(rows.inputs)
        for place, each in enumerate(attributes)
    ]
    return replace(rows, inputs=torch.cat([rows.inputs, *columns], dim=1))


def adjusted(base: nn.Module, rows: Rows, asked: Fair, settings: Fit) -> nn.Module:
    found = thresholds.adjustable(base, rows, SEX, asked, settings)
    return found.at(1.0 if asked.strength is None else asked.strength)


def job(rows: Rows, asked: Fair, attributes: tuple[Attribute, ...] = SEX, **also: Any) -> Job:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(also.pop("card", LINE))
    return Job(network, rows, attributes, asked, also.pop("settings", QUICK), **also)


def found_on(module: nn.Module, rows: Rows, attributes: tuple[Attribute, ...] = SEX) -> dict[str, float]:
    return measured(rows.task, outputs_of(module, rows).numpy(), rows.targets.numpy(), rows.sensitive, attributes)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_share_of_the_gap_that_was_asked_for_goes_on_new_rows_too(criterion: str, strength: float) -> None:
    rows, new = people(8000, 0), people(40_000, 1)
    base = fit(job(rows, fair()).network, rows, settings=QUICK).model
    module = adjusted(base, rows, fair(criterion, strength), QUICK)
    before, after = found_on(base, new), found_on(module, new)
    name = f"{criterion}_difference"
    assert before[name] > 0.15
    assert after[name] == pytest.approx((1 - strength) * before[name], abs=0.045)


def test_what_is_learned_is_as_good_as_the_best_rule_of_known_chances() -> None:
    new = people(40_000, 1)
    trained = thresholds.train(job(people(8000, 0), fair(strength=0.9)))
    after = found_on(trained.model, new)
    X, labels, group = new.inputs.double().numpy(), new.targets.numpy(), new.sensitive[:, 0].numpy()  # type: ignore[index]
    p, q = chance(1.2 * X[:, 0] + 1.5 * X[:, 1] - 1.0), chance(1.5 * X[:, 0] - 1.125)
    best = 0.0
    for price in np.linspace(0, 0.5, 251):
        said = p - 0.5 - price * (q - (1 - q)) >= 0
        gap = abs(said[group == 1].mean() - said[group == 0].mean())
        best = max(best, (said == labels).mean() if gap <= after["demographic_parity_difference"] else 0.0)
    assert after["demographic_parity_difference"] < 0.07
    assert after["accuracy"] > best - 0.006


def test_nobody_s_group_is_asked_for_and_strength_0_is_the_network_as_it_was() -> None:
    rows, new = people(2000, 0), people(500, 1)
    trained = thresholds.train(job(rows, fair(strength=0.0)))
    base = fit(job(rows, fair()).network, rows, settings=QUICK)
    assert torch.equal(outputs_of(trained.model, new), outputs_of(base.model, new))
    narrowed = thresholds.train(job(rows, fair(strength=1.0))).model
    assert outputs_of(narrowed, new).shape == (500, 1)
    assert not torch.equal(outputs_of(narrowed, new), outputs_of(base.model, new))


def test_three_groups_draw_together() -> None:
    levels = (Attribute("age", ("young", "middle", "old")),)
    rows, new = people(9000, 0, levels=3), people(30_000, 1, levels=3)
    found = thresholds.train(job(rows, fair(strength=1.0), levels)).model
    base = fit(job(rows, fair()).network, rows, settings=QUICK).model
    before, after = (found_on(each, new, levels)["demographic_parity_difference"] for each in (base, found))
    assert before > 0.5
    assert after < 0.08


def two_attributes(count: int, seed: int) -> Rows:
    """Two attributes that know nothing of each other; each moves a number of its own."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, 2, count), rng.integers(0, 3, count)], axis=1)
    X = rng.normal(size=(count, 3)) + np.stack([1.2 * codes[:, 0], 0.9 * codes[:, 1], 0 * codes[:, 0]], axis=1)
    label = rng.random(count) < chance(X.sum(axis=1) * 1.2 - 1.8)
    inputs = torch.from_numpy(X.astype(np.float32))
    return Rows(inputs, torch.from_numpy(label).float(), "binary", sensitive=torch.from_numpy(codes))


BOTH = (Attribute("sex", ("f", "m")), Attribute("age", ("young", "middle", "old")))


@pytest.mark.parametrize("handed", [False, True])
def test_two_attributes_at_once_whether_or_not_they_are_told(handed: bool) -> None:  # noqa: FBT001 - a parameter
    rows, new = two_attributes(9000, 0), two_attributes(30_000, 1)
    asked = fair(strength=1.0, attribute_at_predict=handed)
    module = thresholds.train(job(rows, asked, BOTH)).model
    base = fit(job(rows, asked).network, rows, settings=QUICK).model
    told = with_groups(new, BOTH) if handed else new
    assert told.inputs.shape[1] == 3 + handed * 5
    for place, each in enumerate(BOTH):
        alone = replace(new, sensitive=new.sensitive[:, [place]])  # type: ignore[index]
        before = found_on(base, alone, (each,))["demographic_parity_difference"]
        after = measured("binary", outputs_of(module, told), new.targets, alone.sensitive, (each,))
        assert after["demographic_parity_difference"] < min(0.05, before / 4)


def test_the_combination_of_all_is_not_told_beside_them() -> None:
    crossed = Attribute("sex × age", ("f × young", "m × young"))
    assert thresholds.told((*BOTH, crossed)) == BOTH
    assert thresholds.told(BOTH) == BOTH


def test_a_threshold_for_each_group_closes_the_gap_and_who_is_unknown_has_the_base_s() -> None:
    rows, new = people(8000, 0), people(30_000, 1)
    base = fit(job(rows, fair()).network, rows, settings=QUICK).model
    for criterion in ("demographic_parity", "equal_opportunity"):
        module = adjusted(base, rows, fair(criterion, attribute_at_predict=True), QUICK)
        assert found_on(module, with_groups(new, SEX))[f"{criterion}_difference"] < 0.025
    unknown = replace(new, sensitive=torch.full((len(new), 1), -1))
    assert torch.equal(outputs_of(module, with_groups(unknown, SEX)), outputs_of(base, new))


def classes_of_three(count: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    group, X = rng.integers(0, 2, count), rng.normal(size=(count, 3))
    X[:, 0] += 1.2 * group
    logits = np.stack([np.zeros(count), 1.5 * X[:, 0] + X[:, 1], 2 * X[:, 2]], axis=1)
    label = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    inputs = torch.from_numpy(X.astype(np.float32))
    return Rows(inputs, torch.from_numpy(label), "multiclass", sensitive=torch.from_numpy(group)[:, None])


def test_of_several_classes_each_gap_narrows() -> None:
    card = Network("mlp", {"inputs": 3, "outputs": 3, "hidden": ()})
    rows, new = classes_of_three(8000, 0), classes_of_three(30_000, 1)
    before = found_on(fit(job(rows, fair(), card=card).network, rows, settings=QUICK).model, new)
    after = found_on(thresholds.train(job(rows, fair(), card=card)).model, new)
    assert before["demographic_parity_difference"] > 0.3
    assert after["demographic_parity_difference"] < 0.05
    assert after["accuracy"] > before["accuracy"] - 0.12


def test_one_network_of_groups_makes_a_whole_curve() -> None:
    rows = people(4000, 0)
    base = fit(job(rows, fair()).network, rows, settings=QUICK).model
    found = thresholds.adjustable(base, rows, SEX, fair(), QUICK)
    curve = [found.at(strength) for strength in (0.0, 0.5, 1.0)]
    gaps = [found_on(module, rows)["demographic_parity_difference"] for module in curve]
    assert gaps[0] == found_on(base, rows)["demographic_parity_difference"]
    assert gaps[1] == pytest.approx(gaps[0] / 2, abs=0.005)
    assert gaps[2] < 0.005
    assert len({id(module.groups) for module in curve}) == 1


def images(count: int, seed: int) -> Rows:
    """Groups differ in one corner, labels hang on the brightness of all of it."""
    rng = np.random.default_rng(seed)
    group, pixels = rng.integers(0, 2, count), rng.normal(size=(count, 1, 8, 8))
    pixels[:, :, :4, :4] += 1.0 * group[:, None, None, None]
    label = rng.random(count) < chance(12 * pixels.mean(axis=(1, 2, 3)) - 1.5)
    inputs = torch.from_numpy(pixels.astype(np.float32))
    return Rows(inputs, torch.from_numpy(label).float(), "binary", sensitive=torch.from_numpy(group)[:, None])


def texts(count: int, seed: int) -> Rows:
    """Words 1 to 4 say who writes, words 5 to 9 what about; groups differ in both."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, count)
    who, what = rng.integers(1, 3, (count, 4)) + 2 * group[:, None], rng.integers(5, 10, (count, 4))
    label = rng.random(count) < chance(1.5 * (what.mean(axis=1) - 7) + 2.0 * group - 1.0)
    inputs = torch.from_numpy(np.concatenate([who, what], axis=1))
    return Rows(inputs, torch.from_numpy(label).float(), "binary", sensitive=torch.from_numpy(group)[:, None])


CNN = Network("cnn", {"inputs": 1, "outputs": 1, "size": (8, 8), "channels": (4,)})
TEXT = Network("transformer", {"outputs": 1, "vocabulary": 10, "width": 8, "heads": 1, "layers": 1, "length": 8})


@pytest.mark.parametrize(("card", "make"), [(CNN, images), (TEXT, texts)], ids=["images", "texts"])
def test_any_network_that_was_trained_before_is_adjusted_and_loads_from_bare_tensors(
    tmp_path: Path, card: Network, make: Any
) -> None:
    rows, new = make(2000, 0), make(4000, 1)
    base = fit(job(rows, fair(), card=card).network, rows, settings=replace(QUICK, epochs=6)).model
    module = adjusted(base, rows, fair(), replace(QUICK, epochs=6))
    before, after = (found_on(each, new)["demographic_parity_difference"] for each in (base, module))
    assert before > 0.15
    assert after < before / 3
    same_from_file(tmp_path, module, thresholds.described(module, card), new.inputs)


@pytest.mark.parametrize("handed", [False, True])
def test_what_was_trained_loads_from_bare_tensors(tmp_path: Path, handed: bool) -> None:  # noqa: FBT001 - a parameter
    rows = people(2000, 0)
    module = thresholds.train(job(rows, fair(attribute_at_predict=handed))).model
    given = with_groups(rows, SEX) if handed else rows
    card = thresholds.described(module, LINE)
    assert card.kind == ("thresholded" if handed else "adjusted")
    same_from_file(tmp_path, module, card, given.inputs)


def same_from_file(folder: Path, module: nn.Module, card: Network, inputs: torch.Tensor) -> None:
    torch.save(module.state_dict(), folder / "model.pt")
    declared = Card("binary", classes=("no", "yes"), head=Head.LOGIT, network=card)
    if not inputs.is_floating_point():
        return same_in_memory(folder, module, card, inputs)
    loaded = load(folder / "model.pt", declared, inputs[:200].numpy()).model
    with torch.no_grad():
        assert np.abs(loaded.scores(inputs[:200].numpy()) - module(inputs[:200]).numpy()).max() <= 1e-7
    return None


def same_in_memory(folder: Path, module: nn.Module, card: Network, inputs: torch.Tensor) -> None:
    again = build(card).eval()
    again.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    with torch.no_grad():
        assert (again(inputs[:200]) - module(inputs[:200])).abs().max() <= 1e-7


def test_rows_known_by_heart_are_not_sought_on() -> None:
    rows, held = people(300, 0), people(3000, 1)
    wide = Network("mlp", {"inputs": 3, "outputs": 1, "hidden": (128, 128)})
    by_heart = replace(QUICK, epochs=60, learning_rate=0.01)
    for settings_, on in (
        (by_heart, "the rows held back"),
        (QUICK, "the rows that were learned from and those held back"),
    ):
        card = wide if settings_ is by_heart else LINE
        base = fit(job(rows, fair(), card=card).network, rows, settings=replace(settings_, validation=0.0)).model
        found = thresholds.adjustable(base, rows, SEX, fair(), replace(QUICK, epochs=4), held)
        assert found.on == on


def test_rows_of_unknown_group_are_neither_learned_nor_sought_on() -> None:
    rows = people(2000, 0)
    codes = rows.sensitive.clone()  # type: ignore[union-attr]
    codes[::4] = -1
    some = labelled(replace(rows, sensitive=codes), combinations(codes.numpy()))
    assert len(some.rows) == 1500
    assert set(some.cells.tolist()) == {0, 1}
    found = thresholds.train(job(replace(rows, sensitive=codes), fair())).model
    base = fit(job(rows, fair()).network, rows, settings=QUICK).model
    gaps = [found_on(each, people(20_000, 1))["demographic_parity_difference"] for each in (base, found)]
    assert gaps[1] < gaps[0] / 3


def test_all_hangs_on_the_seed_and_no_draw_of_the_caller_s_is_taken() -> None:
    rows = people(1500, 0)
    before = torch.random.get_rng_state()
    first, again = (thresholds.train(job(rows, fair(strength=0.8))) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    one, two = first.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = thresholds.train(job(rows, fair(strength=0.8), settings=replace(QUICK, seed=1))).model.state_dict()
    assert not torch.equal(one["weights"], other["weights"])


def test_the_ledger_counts_both_networks() -> None:
    rows = people(1500, 0)
    trained = thresholds.train(job(rows, fair()))
    base = fit(job(rows, fair()).network, rows, settings=QUICK).ledger
    own, mitigation = trained.ledger, trained.ledger.mitigation
    assert own.parameters == sum(each.numel() for each in trained.model.parameters()) > base.parameters
    assert own.flops is not None
    assert base.flops is not None
    assert own.flops > base.flops
    assert own.epochs == base.epochs
    assert mitigation is not None
    assert mitigation.details["combinations"] == 2


@pytest.mark.parametrize(
    ("rows", "asked", "card", "words"),
    [
        (replace(people(50, 0), task="regression"), fair(), LINE, "fair.method: is 'threshold'"),
        (
            classes_of_three(90, 0),
            fair(attribute_at_predict=True),
            Network("mlp", {"inputs": 3, "outputs": 3}),
            "fair.attribute_at_predict: there are 3 classes",
        ),
    ],
    ids=["regression", "several classes with groups told"],
)
def test_what_cannot_be_done_is_one_line(rows: Rows, asked: Fair, card: Network, words: str) -> None:
    with pytest.raises(InputError, match="^[^\n]*$") as caught:
        thresholds.train(job(rows, asked, card=card))
    assert str(caught.value).startswith(words)
    with pytest.raises(InputError, match="an adjusted network"):
        thresholds.described(nn.Linear(1, 1), LINE)


def test_a_handful_of_rows_does_not_cost_all_the_others_their_answers() -> None:
    """Six rows whose labels are all wrong make a group whose rates nobody can meet."""
    rows, new = people(3000, 0), people(10_000, 1)
    rows.sensitive[:6] = 2  # type: ignore[index]
    rows.targets[:6] = 1 - rows.targets[:6]
    levels = (Attribute("sex", ("f", "m", "x")),)
    base = fit(job(rows, fair()).network, rows, settings=QUICK).model
    trained = thresholds.train(job(rows, fair("equalized_odds"), levels))
    assert trained.ledger.warnings == ("of sex, levels with fewer than 30 rows were not counted: x",)
    before, after = (found_on(each, new, levels) for each in (base, trained.model))
    assert after["equalized_odds_difference"] < before["equalized_odds_difference"] / 2
    assert after["accuracy"] > before["accuracy"] - 0.1
