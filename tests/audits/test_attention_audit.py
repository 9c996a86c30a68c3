"""Agreement of attention with what moves the score, on models whose attention was planted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from rai.audits import Audit
from rai.audits.attention import MEASURES, NEEDS, measure
from rai.audits.attention.exhibits import words
from rai.audits.attention.seen import MOST_READ, looked, rank_agreements
from rai.card import Card, Head
from rai.models import bare
from rai.models.torch_model import TorchModel
from rai.run import examine
from rai.subject import Data, Player, Subject, Vocabulary

NAMES = ("[PAD]", "[MASK]", "[CLS]", *(f"w{each}" for each in range(20)))
WORDS = Vocabulary(NAMES, pad=0, mask=1, special=(2,))
PLANTED = 5


class Weighed(nn.Module):
    """The score is the sum of the words' weights; attention looks at `looks` and has no say in it."""

    def __init__(self, weights: np.ndarray, looks: np.ndarray, *, outputs: int = 1, masked: bool = True) -> None:
        super().__init__()
        self.weights, self.looks = (nn.Parameter(torch.tensor(each).float()) for each in (weights, looks))
        self.outputs, self.masked = outputs, masked
        self.look = nn.MultiheadAttention(1, 1, batch_first=True)
        with torch.no_grad():
            self.look.in_proj_weight.copy_(torch.tensor([[0.0], [1.0], [1.0]]))
            self.look.in_proj_bias.copy_(torch.tensor([1.0, 0.0, 0.0]))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        ids = ids.long()
        given = self.looks[ids][:, :, None]
        unread = ids.eq(0) if self.masked else None
        seen = self.look(given, given, given, key_padding_mask=unread)[0]
        score = self.weights[ids].sum(dim=1, keepdim=True) + 0 * seen[:, 0].nan_to_num()
        return torch.cat([(each + 1) * score for each in range(self.outputs)], dim=1)


class Reader(nn.Module):
    """Looks at every token alike, and only the planted token has a value."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(len(NAMES), 2)
        self.look = nn.MultiheadAttention(2, 1, batch_first=True)
        with torch.no_grad():
            self.table.weight.copy_(torch.eye(len(NAMES))[:, [PLANTED, 0]])
            self.look.in_proj_weight.zero_()
            self.look.in_proj_weight[4:] = torch.eye(2)
            self.look.out_proj.weight.copy_(torch.eye(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        given = self.table(ids.long())
        return self.look(given, given, given, key_padding_mask=ids.eq(0))[0].mean(dim=1)[:, :1]


def texts(ids: np.ndarray) -> Data:
    players = tuple(Player(f"token {each + 1}", (each,)) for each in range(ids.shape[1]))
    return Data("text", ids, ids.astype(float), None, {}, players, vocabulary=WORDS)


def on_trial(module: nn.Module, data: Data, *, outputs: int = 1) -> Subject:
    """A subject of two classes, or of as many as there are outputs."""
    head = Head.LOGIT if outputs == 1 else Head.LOGITS
    classes = ("no", "yes") if outputs == 1 else tuple("abc"[:outputs])
    card = Card("binary" if len(classes) == 2 else "multiclass", head=head, classes=classes)
    model = TorchModel(module.eval(), "planted", "in memory", head=head, tokens=data.kind == "text")
    return Subject("planted", model, data, card)


@pytest.fixture
def ids(rng):
    """Forty texts of four to seven words, each begun with [CLS]."""
    found = rng.integers(3, len(NAMES), size=(40, 8))
    found[:, 0] = 2
    return np.where(np.arange(8) < rng.integers(5, 9, size=40)[:, None], found, WORDS.pad)


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)


@pytest.fixture
def weights(rng):
    return np.concatenate([np.zeros(3), rng.normal(size=20)])


def named(found, name):
    return {each.facet.get("method"): each for each in found.measurements if each.name == name}


@pytest.mark.parametrize(("sign", "bound"), [(1, 0.3), (-1, -0.3)])
def test_agreement_is_that_of_the_planted_attention(ids, weights, rng, sign, bound) -> None:
    looks = sign * np.abs(weights) + 0.3 * rng.normal(size=len(weights))
    found = named(measure(on_trial(Weighed(weights, looks), texts(ids))), "attention_agreement")
    own = [row[(row != 0) & (row != 2)] for row in ids]
    expected = np.mean([spearmanr(looks[each], np.abs(weights[each])).statistic for each in own])
    assert found["raw"].value == pytest.approx(expected, abs=1e-6)
    assert found["raw"].rows == 40
    for name in ("raw", "rollout"):
        assert (found[name].low > bound) if sign > 0 else (found[name].high < bound)
    assert found["gradient"].value == 0  # the score does not pass through the attention


def test_gradient_agrees_where_attention_is_even(ids) -> None:
    ids[:, 1], ids[:, 0] = PLANTED, 7
    found = named(measure(on_trial(Reader(), texts(ids))), "attention_agreement")
    assert found["raw"].value == 0
    assert found["raw"].low is None
    assert "too little variation" in found["raw"].reason
    assert found["gradient"].value > 0.9


def test_of_several_classes_the_predicted_one_is_explained(ids, weights) -> None:
    """With outputs score, 2 score and 3 score the third or first class wins; each is moved by the same words."""
    subject = on_trial(Weighed(weights, np.abs(weights), outputs=3), texts(ids), outputs=3)
    seen = looked(subject)
    scale = 1 + subject.predicted[seen.rows].astype(float)
    expected = scale[:, None] * weights[ids[seen.rows]] * seen.member
    np.testing.assert_allclose(seen.moved, expected, atol=1e-5)
    assert set(scale) == {1.0, 3.0}


def test_rank_agreement_leaves_out_and_counts_as_said() -> None:
    looked_at = np.array(
        [[0.3, 0.2, 0.1, 9.0], [0.2, 0.2, 0.2, 0.0], [0.2, 0.2 + 1e-9, 0.1, 0], [1, 2, 0, 0], [3, 1, 2, 0]]
    )
    moved = np.array([[3, 2, 1, 9.0], [3, 2, 1, 0], [2, 2, 1, 0], [1, 2, 0, 0], [1, 1, 1, 0]])
    member = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=bool)
    found = rank_agreements(looked_at, moved, member)
    np.testing.assert_allclose(found, [1, 0, 1, np.nan, np.nan])


@pytest.mark.parametrize("masked", [True, False])
def test_padding_mass(ids, weights, masked) -> None:
    found = measure(on_trial(Weighed(weights, 0 * weights, masked=masked), texts(ids)))
    mass = named(found, "attention_padding_mass")[None]
    expected = 0 if masked else (ids == 0).mean(axis=1).max()
    assert mass.value == pytest.approx(expected, abs=1e-6)
    assert mass.rows == (ids == 0).any(axis=1).sum()


def test_without_padding_there_is_no_padding_mass(ids, weights) -> None:
    found = measure(on_trial(Weighed(weights, weights), texts(np.where(ids == 0, 4, ids))))
    mass = named(found, "attention_padding_mass")[None]
    assert mass.value is None
    assert mass.reason == "no row of the sample has padding"


def test_a_model_without_attention_is_not_measured(make_subject, rng) -> None:
    table = rng.normal(size=(30, 4)).astype(np.float32)
    plain = make_subject(np.full(30, 0.5), [0, 1] * 15, features=table)
    seen, hidden = (replace(plain, model=bare(each, table[:1])) for each in (nn.Linear(4, 1), lambda x: x[:, 0]))
    for subject, reason in ((seen, "no attention layers"), (hidden, "only its answers can be seen")):
        section = examine(Audit("attention", "?", NEEDS, MEASURES, measure), subject)
        assert not section.problem
        assert {each.name for each in section.evidence.measurements} == set(MEASURES)
        assert all(each.value is None and reason in each.reason for each in section.evidence.measurements)
        assert not section.evidence.exhibits


def test_words_are_counted_as_a_slow_loop_does(ids, weights) -> None:
    seen = looked(on_trial(Weighed(weights, weights), texts(ids)))
    found = words(seen)
    for place, token in enumerate(found.tokens):
        rows = [row for row in range(40) if token in ids[row]]
        shares = []
        for row in rows:
            own = np.flatnonzero((ids[row] != 0) & (ids[row] != 2))
            even = seen.attention[row, own].sum() / len(own)
            shares.append(np.mean([seen.attention[row, at] / even for at in own if ids[row, at] == token]))
        assert found.rows[place] == len(rows)
        assert found.attention[place] == pytest.approx(np.mean(shares))
        assert found.moved[place] == pytest.approx(abs(weights[token]), abs=1e-5)


def test_only_words_of_five_rows_are_shown(ids, weights) -> None:
    rare, common = 20, 21
    ids[np.isin(ids, (rare, common))] = 4
    ids[:4, 1], ids[:5, 2] = rare, common
    weights[[rare, common]] = 50, 40
    told = measure(on_trial(Weighed(weights, weights / 10), texts(ids)))
    table = next(each for each in told.exhibits if each.kind == "table")
    assert NAMES[common] in {line[0] for line in table.rows}
    assert NAMES[rare] not in repr(told.exhibits)
    assert f"{NAMES[common]} gets most attention and moves the score most" in table.title
    assert all(line[1] >= 5 for line in table.rows)
    assert "[CLS]" not in {line[0] for line in table.rows}


def test_positions_that_few_rows_reach_are_left_out(ids, weights) -> None:
    ids[:, 6:] = 0
    ids[:4, 6] = 4
    grid = next(
        each
        for each in measure(on_trial(Weighed(weights, weights), texts(ids))).exhibits
        if "looks, mean" in each.title
    )
    filled = np.array([[value is not None for value in line] for line in grid.values])
    assert filled[:5, :5].all()
    assert not filled[6:].any()
    assert not filled[:, 6:].any()


def test_empty_texts_are_left_out_and_alone_show_nothing(ids, weights) -> None:
    module = Weighed(weights, weights)
    whole = named(measure(on_trial(module, texts(ids))), "attention_agreement")["raw"]
    blank = np.concatenate([ids, np.zeros((12, 8), dtype=np.int64)])
    blank[40:46, 0] = 2
    found = named(measure(on_trial(module, texts(blank))), "attention_agreement")["raw"]
    assert (found.value, found.rows) == (pytest.approx(whole.value), 40)
    alone = measure(on_trial(module, texts(blank[46:])))
    assert all(each.value is None and "anything to look at" in each.reason for each in alone.measurements)


def test_four_rows_show_nothing(ids, weights) -> None:
    found = measure(on_trial(Weighed(weights, weights), texts(ids[:4])))
    assert all(each.value is None for each in found.measurements)
    assert [each.kind for each in found.exhibits] == ["bars"]


def test_the_model_is_asked_a_bounded_number_of_times(rng, weights) -> None:
    """Six hundred texts of sixty words: their Shapley values read about 300,000 tokens."""
    data = texts(rng.integers(3, len(NAMES), size=(600, 60)))
    asked = []

    class Counted(Weighed):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            asked.append(len(ids))
            return super().forward(ids)

    subject = on_trial(Counted(weights, weights), data)
    asked.clear()
    found = measure(subject)
    assert sum(asked) * 60 < 1.3 * MOST_READ
    assert named(found, "attention_agreement")["raw"].rows == MOST_READ // 60 // (4 * 60 + 2)


def test_the_same_subject_gives_the_same_evidence(ids, weights) -> None:
    subject = on_trial(Weighed(weights, weights), texts(ids))
    assert repr(measure(subject)) == repr(measure(subject))


def test_sequences_are_held_against_whole_steps(rng) -> None:
    """Only the last third of a sequence counts, and the model looks where it counts."""

    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.look = nn.MultiheadAttention(3, 1, batch_first=True)
            with torch.no_grad():
                self.look.in_proj_weight.zero_()
                self.look.in_proj_bias.zero_()
                self.look.in_proj_bias[0] = 3
                self.look.in_proj_weight[3, 2] = 1
                self.look.in_proj_weight[6, 0] = 1
                self.look.out_proj.weight.copy_(torch.eye(3))

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            late = (torch.arange(6) / 2).floor().expand(len(rows), 6)[:, :, None]
            given = torch.cat([rows, late], dim=2)
            return self.look(given, given, given)[0].mean(dim=1)[:, :1]

    inputs = rng.normal(size=(30, 6, 2)).astype(np.float32)
    cells = [
        Player(f"{name}, {part}", (4 * part + at, 4 * part + at + 2))
        for part in range(3)
        for at, name in ((0, "x"), (1, "y"))
    ]
    data = Data("sequence", inputs, inputs.reshape(30, -1), None, {}, tuple(cells))
    found = measure(on_trial(Late(), data))
    assert named(found, "attention_agreement")["raw"].low > 0.5
    assert not any(each.kind == "table" for each in found.exhibits)
