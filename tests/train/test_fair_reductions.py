"""Reductions: fairlearn's search over our own networks ends in one network that does not draw, saves and loads."""

import builtins
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from sklearn.base import clone

from rai import train
from rai.card import Network
from rai.errors import InputError
from rai.networks import build, mixture, mlp
from rai.train.batches import Rows
from rai.train.fair import reductions
from rai.train.fair.fitting import fit_fair
from rai.train.settings import Fit

SETTINGS = Fit(epochs=8, batch_size=100, learning_rate=0.03, validation=0.0)


@pytest.fixture(scope="module")
def people():
    """900 rows: one input says something of the label in both groups, another tells the groups apart."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 900)
    X = np.stack([rng.normal(size=900), group + 0.4 * rng.normal(size=900)], axis=1).astype(np.float32)
    return X, (rng.random(900) < 1 / (1 + np.exp(-2 * X[:, 0] - 3 * (group - 0.5)))).astype(np.int64), group


def network():
    torch.manual_seed(0)
    return mlp.mlp(inputs=2, outputs=1, hidden=[8])


def decided(model, X):
    with torch.no_grad():
        return (model(torch.from_numpy(X)).ravel() >= 0).long().numpy()


def reduced(people, criterion="demographic_parity", strength=0.8, settings=SETTINGS):
    X, y, group = people
    given = {"criterion": criterion, "method": "reductions", "strength": strength, "settings": settings}
    return fit_fair(network(), (X, y), sensitive=group, **given)


@pytest.fixture(scope="module")
def trained(people):
    return reduced(people)


@pytest.fixture(scope="module")
def baseline(people):
    return train.fit(network(), people[:2], settings=SETTINGS).model


def test_the_gap_becomes_what_was_asked_for(people, trained, baseline):
    X, y, group = people
    before = demographic_parity_difference(y, decided(baseline, X), sensitive_features=group)
    after = demographic_parity_difference(y, decided(trained.model, X), sensitive_features=group)
    details = trained.ledger.mitigation.details
    assert before > 0.3
    assert details["gap of the baseline"] == pytest.approx(before)
    assert details["gap asked for"] == pytest.approx(0.2 * before)
    assert details["gap of the mixture"] == pytest.approx(after)
    assert after <= 0.2 * before + 0.05
    assert (decided(trained.model, X) == y).mean() > 0.65, "one input says something in both groups"


def test_a_gap_that_was_not_reached_is_told():
    assert reductions._doubt(0.02, 0.025) == ()
    assert "is 0.080, and 0.020 was asked for" in reductions._doubt(0.02, 0.08)[0]


def test_equalized_odds_are_asked_for_by_their_own_constraint(people, baseline):
    X, y, group = people
    model = reduced(people, "equalized_odds").model
    before = equalized_odds_difference(y, decided(baseline, X), sensitive_features=group)
    assert equalized_odds_difference(y, decided(model, X), sensitive_features=group) < 0.5 * before


def test_the_same_seed_gives_the_same_weights_and_nobody_elses_draws_are_touched(people, trained):
    state = torch.get_rng_state()
    again = reduced(people)
    assert torch.equal(torch.get_rng_state(), state)
    assert json.dumps(asdict(again.ledger.mitigation)) == json.dumps(asdict(trained.ledger.mitigation))
    for one, other in zip(again.model.state_dict().values(), trained.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_saved_mixture_answers_as_it_did_in_memory(people, trained, tmp_path):
    torch.save(trained.model.state_dict(), tmp_path / "model.pt")
    member = Network("mlp", {"inputs": 2, "outputs": 1, "hidden": (8,)})
    loaded = build(Network("mixture", {"count": len(trained.model.members)}, {"member": member})).eval()
    loaded.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    inputs = torch.from_numpy(people[0])
    torch.testing.assert_close(loaded(inputs), trained.model(inputs), atol=1e-7, rtol=0)


def test_a_mixture_is_the_weighted_mean_of_chances():
    whole = mixture.mixture(count=3, member=mlp.mlp(inputs=2, outputs=1, hidden=[]))
    for place, member in enumerate(whole.members):
        torch.nn.init.constant_(member[0].weight, place - 1.0)
    shares = torch.tensor([0.5, 0.0, 0.2, 0.1, 0.2])
    whole.shares.copy_(shares)
    inputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for row, found in zip(inputs, torch.sigmoid(whole(inputs)).ravel().tolist(), strict=True):
            chances = [torch.sigmoid(member(row[None])).item() for member in whole.members] + [0.0, 1.0]
            known = sum(share * chance for share, chance in zip(shares.tolist(), chances, strict=True))
            assert found == pytest.approx(known, abs=1e-6)


def test_a_mixture_of_certain_members_stays_finite_and_learnable():
    whole = mixture.mixture(count=2, member=mlp.mlp(inputs=1, outputs=1, hidden=[]))
    inputs = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    found = whole(inputs)
    found.sum().backward()
    assert found.isfinite().all()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()


def test_a_mixture_of_too_much_is_refused():
    with pytest.raises(InputError, match="count"):
        mixture.mixture(count=0, member=torch.nn.Linear(1, 1))
    with pytest.raises(InputError, match="2,147,483,648"):
        mixture.mixture(count=100, member=torch.nn.Linear(8000, 8000, device="meta"))
    with pytest.raises(InputError, match="is a mixture itself"):
        mixture.mixture(count=2, member=mixture.mixture(count=1, member=torch.nn.Linear(1, 1)))


def test_signed_weights_train_as_copies_of_rows_do():
    outputs = torch.tensor([[0.3], [-1.2], [2.0]])
    signed = reductions.signed_loss(outputs, torch.tensor([2.0, -3.0, 0.0]))
    y = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    copies = torch.nn.functional.binary_cross_entropy_with_logits(outputs.ravel()[[0, 0, 1, 1, 1]], y, reduction="sum")
    assert signed.shape == (3,)
    assert float(signed.sum()) == pytest.approx(float(copies))


def learner():
    rows = Rows(torch.randn(60, 2), torch.zeros(60), "binary")
    return reductions._Learner(network(), rows, Fit(epochs=1, validation=0.0))


def test_an_estimator_is_cloned_as_sklearn_does_and_stops_training_in_time(monkeypatch):
    monkeypatch.setattr(reductions, "MOST_NETS", 2)
    first, X, y = learner(), np.arange(60)[:, None], np.arange(60) % 2
    fitted = [clone(first).fit(X, y, sample_weight=np.ones(60)) for _ in range(4)]
    assert len(first.made) == 2
    assert first.found == []
    assert fitted[2].found[0] is fitted[1].found[0]
    assert set(fitted[3].predict(X[:5])) <= {0, 1}


class Always:
    """What fairlearn puts in where every label is the same."""

    def __init__(self, constant):
        self.constant = constant


def test_classifiers_that_always_say_the_same_keep_their_share():
    net = network().eval()
    one = replace(learner(), found=[net])
    whole = reductions._mixed(net, {0: one, 1: Always(1), 2: Always(0)}, {0: 0.5, 1: 0.3, 2: 0.2})
    inputs = torch.randn(9, 2)
    torch.testing.assert_close(torch.sigmoid(whole(inputs)), 0.5 * torch.sigmoid(net(inputs)) + 0.3)
    alone = reductions._mixed(net, {0: Always(1)}, {0: 1.0})
    assert (alone(inputs) > 20).all()


def test_rows_of_unknown_groups_and_several_attributes_are_taken(people):
    X, y, group = (each[:400] for each in people)
    who = {"sex": np.where(np.arange(400) % 9, group, np.nan), "band": np.arange(400) % 3}
    settings = replace(SETTINGS, epochs=4)
    found = fit_fair(network(), (X, y), sensitive=who, method="reductions", strength=0.5, settings=settings)
    assert found.ledger.mitigation.sensitive == ("sex", "band")


def test_only_binary_tasks_are_taken(people):
    X, y, group = people
    for given, task in (((X, y.astype(np.float32)), "regression"), ((X, np.arange(len(y)) % 3), "multiclass")):
        net = mlp.mlp(inputs=2, outputs=1 if task == "regression" else 3)
        with pytest.raises(InputError, match="reductions: is for a network with one logit"):
            fit_fair(net, given, sensitive=group, method="reductions", task=task, settings=SETTINGS)


def test_class_weights_are_refused(people):
    with pytest.raises(InputError, match="fit.class_weight"):
        reduced(people, settings=replace(SETTINGS, class_weight="balanced"))


def test_a_missing_fairlearn_is_one_line(people, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("fairlearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="the package fairlearn is not installed; run: pip install fairlearn"):
        reduced(people)
