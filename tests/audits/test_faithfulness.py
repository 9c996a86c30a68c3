"""The audit of explanations: true ones are believed, frauds are named, and what could not be run is said."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rai.audits import faithfulness
from rai.audits.faithfulness import trials as trials_module
from rai.audits.faithfulness.exhibits import BEATS, NO_BETTER, UNSURE, words
from rai.audits.faithfulness.trials import Trial, Untried, case_of, measured, trial, tried
from rai.card import Card, Head
from rai.evidence import Measurement
from rai.explainers import method
from rai.explainers.scaffolding import MADE_UP
from rai.models import bare
from rai.policy import judge, read_policy
from rai.subject import Data, Player, Subject


def subject_of(score, rows=400, columns=8, seed=0, outputs=1):
    X = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    players = tuple(Player(f"x{each}", (each,)) for each in range(columns))
    data = Data("table", X, X, (X[:, 0] > 0).astype(int), {}, players)
    classes = ("no", "yes") if outputs == 1 else tuple("abcdef"[:outputs])
    card = Card("binary" if outputs == 1 else "multiclass", classes=classes)
    head = Head.LOGIT if outputs == 1 else Head.LOGITS
    return Subject("s", replace(bare(score, X[:1]), head=head), data, card, seed=seed)


def net(seed=0, columns=8, outputs=1, hidden=32):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(columns, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))


@pytest.fixture(scope="module")
def whole():
    return faithfulness.measure(subject_of(net()))


def shuffled(question):
    """A fraud: the right values on the wrong features."""
    found = method("shapley")(question)
    return replace(found, values=question.rng().permuted(found.values, axis=1))


def test_the_methods_of_a_network_beat_a_random_order(whole, one):
    for name in ("shapley", "integrated_gradients", "occlusion"):
        assert one(whole, "deletion_gain", method=name).low > 0.3
        assert one(whole, "randomisation_similarity", method=name).high < 0.8
    assert one(whole, "stability", method="shapley").value == 1
    assert one(whole, "sampling_error", method="shapley").value == 0
    assert one(whole, "shapley_distance", method="shapley").value == pytest.approx(0, abs=1e-9)
    assert one(whole, "shapley_distance", method="integrated_gradients").low > 0.01
    assert one(whole, "completeness_gap", method="shapley").high < 1e-9
    for made_up in MADE_UP:
        assert one(whole, "scaffolding_gap", **{"made up": made_up}).high < 0.1


def test_what_was_measured_is_what_was_announced(whole):
    assert {each.name for each in whole.measurements} == set(faithfulness.MEASURES)


def test_a_method_that_does_not_promise_a_sum_is_not_held_to_it(whole):
    promised = {each.facet["method"] for each in whole.measurements if each.name == "completeness_gap"}
    assert promised == {"shapley", "integrated_gradients"}


def test_the_table_names_what_was_not_run_and_why(whole):
    lines = {line[0]: line for line in whole.exhibits[0].rows}
    assert lines["grad_cam"][-1].startswith("not run: ")
    assert set(lines["grad_cam"][1:-1]) == {None}
    assert lines["shapley"][-1] == BEATS
    assert "shapley" in whole.exhibits[0].title


def test_the_curve_holds_method_reverse_random_and_best(whole):
    curve = whole.exhibits[1]
    lines = {each.name: np.array(each.y) for each in curve.lines}
    assert (lines["shapley"][1:-1] < lines["random orders"][1:-1]).all()
    assert (lines["shapley reversed"][1:-1] > lines["random orders"][1:-1]).all()
    assert lines["best order found"].mean() <= lines["shapley"].mean() + 1e-9
    np.testing.assert_allclose([each[0] for each in lines.values()], lines["shapley"][0])


@pytest.mark.parametrize("seed", range(4))
def test_a_shuffled_explanation_is_not_to_be_relied_on(seed):
    case = case_of(subject_of(net(seed), seed=seed))
    rng = np.random.default_rng(seed)
    trials = {"true": trial(case, "true", method("shapley")), "fraud": trial(case, "fraud", shuffled)}
    said = words({name: measured(each, "deletion_gain", rng) for name, each in trials.items()})
    assert said == {"true": BEATS, "fraud": NO_BETTER}


def test_words_follow_the_intervals():
    def gain(low, value, high):
        return Measurement("deletion_gain", value, low, high, 9)

    said = words({"a": gain(0.5, 0.6, 0.7), "b": gain(-0.1, 0.1, 0.3), "c": gain(-0.1, 0.4, 0.9)})
    assert said == {"a": BEATS, "b": NO_BETTER, "c": UNSURE}
    best = gain(0.9, 1.0, 1.1)
    assert words({"a": gain(-0.1, 0.1, 0.3), "b": gain(-0.5, 0.4, 1.3)}, best) == {"a": NO_BETTER, "b": UNSURE}
    none = Measurement("deletion_gain", None, None, None, 9, reason="nothing moves")
    assert words({"a": none}) == {"a": "not told: nothing moves"}


def test_each_row_of_several_classes_is_explained_for_its_predicted_class(one):
    subject = subject_of(net(outputs=3), outputs=3)
    found = faithfulness.measure(subject)
    assert one(found, "deletion_gain", method="shapley").low > 0.3
    assert one(found, "completeness_gap", method="integrated_gradients").high < 0.02


def test_a_black_box_says_why_its_parameters_were_not_drawn(one):
    found = faithfulness.measure(subject_of(lambda table: table[:, 0] - table[:, 1]))
    missing = one(found, "randomisation_similarity", method="shapley")
    assert missing.value is None
    assert "only its answers can be seen" in missing.reason
    assert not any(each.facet.get("method") == "integrated_gradients" for each in found.measurements)


def test_a_constant_model_has_no_gain_and_no_alarm(one):
    found = faithfulness.measure(subject_of(lambda table: np.zeros(len(table))))
    gain = one(found, "deletion_gain", method="shapley")
    assert gain.value is None
    assert gain.reason
    assert "not told" in found.exhibits[0].rows[0][-1]


def test_four_people_are_not_shown(one):
    found = faithfulness.measure(subject_of(net(), rows=4))
    assert one(found, "deletion_gain", method="shapley").value is None
    assert {each.kind for each in found.exhibits} == {"table"}


def test_a_method_whose_package_is_missing_is_untried(monkeypatch):
    def absent(_):
        raise ImportError("No module named 'captum'")

    monkeypatch.setattr(trials_module, "explain_by", lambda name: absent)
    (found,) = tried(case_of(subject_of(net(), rows=20)), ("shapley",))
    assert found == Untried("shapley", "a package is missing: No module named 'captum'")


def test_many_columns_are_tried_on_fewer_rows():
    case = case_of(subject_of(net(columns=60), columns=60))
    assert case.question.data.rows == 8
    assert isinstance(next(iter(tried(case, ("occlusion",)))), Trial)


def test_the_same_seed_sees_the_same():
    first, second = (faithfulness.measure(subject_of(net(), rows=150)) for _ in range(2))
    assert first == second


def planes(rows, seed):
    """Columns 0 and 1 are coins; the others lie near a plane, so that made-up rows leave it."""
    rng = np.random.default_rng(seed)
    bound = rng.normal(size=(rows, 2)) @ np.random.default_rng(9).normal(size=(2, 8)) + 0.1 * rng.normal(size=(rows, 8))
    return np.column_stack([rng.integers(0, 2, (rows, 2)), bound]).astype(np.float32)


def hidden(table):
    """The coin of column 0 decides near the plane, that of column 1 elsewhere."""
    plane = np.linalg.svd(planes(1500, 77)[:, 2:], full_matrices=False)[2][:2]
    off = np.linalg.norm(table[:, 2:] - table[:, 2:] @ plane.T @ plane, axis=1)
    return np.where(off < 0.6, table[:, 0], table[:, 1]) * 4.0 - 2


def scaffolded(score):
    subject, rows = subject_of(score, rows=1000, columns=10), planes(1000, 3)
    subject = replace(subject, data=replace(subject.data, inputs=rows, features=rows))
    return faithfulness.scaffolded(subject, case_of(subject))


@pytest.mark.parametrize(("score", "expected"), [(hidden, "fail"), (lambda table: table[:, 0] * 4.0 - 2, "pass")])
def test_the_default_policy_fails_a_scaffold_and_passes_its_twin(score, expected):
    judged = judge(read_policy("default"), scaffolded(score).measurements, {}, "binary")
    assert [str(each.verdict) for each in judged if each.rule.id == "EXPL-05"] == [expected] * len(MADE_UP)


def test_the_table_shows_what_the_scaffold_hides():
    shown = scaffolded(hidden).exhibits[0]
    real, *made_up = (dict(zip([line[0] for line in shown.rows], cells, strict=True)) for cells in columns_of(shown))
    assert real["x0"] > 0.7
    assert all(each["x1"] > 0.5 > each["x0"] for each in made_up)
    assert "x0 has" in shown.title or "x1 has" in shown.title


def test_made_up_rows_that_cannot_be_scored_leave_the_gap_undefined():
    found = scaffolded(lambda table: np.where(table[:, 0] < 0, np.nan, table[:, 0]))
    gaps = [each for each in found.measurements if each.name == "scaffolding_gap"]
    assert [each.value is None for each in gaps] == [False, True]
    assert "not finite" in gaps[1].reason
    assert len(found.exhibits[0].columns) == 3


def columns_of(table):
    return list(zip(*(line[1:] for line in table.rows), strict=True))
