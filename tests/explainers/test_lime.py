"""LIME, the package's and ours: the same coefficients from the same samples, and errors that hold."""

import numpy as np
import pandas as pd
import pytest
from lime.lime_image import LimeImageExplainer
from lime.lime_tabular import LimeTabularExplainer
from lime.lime_text import LimeTextExplainer

from rai.errors import InputError
from rai.explainers import Question, Target, lime_fast, method
from rai.explainers.lime_space import space_of
from rai.explaining import explain
from rai.models import bare
from rai.subject import Data, Player, Vocabulary

BOTH = ("lime", "lime_fast")


def table(inputs, players):
    return Data("table", inputs, inputs, None, {}, players)


@pytest.fixture
def tanh(rng):
    first, last = rng.normal(size=(7, 16)) / 2, rng.normal(size=(16, 2))
    return lambda x: np.tanh(np.asarray(x) @ first) @ last


@pytest.fixture
def rows(rng):
    return rng.normal(size=(60, 7)) * np.array([1, 2, 0.1, 1, 5, 1, 1]) + np.arange(7)


@pytest.fixture
def onehot(rng):
    """A number and a category of three inputs; what the model was shown is kept."""
    codes = rng.integers(3, size=40)
    inputs = np.concatenate([rng.normal(size=(40, 1)), np.eye(3)[codes]], axis=1)
    players = (Player("number", (0,)), Player("category", (1, 2, 3)))
    seen = []

    def score(x):
        seen.append(x.copy())
        return x[:, 0] + 4 * x[:, 2]

    data = table(inputs, players)
    return Question(bare(score, inputs[:1]), Target(), data.take(np.arange(6)), data), seen


def test_coefficients_equal_limes_own_on_the_same_samples(tanh, rows, singles):
    """lime's neighbourhood, distances and scores go through lime's own regression and through ours."""
    explainer = LimeTabularExplainer(rows, feature_selection="none", discretize_continuous=False, random_state=3)
    data, _ = explainer._LimeTabularExplainer__data_inverse(rows[4], 800)
    scaled = (data - explainer.scaler.mean_) / explainer.scaler.scale_
    distances, scores = np.linalg.norm(scaled - scaled[0], axis=1), tanh(data)
    asked = Question(bare(tanh, rows[:1]), Target(), table(rows, singles(7)), table(rows, singles(7)))
    ours = lime_fast._around(space_of(asked), data[1:], scores[1:], 4, tanh(rows))
    for output in (0, 1):
        theirs = explainer.base.explain_instance_with_data(
            scaled, scores, distances, output, 7, feature_selection="none"
        )
        coefficients = [weight for _, weight in sorted(theirs[1])]
        np.testing.assert_allclose(ours.weights[:, output], coefficients, atol=1e-9)
        assert ours.intercept[output] == pytest.approx(theirs[0], abs=1e-9)


def test_masks_of_images_and_texts_weigh_as_limes_own(rng):
    """Masks are caught where lime asks the model; the same masks give the same coefficients."""
    effects, caught = rng.normal(size=6), []

    def score(masks):
        caught.append(masks)
        return (masks @ effects + masks[:, 0] * masks[:, 1])[:, None]

    image = LimeImageExplainer(feature_selection="none", random_state=1).explain_instance(
        np.ones((6, 1, 1)),
        lambda pictures: score(pictures[:, :, 0, 0]),
        labels=(0,),
        top_labels=None,
        hide_color=0,
        num_samples=200,
        batch_size=200,
        segmentation_fn=lambda _: np.arange(6)[:, None],
    )
    text = LimeTextExplainer(
        feature_selection="none", split_expression=str.split, bow=False, mask_string="_", random_state=1
    ).explain_instance(
        "0 1 2 3 4 5",
        lambda texts: score(np.array([[word != "_" for word in each.split()] for each in texts], dtype=float)),
        labels=(0,),
        num_samples=200,
    )
    for theirs, masks in zip((image, text), caught, strict=True):
        scores = (masks @ effects + masks[:, 0] * masks[:, 1])[:, None]
        ours = lime_fast.ridge(masks, scores, lime_fast.closeness(masks > 0.5))
        coefficients = [weight for _, weight in sorted(theirs.local_exp[0])]
        np.testing.assert_allclose(ours.weights[:, 0], coefficients, atol=1e-9)


def test_the_package_is_asked_as_its_manual_says(tanh, rows):
    """Ours behind the door equals a plain use of lime with the same seed."""
    found = explain(tanh, rows[:2], reference=rows, method="lime", budget=500, random_state=9)
    explainer = LimeTabularExplainer(
        rows, mode="regression", feature_selection="none", discretize_continuous=False, random_state=9
    )
    for row in (0, 1):
        plain = explainer.explain_instance(rows[row], lambda x: tanh(x)[:, 0], num_features=7, num_samples=500)
        np.testing.assert_allclose(found.values[row, :, 0], [w for _, w in sorted(plain.local_exp[1])], atol=1e-9)


def test_both_agree_within_errors(tanh, rows):
    ours = explain(tanh, rows[:3], reference=rows, method="lime_fast", budget=20_000)
    theirs = explain(tanh, rows[:3], reference=rows, method="lime", budget=20_000)
    again = explain(tanh, rows[:3], reference=rows, method="lime_fast", budget=20_000, random_state=1)
    noise = np.hypot(ours.error, again.error)
    assert (np.abs(ours.values - theirs.values) < 5 * noise).all()
    assert (np.abs(ours.values - theirs.values) > 0).any()


def test_errors_are_what_seeds_differ_by(tanh, rows):
    found = [explain(tanh, rows[:1], reference=rows, method="lime_fast", budget=600, random_state=s) for s in range(80)]
    spread = np.std([each.values for each in found], axis=0, ddof=1)
    stated = np.mean([each.error for each in found], axis=0)
    np.testing.assert_allclose((stated / spread).mean(), 1, atol=0.12)
    assert ((stated / spread) > 0.7).all()


def test_a_linear_model_has_its_coefficients_per_standard_deviation(rows):
    weights = np.array([1.0, -2, 3, 0, 5, -6, 7])
    found = explain(lambda x: x @ weights, rows[:4], reference=rows, method="lime_fast")
    np.testing.assert_allclose(found.values, np.tile(weights * rows.std(axis=0), (4, 1)), rtol=0.01, atol=0.01)
    assert (found.error < 0.01 * np.abs(found.values).max()).all()


@pytest.mark.parametrize("name", BOTH)
def test_categories_are_drawn_whole(onehot, name):
    asked, seen = onehot
    found = method(name)(asked)
    shown = np.concatenate(seen)[:, 1:]
    assert (np.sort(shown, axis=1) == [0, 0, 1]).all()
    second = asked.data.inputs[:, 2] == 1
    assert (found.values[second, 1] > 3).all()
    assert (found.values[~second, 1] < -1).all()


@pytest.mark.parametrize("name", BOTH)
def test_columns_of_a_frame_keep_their_kinds(rng, name):
    frame = pd.DataFrame({"colour": rng.choice(["red", "blue"], 60), "size": rng.integers(3, size=60), "idle": 1.5})

    def score(given):
        assert list(given.dtypes) == list(frame.dtypes)
        return np.where(given["colour"] == "red", 3.0, 0.0) + given["size"].to_numpy()

    found = explain(score, frame.iloc[:8], reference=frame, method=name, budget=800)
    red = (frame["colour"] == "red").to_numpy()[:8]
    assert (found.values[red, 0] > 2).all()
    assert (found.values[~red, 0] < -2).all()
    np.testing.assert_allclose(found.values[:, 2], 0, atol=1e-6)


def test_sampling_stops_once_five_features_stand_out(rng):
    rows = rng.normal(size=(50, 8))
    clear = explain(lambda x: x @ [9, 9, 9, 9, 9, 0, 0, 0], rows[:2], reference=rows, method="lime_fast")
    tied = explain(lambda x: np.cos(9 * x).sum(axis=1), rows[:2], reference=rows, method="lime_fast")
    assert clear.rows_scored == 2 + lime_fast.FIRST
    assert tied.rows_scored == 2 + lime_fast.MOST
    assert "not told apart for 2 of 2 rows" in tied.note
    assert "told apart" not in clear.note


def cells(kind):
    """Eight cells of an image, a sequence or a text, of which the third and the sixth count."""
    players = tuple(Player(f"cell {each + 1}", (each,)) for each in range(8))
    words = Vocabulary(tuple("pmabcdefgh"), pad=0, mask=1)
    shape = {"image": (1, 2, 4), "sequence": (4, 2), "text": (8,)}[kind]
    own = np.arange(2, 10).reshape(1, *shape)
    inputs = own if kind == "text" else own.astype(np.float32)
    empty = np.ones_like(inputs)
    score = bare(lambda x: 5.0 * (x.reshape(len(x), -1)[:, 2] == 4) - 3.0 * (x.reshape(len(x), -1)[:, 5] == 7), inputs)

    def data(some):
        return Data(kind, some, some.reshape(1, -1).astype(float), None, {}, players, vocabulary=words)

    return lambda **said: Question(score, Target(), data(inputs), data(empty), **said)


@pytest.mark.parametrize("kind", ["image", "sequence", "text"])
@pytest.mark.parametrize("name", BOTH)
def test_what_counts_is_found_in_every_kind(kind, name, capfd):
    found = method(name)(cells(kind)()).values[0]
    np.testing.assert_allclose(found, [0, 0, 5, 0, 0, -3, 0, 0], atol=0.15)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", BOTH)
def test_a_seed_repeats_and_another_differs(kind, name):
    first, again, other = (method(name)(cells(kind)(seed=seed, budget=60)).values for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("name", BOTH)
def test_what_cannot_be_done_is_said(rows, name):
    holed = np.where(rows > 6.5, np.nan, rows)
    with pytest.raises(InputError, match="missing or infinite values"):
        explain(lambda x: np.nan_to_num(x)[:, 0], holed, method=name)
    with pytest.raises(InputError, match="option colour: is no option"):
        explain(lambda x: x[:, 0], rows, method=name, colour="red")


def test_options_reach_the_package(tanh, rows):
    plain, cut = (
        explain(tanh, rows[:1], reference=rows, method="lime", discretize_continuous=each) for each in (False, True)
    )
    assert np.abs(plain.values - cut.values).max() > 0.05
