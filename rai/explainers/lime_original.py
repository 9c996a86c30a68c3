"""The package lime itself: the weights of a small linear model fitted around each row."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.explainers.games import Game
from rai.explainers.lime_space import NOTE, TABLE_NOTE, Space, space_of
from rai.explainers.options import chosen
from rai.explainers.parts import solved
from rai.explainers.questions import Question, named
from rai.subject import Floats

TABLE_SAMPLES = TEXT_SAMPLES = 5000
IMAGE_SAMPLES = 1000
BATCH = 4096
HIDDEN = "_"


def explain(question: Question) -> Attribution:
    """LIME weights by the package lime (Ribeiro et al. 2016, arXiv:1602.04938), which gives no standard error.

    A table goes to LimeTabularExplainer with the background as its training rows; option `discretize_continuous`
    (default False) cuts numbers into quarters. Images and sequences go to LimeImageExplainer with patches or time
    segments as its superpixels, texts to LimeTextExplainer with a word for each token; what is hidden is replaced by
    the background's mean, or by the mask token. `budget`: samples a row (default lime's own: 5,000, images 1,000).
    """
    options = chosen(question, discretize_continuous=False)
    if question.data.kind == "table":
        return _table(question, discretize=bool(options["discretize_continuous"]))
    solve = partial(_words if question.data.kind == "text" else _patches, samples=question.budget)
    return replace(solved(question, solve, "lime"), note=NOTE)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without lime's warnings and progress bars."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _table(question: Question, *, discretize: bool) -> Attribution:
    space, samples = space_of(question), question.budget or TABLE_SAMPLES
    rows, players = space.rows.shape
    outputs = question.full.shape[1]
    values, base = np.empty((rows, players, outputs)), np.empty((rows, outputs))
    with _quiet():
        explainer = _explainer(space, question.seed, discretize=discretize)
        for row in range(rows):
            local = explainer.explain_instance(
                space.rows[row], space.score, labels=range(outputs), num_features=players, num_samples=samples
            )
            values[row] = _weights(local, players, outputs)
            base[row] = [local.intercept[output] for output in range(outputs)]
    found = Shares(values, np.full_like(values, np.nan))
    return named(question, found, base, method="lime", rows_scored=rows * (samples + 1), note=TABLE_NOTE)


def _explainer(space: Space, seed: int, *, discretize: bool) -> Any:
    from lime.lime_tabular import LimeTabularExplainer  # type: ignore[import-untyped]

    return LimeTabularExplainer(
        space.background,
        categorical_features=np.flatnonzero(space.drawn),
        feature_selection="none",
        discretize_continuous=discretize,
        random_state=seed,
    )


def _weights(local: Any, players: int, outputs: int) -> NDArray[np.float64]:
    """The weights of a fitted explanation, (players, outputs)."""
    found = np.zeros((players, outputs))
    for output in range(outputs):
        for player, weight in local.local_exp[output]:
            found[player, output] = weight
    return found


def hiding(asked: Game) -> Game:
    """The same game with one background row, the mean, as lime hides what is left out behind one colour."""
    return replace(asked, background=asked.background.mean(axis=0, keepdims=True))


def _patches(asked: Game, rng: np.random.Generator, *, samples: int | None) -> Shares:
    """Each player is one pixel of a picture that is 1 where the player is shown and 0 where it is hidden."""
    from lime.lime_image import LimeImageExplainer  # type: ignore[import-untyped]

    players, count = len(asked.players), samples or IMAGE_SAMPLES
    explainer = LimeImageExplainer(feature_selection="none", random_state=int(rng.integers(2**31)))
    picture, segments = np.ones((players, 1, 1)), np.arange(players)[:, None]

    def run(scores: Any) -> Any:
        return explainer.explain_instance(
            picture,
            lambda pictures: scores(pictures[:, :, 0, 0] > 0.5),
            labels=range(asked.full.shape[1]),
            hide_color=0,
            top_labels=None,
            num_samples=count,
            batch_size=BATCH,
            segmentation_fn=lambda _: segments,
        )

    return _each_row(asked, run)


def _words(asked: Game, rng: np.random.Generator, *, samples: int | None) -> Shares:
    """Each player is one word of a text, its number; a hidden word is an underscore."""
    from lime.lime_text import LimeTextExplainer  # type: ignore[import-untyped]

    players = len(asked.players)
    explainer = LimeTextExplainer(
        feature_selection="none",
        split_expression=str.split,
        bow=False,
        mask_string=HIDDEN,
        random_state=int(rng.integers(2**31)),
    )
    text = " ".join(map(str, range(players)))

    def run(scores: Any) -> Any:
        return explainer.explain_instance(
            text,
            lambda texts: scores(np.array([[word != HIDDEN for word in each.split()] for each in texts])),
            labels=range(asked.full.shape[1]),
            num_features=players,
            num_samples=samples or TEXT_SAMPLES,
        )

    return _each_row(asked, run)


def _each_row(asked: Game, run: Any) -> Shares:
    hidden, players, outputs = hiding(asked), len(asked.players), asked.full.shape[1]
    values = np.zeros((len(asked.rows), players, outputs))
    for row in range(len(values) if players else 0):

        def scores(members: Any, row: int = row) -> Floats:
            return np.asarray(hidden.values(members, slice(row, row + 1))[0])

        with _quiet():
            values[row] = _weights(run(scores), players, outputs)
    return Shares(values, np.full_like(values, np.nan))
