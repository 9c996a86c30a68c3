"""What a transformer looks at in a sample of rows, and what moves its score there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from scipy.stats import rankdata

from rai.audits._explained import main_output, question_of, sampled_rows
from rai.audits._lift import counted, lift, undefined
from rai.errors import InputError
from rai.evidence import Measurement
from rai.explainers import Attribution, Question, method
from rai.explainers.attention_heads import Heads, heads
from rai.explainers.attention_seats import Seats, seats, whole_steps
from rai.explainers.parts import parts
from rai.stats.bootstrap import bootstrap_rows
from rai.subject import Bools, Data, Floats, Ints, Subject

METHODS: Mapping[str, str] = MappingProxyType(
    {"raw": "attention", "rollout": "attention.rollout", "gradient": "attention.gradient"}
)
MOST_ROWS = 64
FEWEST_ROWS = 10
MOST_SCORED = 10_000
"""Inputs the model is asked about for the Shapley values of all rows, unless the fewest rows take more."""
MOST_READ = 300_000
"""Tokens, steps or patches that these inputs hold together."""
BACKGROUND = 4
PER_PLAYER = 40
FEWEST_TOKENS = 3
DIGITS = 6


@dataclass(frozen=True)
class Looked:
    """The sample: `rows` are positions in the test data, `member`, (rows, players), marks the players of each row.

    `attention` holds raw attention and `moved` the Shapley values of the explained output, both (rows, players).
    """

    rows: Ints
    question: Question
    where: Seats
    heads: Heads
    attention: Floats
    moved: Floats
    member: Bools

    @property
    def data(self) -> Data:
        """The sampled rows."""
        return self.question.data


def looked(subject: Subject) -> Looked:
    """Attention and Shapley values of a sample of rows; raise `InputError` where attention cannot be read."""
    from rai.explainers.attention_maps import require_attention  # imports torch

    subject.model.inside(require_attention, subject.data.inputs[:1])
    rows, budget = _sampled(subject)
    question = _question(subject, rows, budget)
    where = seats(question.data)
    return Looked(
        rows,
        question,
        where,
        subject.model.inside(heads, question.data.inputs, where=where),
        _explained(subject, question, rows, "attention").values,
        _explained(subject, question, rows, "shapley").values,
        _members(question),
    )


def agreement(subject: Subject, seen: Looked, name: str) -> Measurement:
    """How far the order of tokens by one attention method is that by Shapley values."""
    facet = {"method": name}
    try:
        found = _explained(subject, seen.question, seen.rows, METHODS[name]).values
    except InputError as error:
        return undefined("attention_agreement", str(error), facet=facet)
    moved = np.maximum(seen.moved, 0) if name == "gradient" else np.abs(seen.moved)
    each = rank_agreements(found, moved, seen.member)
    known = each[~np.isnan(each)]
    if not known.size:
        reason = f"in no row of the sample do {FEWEST_TOKENS} tokens differ in what they do to the score"
        return undefined("attention_agreement", reason, facet=facet)
    rng = subject.rng(f"attention {name}")
    estimate = bootstrap_rows(lambda weights: weights @ known / weights.sum(axis=1), len(known), rng)
    return lift(estimate, "attention_agreement", facet=facet)


def padding(seen: Looked) -> Measurement:
    """The most attention that any position gives to the padding of its row."""
    padded = ~seen.where.there.all(axis=1)
    if not padded.any():
        return undefined("attention_padding_mass", "no row of the sample has padding")
    return counted("attention_padding_mass", float(seen.heads.padding[padded].max()), int(padded.sum()), unit="share")


def rank_agreements(looked_at: Floats, moved: Floats, member: Bools) -> Floats:
    """Spearman's rank correlation over the members of each row, (rows,).

    NaN for fewer than three members or where all `moved` are alike; 0 where the attention is. Values that differ by
    less than a millionth of the row's largest count as alike, so that rounding orders nothing.
    """
    pairs = zip(looked_at, moved, member, strict=True)
    return np.array([_correlation(first[own], second[own]) for first, second, own in pairs])


def _correlation(first: Floats, second: Floats) -> float:
    ours, theirs = _ranks(first), _ranks(second)
    if len(first) < FEWEST_TOKENS or np.ptp(theirs) == 0:
        return np.nan
    return 0.0 if np.ptp(ours) == 0 else float(np.corrcoef(ours, theirs)[0, 1])


def _ranks(values: Floats) -> Floats:
    largest = float(np.abs(values).max(initial=0))
    return np.asarray(rankdata(np.round(values / largest, DIGITS) if largest > 0 else values))


def _sampled(subject: Subject) -> tuple[Ints, int]:
    """Rows to look at and coalitions a row, so that the model is asked about a bounded number of inputs."""
    drawn = sampled_rows(subject, MOST_ROWS, "attention")
    where, kind = seats(whole_steps(subject.data.take(drawn))), subject.data.kind
    drawn = drawn[where.there.any(axis=1)]
    if not len(drawn):
        raise InputError("no row of the sample holds anything to look at")
    players = int(where.words.sum(axis=1).max(initial=0)) if kind == "text" else len(where.owners)
    held = max(where.there.shape[1], players)
    most = min(MOST_SCORED, MOST_READ // max(1, held)) // (1 if kind == "text" else BACKGROUND)
    budget = max(4 * players + 2, min(PER_PLAYER * players, most // MOST_ROWS))
    count = min(len(drawn), max(FEWEST_ROWS, most // budget))
    return np.sort(subject.rng("attention rows").choice(drawn, count, replace=False)), budget


def _question(subject: Subject, rows: Ints, budget: int) -> Question:
    asked = question_of(subject, rows, background=BACKGROUND, budget=budget)
    return replace(asked, data=whole_steps(asked.data), background=whole_steps(asked.background))


def _explained(subject: Subject, question: Question, rows: Ints, name: str) -> Attribution:
    return main_output(subject, method(name)(question), rows)


def _members(question: Question) -> Bools:
    """Players that take part in the Shapley game of each row, (rows, players): no padding, no special tokens."""
    found = np.zeros((question.data.rows, len(question.data.players)), dtype=np.bool_)
    for part in parts(question):
        found[np.ix_(part.rows, part.players)] = True
    return found
