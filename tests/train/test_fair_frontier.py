"""The trade-off curve: what is lost is shown, nothing is trained twice, and no file is believed that was changed."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import rai
from rai.errors import InputError
from rai.ledger import Mitigation, Trial
from rai.networks import mlp
from rai.train.fair import cache, trials
from rai.train.fair.choice import chosen
from rai.train.fair.frontier import Frontier
from rai.train.settings import Fair, Fit

SETTINGS = Fit(epochs=4, batch_size=100, learning_rate=0.1, validation=0.0, initialization="he")
GAP = "demographic_parity_difference"


def drawn(rows, seed):
    """Labels that hang on the group alone, and an input that says which group it is: nothing else to decide by."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, rows)
    X = np.stack([group - 0.5 + 0.3 * rng.normal(size=rows), rng.normal(size=rows)], axis=1).astype(np.float32)
    return X, (rng.random(rows) < np.where(group == 1, 0.85, 0.15)).astype(np.int64), group


TRAIN, TEST = drawn(600, 0), drawn(600, 1)


def network():
    torch.manual_seed(0)
    return mlp.mlp(inputs=2, outputs=1, hidden=[])


def curve(**changed):
    given = {
        "sensitive": TRAIN[2],
        "test": TEST,
        "methods": ("none", "reweighing"),
        "strengths": {"reweighing": (1.0,)},
        "seeds": 2,
        "settings": SETTINGS,
    }
    return rai.frontier(changed.pop("network", network()), TRAIN[:2], **{**given, **changed})


def bare(found):
    """The trials without their seconds, which no two runs share."""
    return [replace(each, cpu_seconds=0.0) for each in found.trials]


@pytest.fixture
def counted(monkeypatch):
    """What was trained, in order."""
    seen, real = [], trials._trained

    def trained(work, asked):
        seen.append(asked)
        return real(work, asked)

    monkeypatch.setattr(trials, "_trained", trained)
    return seen


def made(method="none", strength=0.0, seed=0, *, accuracy=None, gap=None, warnings=()):
    named = {"accuracy": accuracy, GAP: gap}
    values = {name: value for name, value in named.items() if value is not None}
    return Trial(method, strength, seed, values, warnings=warnings)


def test_where_nothing_but_the_group_tells_the_label_the_loss_is_shown():
    strengths = {"gap_penalty": (0.5, 2.0, 10.0)}
    found = curve(methods=("none", "gap_penalty"), strengths=strengths, seeds=4, settings=replace(SETTINGS, epochs=8))
    base, *_, last = found.points
    assert base.values["accuracy"].value > 0.8
    assert base.values[GAP].value > 0.8
    assert last.values[GAP].value < 0.3
    change = found.change(last)
    assert change[GAP].high < 0
    assert change["accuracy"].high < 0, "accuracy falls, beyond what seeds differ"
    ranked = sorted(found.points, key=lambda each: each.values[GAP].value)
    assert [each.values["accuracy"].value for each in ranked] == sorted(
        each.values["accuracy"].value for each in ranked
    )
    assert "accuracy lower, gap lower" in repr(found).splitlines()[-1]
    assert "improved" not in repr(found)


cells = st.tuples(st.integers(0, 6), st.integers(0, 6))


@given(st.lists(cells, min_size=1, max_size=12))
def test_the_front_is_what_no_other_point_beats(values):
    given = [(accuracy / 10, gap / 10) for accuracy, gap in values]
    found = Frontier(
        tuple(made("gap_penalty", k, accuracy=a, gap=g) for k, (a, g) in enumerate(given)), "demographic_parity"
    )
    for (accuracy, gap), point in zip(given, found.points, strict=True):
        beaten = any(a >= accuracy and g <= gap and (a > accuracy or g < gap) for a, g in given)
        assert point.front is not beaten


def test_points_of_the_front_are_told_and_the_best_is_chosen_among_those_allowed():
    shown = [(0.85, 0.2), (0.84, 0.05), (0.80, 0.06), (0.83, 0.02), (0.82, 0.01)]
    found = Frontier(
        tuple(made("gap_penalty", k, accuracy=a, gap=g) for k, (a, g) in enumerate(shown)), "demographic_parity"
    )
    assert [each.front for each in found.points] == [True, True, False, True, True]
    assert found.best().strength == 3
    assert found.best(at_most=0.05).strength == 1
    assert found.best(at_most=0.005) is None


def test_a_point_without_the_gap_is_never_on_the_front_nor_the_best():
    found = Frontier(
        (made("none", accuracy=0.99), made("gap_penalty", 1.0, accuracy=0.5, gap=0.1)), "demographic_parity"
    )
    assert [each.front for each in found.points] == [False, True]
    assert found.best(1.0).method == "gap_penalty"
    assert "undefined" in repr(found)


def test_training_without_a_criterion_may_be_the_best_and_is_no_choice():
    trained = (made("none", accuracy=0.9, gap=0.01), made("gap_penalty", 1.0, accuracy=0.8, gap=0.03))
    found = Frontier((*trained, made("gap_penalty", 2.0, accuracy=0.7, gap=0.02)), "demographic_parity")
    assert found.best(0.05).method == "none"
    assert found.best(0.05, baseline=False).strength == 1.0
    near, short = chosen(found, 0.05), chosen(found, 0.015)
    assert (near.point.strength, near.reached, near.warnings(0.05)) == (1.0, True, ())
    assert (short.point.strength, short.reached) == (2.0, False)
    assert "at most 0.015" in short.warnings(0.015)[0]


@given(st.lists(st.floats(0.2, 0.8), min_size=2, max_size=8, unique=True))
def test_intervals_are_students(values):
    found = Frontier(tuple(made(seed=k, accuracy=a, gap=0.1) for k, a in enumerate(values)), "demographic_parity")
    shown = found.points[0].values["accuracy"]
    known = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert shown.value == pytest.approx(np.mean(values))
    assert (shown.low, shown.high) == pytest.approx((max(known.low, 0.0), known.high))
    assert found.points[0].values[GAP].low is None
    assert "same value" in found.points[0].values[GAP].reason


def test_changes_are_paired_by_seed():
    base, after = [0.80, 0.84, 0.90], [0.788, 0.826, 0.889]
    every = [made(seed=k, accuracy=a, gap=0.1) for k, a in enumerate(base)]
    every += [made("gap_penalty", 1.0, k, accuracy=a, gap=0.1 - k / 100) for k, a in enumerate(after)]
    found = Frontier(tuple(every), "demographic_parity")
    change = found.change(found.points[1])["accuracy"]
    known = stats.ttest_rel(after, base).confidence_interval(0.95)
    assert (change.low, change.high) == pytest.approx((known.low, known.high))
    assert change.high < 0
    assert repr(found).endswith("accuracy lower, gap not told apart")
    warned = Frontier((*every[:-1], replace(every[-1], warnings=("collapse",))), "demographic_parity")
    assert repr(warned).endswith("accuracy lower, gap not told apart, warned")
    assert warned.points[1].warnings == ("collapse",)


def test_one_seed_has_no_interval_and_says_why():
    found = curve(seeds=1)
    shown = found.points[0].values["accuracy"]
    assert shown.low is None
    assert "one seed" in shown.reason


def test_a_second_run_trains_nothing(tmp_path, counted):
    first = curve(cache=tmp_path)
    assert len(counted) == 4
    assert len(list(tmp_path.iterdir())) == 4
    heard = []
    again = curve(cache=tmp_path, watch=lambda done, of, trial: heard.append((done, of, trial.method)))
    assert len(counted) == 4
    assert again.trials == first.trials
    assert heard == [(1, 4, "none"), (2, 4, "none"), (3, 4, "reweighing"), (4, 4, "reweighing")]
    curve(cache=tmp_path, strengths={"reweighing": (0.5, 1.0)})
    assert [(each.strength, each.seed) for each in counted[4:]] == [(0.5, 0), (0.5, 1)]


def spoilt(path, how):
    text = path.read_text()
    if how == "cut":
        path.write_text(text[: len(text) // 2])
    elif how == "changed":
        told = json.loads(text)
        told["trial"]["values"]["accuracy"] += 0.01
        path.write_text(json.dumps(told))
    elif how == "another's":
        other = next(each for each in path.parent.iterdir() if each != path)
        path.write_text(other.read_text())
    else:
        path.write_text(how)


@pytest.mark.parametrize("how", ["cut", "changed", "another's", "[]", "{}", "\xff"])
def test_a_file_that_is_not_as_it_was_written_is_made_again(tmp_path, counted, how):
    first = curve(cache=tmp_path)
    path = min(tmp_path.iterdir())
    spoilt(path, how)
    again = curve(cache=tmp_path)
    assert len(counted) == 5
    assert bare(again) == bare(first)
    assert cache.recalled(tmp_path, path.stem) in again.trials


def test_every_single_changed_byte_of_a_file_is_seen(tmp_path):
    key = cache.key_of({"a": 1})
    kept = made("gap_penalty", 1.0, 3, accuracy=0.8251, gap=0.02, warnings=("collapse",))
    cache.keep(tmp_path, key, kept)
    path = tmp_path / f"{key}.json"
    written = path.read_bytes()
    assert cache.recalled(tmp_path, key) == kept
    for place in range(len(written)):
        path.write_bytes(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
        assert cache.recalled(tmp_path, key) in (None, kept), place  # kept: a blank that means nothing


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, counted):
    def stop(done, of, trial):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curve(cache=tmp_path, watch=stop)
    assert len(counted) == 3
    found = curve(cache=tmp_path)
    assert len(counted) == 4
    assert bare(found) == bare(curve())


def keys(**changed):
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "trial", lambda work, asked: seen.append(work.key(asked)) or made(accuracy=0.5))
        curve(seeds=1, **changed)
    return seen


def shifted():
    net = network()
    with torch.no_grad():
        net[0].bias += 1e-6
    return net


@pytest.mark.parametrize(
    "changed",
    [
        {"network": shifted()},
        {"network": torch.nn.Sequential(*network(), torch.nn.Identity())},
        {"sensitive": 1 - TRAIN[2]},
        {"test": (TEST[0], TEST[1], 1 - TEST[2])},
        {"test": drawn(600, 2)},
        {"settings": replace(SETTINGS, epochs=5)},
        {"settings": replace(SETTINGS, seed=1)},
    ],
)
def test_whatever_determines_a_trial_is_in_its_name(changed):
    assert set(keys()) == set(keys())
    assert not set(keys(**changed)) & set(keys())


def test_the_baseline_knows_no_criterion():
    one, other = keys(), keys(criterion="equalized_odds")
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert keys(fair=Fair(ramp=5))[1] != one[1]


def test_several_processes_give_the_very_same_numbers(tmp_path, counted):
    methods = {"methods": ("none", "gap_penalty"), "strengths": {"gap_penalty": (1.0,)}}
    alone = curve(**methods)
    together = curve(**methods, jobs=2, cache=tmp_path)
    assert bare(together) == bare(alone)
    assert len(list(tmp_path.iterdir())) == 4
    assert curve(**methods, cache=tmp_path).trials == together.trials
    assert len(counted) == 4, "those of other processes are not counted here, and none was made again"


class Deadly(torch.nn.Linear):
    """A network that ends the process it is handed to."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_process_that_ends_is_told_and_what_was_kept_stays(tmp_path):
    curve(cache=tmp_path)
    with pytest.raises(InputError, match="one of the processes ended before its work was done"):
        curve(network=Deadly(2, 1), jobs=2, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_network_that_cannot_be_handed_over_is_told():
    net = network()
    net.extra = lambda: None
    with pytest.raises(InputError, match="cannot be handed to other processes"):
        curve(network=net, jobs=2)


def test_a_trial_that_cannot_be_trained_is_told_and_stops_no_other(tmp_path):
    found = curve(strengths={"reweighing": (1.0, 2.0)}, cache=tmp_path, seeds=1)
    assert [(each.method, each.strength) for each in found.points] == [("none", 0.0), ("reweighing", 1.0)]
    assert [each.strength for each in found.failed] == [2.0]
    assert "fair.strength" in found.failed[0].warnings[0]
    assert "reweighing 2, seed 0: failed: fair.strength" in repr(found)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(InputError, match="none of 2 trials could be trained; the first: fair.strength"):
        curve(methods=("reweighing",), strengths={"reweighing": (2.0,)})


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"criterion": "fairness"}, "criterion: is 'fairness'"),
        ({"methods": ("magic",)}, "methods: there is no method 'magic'"),
        ({"strengths": {"reweighting": (1,)}}, "there is no method 'reweighting'"),
        ({"strengths": {"reweighing": ()}}, "strengths.reweighing: lists no strength"),
        ({"strengths": {"reweighing": (-1,)}}, "strengths.reweighing: lists -1"),
        ({"fair": Fair(method="threshold", attribute_at_predict=True)}, "fair.attribute_at_predict: is on"),
        ({"seeds": 0}, "seeds: is 0"),
        ({"jobs": True}, "jobs: is True"),
        ({"test": TEST[:2]}, "test: nobody said who belongs to which group"),
    ],
)
def test_what_fits_nothing_is_refused(changed, match):
    with pytest.raises(InputError, match=match):
        curve(**changed)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_the_callers_draws_and_threads_are_left_alone():
    before = torch.get_rng_state()
    net = network()
    torch.set_rng_state(before)
    curve(network=net)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 2


def test_a_frame_has_a_row_a_point_and_a_ledger_takes_the_trials():
    found = curve()
    frame = found.to_frame()
    assert list(frame["method"]) == ["none", "reweighing"]
    assert frame.loc[1, f"{GAP}_low"] == found.points[1].values[GAP].low
    assert frame.loc[0, "accuracy"] == pytest.approx(np.mean([each.values["accuracy"] for each in found.trials[:2]]))
    told = Mitigation("demographic_parity", ("sex",), "reweighing", 1.0, trials=found.trials)
    assert len(told.trials) == 4


def test_the_chart_shows_every_point_and_joins_the_front():
    shown = [(0.85, 0.2), (0.84, 0.05), (0.80, 0.06)]
    every = [made("gap_penalty", k, s, accuracy=a + s / 100, gap=g) for k, (a, g) in enumerate(shown) for s in (0, 1)]
    found = Frontier((*every, made(accuracy=0.86, gap=0.3)), "demographic_parity")
    axes = found.plot()
    assert {each.get_text() for each in axes.texts} == {"gap penalty 0", "gap penalty 1", "gap penalty 2", "none"}
    line = axes.lines[-1]
    assert list(line.get_xdata()) == pytest.approx([0.05, 0.2, 0.3])
    assert list(line.get_ydata()) == pytest.approx([0.845, 0.855, 0.86])
    assert len(axes.containers) == 4
    hollow = [
        each.lines[0].get_xdata()[0] for each in axes.containers if each.lines[0].get_markerfacecolor() == "white"
    ]
    assert hollow == [0.06], "the dominated point stays, hollow"
