"""Why did a model file decide on one row of its test data as it did?"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rai import explainers, intake
from rai.data import raw
from rai.errors import InputError, plain
from rai.explainers import Attribution, Question
from rai.explainers.parts import Part, parts
from rai.explaining.memory import MOST_BACKGROUND, sample
from rai.explaining.portraits import portrait, words_of
from rai.explanation import Contribution, Described, Explanation, Trial
from rai.files import write_atomic
from rai.intake import Case, Choices
from rai.record import File
from rai.render import explanation
from rai.subject import Source, Subject

ORDERS = 20
TRIAL_BACKGROUND, TRIAL_ROWS, TRIAL_WIDTH = 20, 8_000, 20_000
"""The trial of an order compares with so many rows, scores about so many, and is left out for wider ones."""
CLOSED = 0.01
"""A gap of at most so much is not worth a warning."""


def explain_file(
    model: Path, choices: Choices, *, row: int, method: str = "shapley", budget: int | None = None
) -> Explanation:
    """Explain what a model file says of one row of its test data; the first row is 1.

    Of a model with several classes the one it chose for the row is explained. Raises `InputError` for bad input, for a
    row that is not there, and for a method that cannot explain this model.
    """
    explainers.method(method)
    return explain_case(intake.from_files(model, choices), row=row, method=method, budget=budget)


def explain_case(case: Case, *, row: int, method: str = "shapley", budget: int | None = None) -> Explanation:
    """Explain what the model of a case says of one row of its test data; otherwise as `explain_file`."""
    solve, subject = explainers.method(method), case.subject
    if not 1 <= row <= subject.data.rows:
        rows = f"a row from 1 to {subject.data.rows:,}"
        raise InputError(f"row {row:,} is not there", where=subject.data.source.name, expected=rows)
    question = _question(subject, row - 1, budget)
    chosen = subject.predicted[row - 1 : row]
    found = solve(question)
    asked = Asked(case, row, question, next(parts(question)), int(chosen[0]) if found.values.ndim == 3 else 0)
    return _explanation(asked, found.picked(np.asarray([asked.output])), method)


def write(made: Explanation, page: Path, formats: tuple[str, ...] = ("html",)) -> tuple[Path, ...]:
    """Write an explanation to the file `page`, or in several formats beside it; return the paths written."""
    paths = (page,) if len(formats) == 1 else tuple(page.with_suffix(f".{each}") for each in formats)
    for path, each in zip(paths, formats, strict=True):
        write_atomic(path, explanation(made, each))
    return paths


@dataclass(frozen=True)
class Asked:
    """One row in question: its case, its game, and which output of the model is explained."""

    case: Case
    row: int
    question: Question
    part: Part
    output: int

    @property
    def subject(self) -> Subject:
        """The model on trial with its data."""
        return self.case.subject


def _question(subject: Subject, place: int, budget: int | None) -> Question:
    compared = subject.reference or subject.data
    return Question(
        subject.model,
        explainers.target_of(subject.card, subject.model.head, subject.positive if subject.card.classes else 1),
        subject.data.take(np.array([place])),
        sample(compared, MOST_BACKGROUND, subject.seed),
        seed=subject.seed,
        budget=budget,
    )


def _explanation(asked: Asked, found: Attribution, method: str) -> Explanation:
    subject, question = asked.subject, asked.question
    trial, why_not = _trial(asked, found.values[0])
    made = Explanation(
        about=_described(asked),
        row=asked.row,
        rows=subject.data.rows,
        method=method if method == found.method else f"{method} ({found.method})",
        scale=f"{found.scale} of {found.outputs[asked.output]}" if len(found.outputs) > 1 else found.scale,
        base=float(found.base[0]),
        full=float(found.full[0]),
        contributions=_contributions(asked, found),
        gap=float(found.gap[0]),
        background=0 if question.data.kind == "text" else question.background.rows,
        seed=question.seed,
        rows_scored=found.rows_scored,
        note=found.note,
        trial=trial,
        trial_note=why_not,
    )
    return replace(made, exhibit=portrait(asked.question.data, made), warnings=_warnings(asked, made))


def _described(asked: Asked) -> Described:
    subject, it, place = asked.subject, asked.case.identity, asked.row - 1
    chosen, chances = subject.predicted[place], subject.probabilities
    return Described(
        name=it.name,
        version=it.version,
        trust=it.trust,
        task=it.task,
        model=_source(it.model),
        data=_source(it.data),
        reference=_source(it.reference) if it.reference else None,
        decision=f"{chosen:.6g}" if chances is None else it.classes[int(chosen)],
        chance=None if chances is None else float(chances[place, int(chosen)]),
    )


def _source(file: File) -> Source:
    return Source(file.name, file.sha256)


def _contributions(asked: Asked, found: Attribution) -> tuple[Contribution, ...]:
    """One for each feature that the row has: a short text lacks the later ones."""
    shown = _shown(asked)
    return tuple(
        Contribution(name, shown.get(name, ""), value, error if np.isfinite(error) else None)
        for name, value, error in (
            (found.players[place], float(found.values[0, place]), float(found.error[0, place]))
            for place in asked.part.players
        )
    )


def _shown(asked: Asked) -> dict[str, str]:
    """What the row holds, as its file says it: cells of a table, words of a text."""
    data = asked.question.data
    if data.kind == "text":
        return words_of(data)
    file = asked.subject.card.data.test
    if data.kind != "table" or file is None:
        return {}
    cells = raw(Path(file)).iloc[asked.row - 1]
    return {each.name: plain(cells[each.name]) or "(empty)" for each in data.players if each.name in cells}


def _trial(asked: Asked, values: NDArray[np.float64]) -> tuple[Trial | None, str]:
    """Whether the score falls faster along the order of the values than along random orders, or why that is unknown.

    Source: the deletion curve of Samek et al. 2017 (doi:10.1109/TNNLS.2016.2599820), held against chance.
    """
    game, count = asked.part.game, len(asked.part.players)
    if count < 3:
        return None, "fewer than three features have no order to test"
    if game.rows.shape[1] > TRIAL_WIDTH:
        return None, f"a row of {game.rows.shape[1]:,} numbers is too large for it"
    rng = asked.question.rng()
    first = np.argsort(-values[asked.part.players], kind="stable")
    orders = np.stack([first, *(rng.permutation(count) for _ in range(ORDERS))])
    few = replace(game, background=game.background[:: -(-len(game.background) // TRIAL_BACKGROUND)])
    most = max(1, TRIAL_ROWS // (len(orders) * len(few.background)))
    steps = np.unique(np.linspace(1, count - 1, min(most, count - 1)).round().astype(np.int64))
    ranks = orders.argsort(axis=1)
    kept = (ranks[:, None, :] >= steps[None, :, None]).reshape(-1, count)
    means = few.values(kept)[0, :, asked.output].reshape(len(orders), -1).mean(axis=1)
    ours, others = means[0], means[1:]
    beaten = np.mean(others > ours) + np.mean(others == ours) / 2
    return Trial(float(ours), float(others.mean()), float(beaten), ORDERS), ""


def _warnings(asked: Asked, made: Explanation) -> tuple[str, ...]:
    told = []
    if made.about.trust == "carries code":
        told.append("The model file carries code: loading it ran code that came with it.")
    if asked.subject.reference is None and made.background:
        told.append("No reference rows were given: the row is compared with the test rows.")
    if made.gap > CLOSED:
        told.append(f"The values do not add up: base and values together miss the score by {made.gap:.0%} of the way.")
    if made.trial and not made.trial.better:
        told.append("The order of the features was tested and did no better than chance: do not rely on it.")
    return tuple(told)
