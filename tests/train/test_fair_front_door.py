"""Training under a criterion, from its front door: what it lowers, what it leaves alone, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rai import train
from rai.errors import InputError
from rai.ledger import Mitigation
from rai.subject import Data, Groups
from rai.train import parallel
from rai.train.batches import Batch
from rai.train.fair import fit_fair
from rai.train.fair.gaps import measured
from rai.train.fair.job import Attribute

SETTINGS = train.Fit(epochs=20, batch_size=200, learning_rate=0.02, weight_decay=0.0)
SEX = Attribute("sex", ("f", "m"))
EVERY = ("demographic_parity", "equalized_odds", "equal_opportunity")


def planted(*, gap, seed=0, rows=1500):
    """Rows whose first column says the label; with a gap, the second is the group, which says something of it, too."""
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, rows)
    X = rng.normal(size=(rows, 3))
    X[:, 1] = np.where(rng.random(rows) < 0.9, sex, 1 - sex) if gap else rng.integers(0, 2, rows)
    return X.astype(np.float32), (X[:, 0] + gap * 2.5 * (sex - 0.5) + rng.normal(size=rows) > 0).astype(np.int64), sex


def network(outputs=1):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, outputs))


def fitted(rows, **words):
    X, y, sex = rows
    words = {"method": "gap_penalty", "settings": SETTINGS, **words}
    return fit_fair(network(), (X, y), sensitive={"sex": np.where(sex, "m", "f")}, **words)


def gaps(trained, rows):
    X, y, sex = rows
    with torch.no_grad():
        return measured("binary", trained.model(torch.from_numpy(X)).numpy(), y, sex[:, None], [SEX])


def weights(trained):
    return torch.cat([each.flatten() for each in trained.model.state_dict().values()])


@pytest.fixture(scope="module")
def unequal():
    return planted(gap=1)


@pytest.fixture(scope="module")
def plain(unequal):
    return fitted(unequal, strength=0.0)


@pytest.mark.parametrize("penalty", ["mean_difference", "hsic"])
@pytest.mark.parametrize("criterion", EVERY)
def test_a_planted_gap_is_narrowed_on_rows_never_seen(unequal, plain, criterion, penalty):
    others, name = planted(gap=1, seed=1), f"{criterion}_difference"
    narrowed = fitted(unequal, criterion=criterion, strength=2.0, fair=train.Fair(penalty=penalty))
    before, after = gaps(plain, others), gaps(narrowed, others)
    assert before[name] > 0.25
    assert after[name] < 0.5 * before[name]


def test_reweighing_narrows_a_planted_gap(unequal, plain):
    others = planted(gap=1, seed=1)
    found = gaps(fitted(unequal, method="reweighing"), others)
    assert found["demographic_parity_difference"] < 0.6 * gaps(plain, others)["demographic_parity_difference"]


@pytest.mark.parametrize("method", ["gap_penalty", "reweighing"])
def test_where_there_is_no_gap_nothing_is_lost(method):
    rows, others = planted(gap=0), planted(gap=0, seed=1)
    before, after = (gaps(fitted(rows, strength=each, method=method), others) for each in (0.0, 1.0))
    assert after["accuracy"] == pytest.approx(before["accuracy"], abs=0.01)
    assert after["demographic_parity_difference"] < 0.06


def test_without_strength_it_is_plain_training_bit_for_bit(unequal, plain):
    X, y, sex = unequal
    data = Data("table", X, X, y, {"sex": Groups("sex", ("f", "m"), sex)}, ())
    assert torch.equal(weights(plain), weights(train.fit(network(), data, settings=SETTINGS)))


def test_the_seed_makes_it_again_and_matters_and_the_callers_draws_are_untouched(unequal):
    X, y, sex = unequal
    first, other = network(), network()
    state = torch.get_rng_state()
    found = [
        fit_fair(each, (X, y), sensitive=sex, method="gap_penalty", settings=replace(SETTINGS, epochs=3, seed=seed))
        for each, seed in ((first, 0), (first, 0), (other, 1))
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(found[0]), weights(found[1]))
    assert not torch.equal(weights(found[0]), weights(found[2]))


class Stop:
    """Ctrl-C in the middle of an epoch whose strength is not the whole."""

    def step(self, moment):
        if moment.step == 9:
            raise KeyboardInterrupt


def test_a_run_that_was_stopped_goes_on_bit_for_bit(unequal, tmp_path):
    words = {"settings": replace(SETTINGS, epochs=4, batch_size=300, early_stopping=3), "fair": train.Fair(ramp=2)}
    path = tmp_path / "run.checkpoint"
    whole = fitted(unequal, **words)
    with pytest.raises(KeyboardInterrupt):
        fitted(unequal, **words, watch=Stop(), checkpoint=path)
    if not path.exists():
        pytest.fail("no checkpoint was kept")
    with pytest.raises(InputError, match="fair was"):
        fitted(unequal, **words, strength=0.5, checkpoint=path, resume=True)
    assert torch.equal(weights(fitted(unequal, **words, checkpoint=path, resume=True)), weights(whole))


def test_the_ledger_says_what_was_aimed_at_and_what_was_seen(unequal):
    found = fitted(unequal, criterion="equalized_odds", strength=0.5, settings=replace(SETTINGS, epochs=2)).ledger
    assert found.mitigation == Mitigation("equalized_odds", ("sex",), "gap_penalty", 0.5)
    assert found.recipe["fair"]["sensitive"] == ("sex",)
    assert found.split == {"train": 1275, "validation": 225}
    assert found.data.rows == 1500
    assert set(found.epochs[0].metrics) == {"accuracy", *(f"{each}_difference" for each in EVERY)}


def test_the_callers_own_look_goes_beside_the_gaps(unequal):
    found = fitted(unequal, settings=replace(SETTINGS, epochs=1), after_epoch=lambda module, epoch: {"one": 1.0}).ledger
    assert found.epochs[0].metrics["one"] == 1.0
    assert "demographic_parity_difference" in found.epochs[0].metrics


def test_early_stopping_keeps_an_epoch_within_the_tolerance_with_the_smallest_loss(unequal):
    words = {"strength": 2.0, "fair": train.Fair(tolerance=0.05)}
    found = fitted(unequal, **words, settings=replace(SETTINGS, epochs=20, early_stopping=20))
    epochs = found.ledger.epochs
    gap = {each.number: each.metrics["demographic_parity_difference"] for each in epochs}
    within = [each for each in epochs if gap[each.number] <= 0.05]
    assert within
    assert len(within) < len(epochs)
    best = min(within, key=lambda each: each.validation_loss)
    assert best.validation_loss > min(each.validation_loss for each in epochs)
    shorter = fitted(unequal, **words, settings=replace(SETTINGS, epochs=best.number))
    assert torch.equal(weights(found), weights(shorter))


def test_small_batches_are_warned_of_and_large_ones_are_not(unequal):
    small, large = (replace(SETTINGS, epochs=1, batch_size=size) for size in (16, 400))
    warned = fitted(unequal, criterion="equalized_odds", settings=small).ledger.warnings
    assert [each for each in warned if "a batch of 16 rows holds" in each and "noise is taken for a gap" in each]
    assert not [each for each in fitted(unequal, settings=large).ledger.warnings if "a batch of" in each]


def test_rows_to_watch_on_may_be_handed_in_with_their_groups(unequal):
    X, y, sex = planted(gap=1, seed=2, rows=300)
    who = {"sex": np.where(sex, "m", "f")}
    found = fitted(unequal, validation=(X, y, who), settings=replace(SETTINGS, epochs=2))
    assert found.ledger.split == {"train": 1500, "validation": 300}
    assert found.ledger.epochs[-1].metrics == pytest.approx(gaps(found, (X, y, sex)))
    with pytest.raises(InputError, match="validation: says nothing of 'sex'"):
        fitted(unequal, validation=(X, y))


def test_several_classes_and_values_are_narrowed_too():
    X, _, sex = planted(gap=1)
    who = np.where(sex, "m", "f")
    values = (X[:, 0] + 2 * sex).astype(np.float32)
    classes = np.digitize(values, [0, 2])
    for task, outputs, labels in (("multiclass", 3, classes), ("regression", 1, values)):
        words = {"sensitive": who, "method": "gap_penalty", "settings": SETTINGS}
        before, after = (fit_fair(network(outputs), (X, labels), strength=each, **words).ledger for each in (0.0, 2.0))
        name = "demographic_parity_difference"
        assert after.epochs[-1].metrics[name] < 0.6 * before.epochs[-1].metrics[name], task
    with pytest.raises(InputError, match="not defined for regression"):
        fit_fair(network(), (X, values), sensitive=who, criterion="equalized_odds", method="gap_penalty")


def test_the_network_never_sees_the_group(unequal):
    X, y, sex = unequal
    seen = []

    class Watching(torch.nn.Linear):
        def forward(self, inputs):
            seen.append(inputs.shape[1])
            return super().forward(inputs)

    fit_fair(Watching(3, 1), (X, y), sensitive=sex, method="gap_penalty", settings=replace(SETTINGS, epochs=1))
    assert set(seen) == {3}


def test_each_of_several_processes_knows_who_is_in_its_part_of_a_batch(monkeypatch):
    monkeypatch.setattr(parallel, "world", lambda: parallel.World(1, 2))
    for name in ("_add_up", "_copy_first"):
        monkeypatch.setattr(parallel, name, lambda *_: None)
    monkeypatch.setattr(parallel, "_woven", lambda losses, *_: losses)
    seen = []
    source = parallel.shared(lambda _, part: seen.append(part) or torch.zeros(len(part)))
    source(network(), Batch(torch.zeros(5, 3), torch.arange(5.0), torch.arange(5)[:, None]))
    source(network(), Batch(torch.zeros(5, 3), torch.arange(5.0)))
    assert seen[0].sensitive.flatten().tolist() == seen[0].targets.tolist() == [1, 3]
    assert seen[1].sensitive is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"criterion": "fairness"}, "fair.criterion: is 'fairness'; expected one of demographic_parity"),
        ({"method": "magic"}, "fair.method: is 'magic'; expected one of adversarial"),
        ({"strength": -1.0}, "fair.strength: is -1.0 for 'gap_penalty'; expected a number, 0 or more"),
        ({"strength": float("nan")}, "fair.strength: is nan"),
        ({"strength": float("inf")}, "fair.strength: is inf"),
        ({"strength": 1.5, "method": "reweighing"}, "fair.strength: is 1.5 for 'reweighing'; expected a share"),
        ({"fair": train.Fair(warm_start=-1)}, "fair.warm_start: is -1; expected 0 or more"),
        ({"fair": train.Fair(attribute_at_predict=True)}, "fair.attribute_at_predict: is on"),
        ({"adversary": torch.nn.Linear(1, 1)}, "adversary: is given"),
        ({"sensitive": ["f"] * 1500}, "sensitive has 1 level"),
        ({"sensitive": ()}, "nobody said who belongs to which group"),
        ({"settings": train.Fit(epochs=0)}, "fit.epochs"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(unequal, words, said):
    X, y, sex = unequal
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        fit_fair(network(), (X, y), **{"sensitive": sex, "method": "gap_penalty", **words})


@pytest.mark.parametrize("method", ["gap_penalty", "reweighing", "threshold", "reductions"])
def test_a_promise_of_privacy_that_would_be_broken_is_refused_with_the_reason(unequal, method):
    private = train.Private(sample_rate=0.1, steps=10, delta=1e-5, expected_batch=10, epsilon=1.0)
    with pytest.raises(InputError, match=f"private: is given, and '{method}' cannot keep its promise: "):
        fitted(unequal, method=method, private=private)
