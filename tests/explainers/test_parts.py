"""The games of texts: each ordinary token is a player of its row, whatever stands there in other rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import rai
from rai.explainers import Question, Target
from rai.explainers.parts import parts
from rai.models import bare
from rai.subject import Data, Player, Vocabulary

WORDS = Vocabulary((*"pmsabcdef",), pad=0, mask=1, special=(0, 2))
WORTH = np.array([0.0, 0.5, 0.0, 1.0, -2.0, 3.0, -4.0, 5.0, -6.0])


def score(rows: np.ndarray) -> np.ndarray:
    """A sum over the tokens, so that each token's share is known: its worth less the mask's."""
    return WORTH[rows].sum(axis=1)


def question(rows: np.ndarray) -> Question:
    players = tuple(Player(f"token {place + 1}", (place,)) for place in range(rows.shape[1]))
    data = Data("text", rows, rows.astype(float), None, {}, players, vocabulary=WORDS)
    return Question(bare(score, rows[:1], tokens=True), Target(), data, data)


def played(rows: np.ndarray) -> list[list[int]]:
    """Which positions are players of each row."""
    found: list[list[int]] = [[] for _ in rows]
    for part in parts(question(rows)):
        for row in part.rows:
            found[row] += part.players.tolist()
    return found


def test_a_special_token_in_one_row_hides_no_word_of_another() -> None:
    mixed = np.array([[3, 4, 5, 0], [3, 2, 5, 0], [2, 4, 2, 0], [6, 7, 8, 3], [2, 3, 0, 0]])
    found = rai.explain(score, mixed, kind="text", vocabulary=WORDS)
    expected = np.where(np.isin(mixed, WORDS.special), 0.0, WORTH[mixed] - WORTH[WORDS.mask])
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), score(mixed), atol=1e-12)


rows_of_text = st.lists(st.lists(st.integers(0, 8), min_size=5, max_size=5), min_size=1, max_size=8)


@settings(deadline=None)
@given(rows_of_text)
def test_rows_together_have_the_players_that_each_has_alone(texts: list[list[int]]) -> None:
    rows = np.array(texts)
    assert played(rows) == [played(rows[place : place + 1])[0] for place in range(len(rows))]
    alone = [[place for place, token in enumerate(row) if token not in WORDS.special] for row in texts]
    assert played(rows) == alone
