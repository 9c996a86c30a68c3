"""What a person would have to change: the card's word holds, planted gaps are found, clean twins raise no alarm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rai.audits import recourse
from rai.audits.recourse.search import freedoms, sought
from rai.card import Card, Column, Head
from rai.subject import Data, Groups, Player, Subject


@dataclass(frozen=True)
class Live:
    """A model that is a function of its inputs."""

    answer: Callable[[Any], np.ndarray]
    head: Head = Head.LOGIT
    trust: str = "in memory"

    def scores(self, inputs: Any) -> np.ndarray:
        found = np.asarray(self.answer(inputs), dtype=np.float64)
        return found.reshape(len(found), -1)

    def inside(self, procedure: Any, inputs: Any, **arguments: Any) -> Any:
        raise NotImplementedError


def subject(answer: Any, data: Data, *, head: Head = Head.LOGIT, seed: int = 0, **card: Any) -> Subject:
    classes = card.pop("classes", ("no", "yes"))
    task = card.pop("task", "binary")
    return Subject("planted", Live(answer, head), data, Card(task, classes=classes, **card), None, seed)


def table(values: np.ndarray, names: tuple[str, ...], codes: np.ndarray | None = None) -> Data:
    players = tuple(Player(name, (place,)) for place, name in enumerate(names))
    groups = {} if codes is None else {"sex": Groups("sex", ("F", "M"), codes)}
    return Data("table", values, values, None, groups, players)


def people(seed: int, *, shift: float) -> Subject:
    """Income decides; the incomes of one group lie lower by `shift`, or not at all."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(2, size=1200)
    values = rng.normal(size=(1200, 2))
    values[:, 0] -= shift * (codes == 0)
    return subject(lambda x: x[:, 0] - 1.0, table(values, ("income", "age"), codes), seed=seed)


def named(found: Any, name: str) -> Any:
    return next(each for each in found.measurements if each.name == name)


def test_a_linear_model_costs_the_distance_to_the_line(one) -> None:
    """One column of values 0 to 99, threshold at 50 with a grid of 12 quantiles: each row goes to the next one."""
    values = np.arange(100.0)[:, None]
    found = recourse.measure(subject(lambda x: x[:, 0] - 50, table(values, ("income",))))
    grid = values[np.linspace(0, 99, 12).round().astype(int), 0]
    target = grid[grid >= 50].min()
    exact = (target - values[:50, 0]) / 25
    assert one(found, "recourse_found").value == 1.0
    assert one(found, "recourse_found").rows == 50
    assert one(found, "recourse_cost").value == pytest.approx(exact.mean())
    assert one(found, "recourse_cost_median").value == pytest.approx(np.median(exact))
    assert one(found, "recourse_cost").low < exact.mean() < one(found, "recourse_cost").high


@pytest.mark.parametrize("head", [Head.LOGIT, Head.PROBABILITY, Head.LOGITS, Head.PROBABILITIES])
def test_every_head_is_turned_at_the_card_s_threshold(head: Head) -> None:
    """A threshold of 0.7 lies at log-odds 0.847; what is found is predicted positive."""
    values = np.random.default_rng(0).normal(size=(300, 2))

    def answer(x: np.ndarray) -> np.ndarray:
        logit = x[:, 0] + 0.5 * x[:, 1]
        chance = 1 / (1 + np.exp(-logit))
        outputs = {
            Head.LOGIT: logit,
            Head.PROBABILITY: chance,
            Head.LOGITS: np.column_stack([np.zeros(len(x)), logit]),
            Head.PROBABILITIES: np.column_stack([1 - chance, chance]),
        }
        return outputs[head]

    trial = subject(answer, table(values, ("a", "b")), head=head, threshold=0.7)
    found = sought(trial)
    assert found is not None
    assert (values[found.rows] @ [1, 0.5] < np.log(0.7 / 0.3)).all()
    changed = found.changes.inputs[found.changes.found]
    assert len(changed) > 100
    assert (changed @ [1, 0.5] >= np.log(0.7 / 0.3) - 1e-9).all()


def test_the_other_class_may_be_the_positive_one() -> None:
    values = np.random.default_rng(0).normal(size=(200, 1))
    trial = subject(lambda x: x[:, 0], table(values, ("a",)), positive="no")
    found = sought(trial)
    assert found is not None
    assert (found.changes.inputs[found.changes.found][:, 0] >= 0).all()
    assert "every decision but no" in recourse.measure(trial).method


def test_what_the_card_holds_fixed_is_not_changed_and_is_named() -> None:
    """A sensitive column, an immutable one and a bounded one that may only rise; the model loves them all."""
    rng = np.random.default_rng(4)
    raw = np.column_stack(
        [rng.normal(50, 10, 500), rng.integers(2, size=500), rng.normal(30, 5, 500), rng.normal(size=500)]
    )
    columns = (
        Column("hours", "number", mean=50, scale=-10, minimum=40, maximum=60, direction="increase"),
        Column("Sex", "number"),
        Column("height", "number", mean=30, scale=5, immutable=True),
        Column("skill", "number"),
    )
    encoded = (raw - [50, 0, 30, 0]) / [-10, 1, 5, 1]
    data = table(encoded, ("hours", "Sex", "height", "skill"), raw[:, 1].astype(np.int64))
    trial = subject(lambda x: -x[:, 0] + x[:, 1] + x[:, 2] + x[:, 3] - 2, data, columns=columns)
    found = sought(trial)
    assert found is not None
    apart = found.changes.inputs - encoded[found.rows]
    assert (apart[:, [1, 2]] == 0).all()
    hours = -10 * found.changes.inputs[:, 0] + 50
    moved = apart[:, 0] != 0
    assert moved.sum() > 20
    assert ((hours[moved] >= 40 - 1e-3) & (hours[moved] <= 60 + 1e-3)).all()
    assert (apart[moved, 0] < 0).all()
    said = recourse.measure(trial).caveats[0]
    assert said == "Held fixed, as sensitive or as the card says: Sex, height."


def test_an_ordered_category_only_rises_where_the_card_says_so() -> None:
    levels = ("none", "school", "college", "degree")
    codes = np.random.default_rng(1).integers(4, size=400).astype(float)
    column = Column("education", "category", categories=levels, encoding="ordinal", direction="increase")
    trial = subject(lambda x: np.abs(x[:, 0] - 2) - 1.5, table(codes[:, None], ("education",)), columns=(column,))
    assert freedoms(trial)[0].direction == "increase"
    found = sought(trial)
    assert found is not None
    assert not found.changes.found.any()


def test_a_planted_gap_in_cost_is_found() -> None:
    found = recourse.measure(people(1, shift=2.0))
    gap = named(found, "recourse_cost_gap")
    assert gap.facet == {"attribute": "sex"}
    assert gap.low > 0.5
    assert gap.p < 0.01
    costs = {each.facet.get("group"): each.value for each in found.measurements if each.name == "recourse_cost"}
    assert costs["F"] - costs["M"] == pytest.approx(gap.value)


def test_clean_twins_raise_no_alarm() -> None:
    gaps = [named(recourse.measure(people(seed, shift=0.0)), "recourse_cost_gap") for seed in range(14)]
    assert sum(each.low > 0 for each in gaps) <= 2
    assert sum(each.p < 0.05 for each in gaps) <= 3


def test_a_gap_in_who_can_be_helped_at_all_is_found() -> None:
    """One group's own column pins it below the line, and a sensitive column is not to be changed."""
    rng = np.random.default_rng(2)
    codes = rng.integers(2, size=600)
    values = np.column_stack([rng.normal(size=600), codes])
    trial = subject(lambda x: x[:, 0] - 1 - 99 * x[:, 1], table(values, ("skill", "sex"), codes))
    found = recourse.measure(trial)
    gap = named(found, "recourse_found_gap")
    assert gap.value == 1.0
    assert gap.low > 0.9
    assert "fewer than two groups with a change found" in named(found, "recourse_cost_gap").reason


def test_bars_name_the_column_that_is_changed_most() -> None:
    values = np.random.default_rng(3).normal(size=(400, 3))
    found = recourse.measure(subject(lambda x: 5 * x[:, 1] + 0.5 * x[:, 2], table(values, ("a", "b", "c"))))
    shown = {each.kind: each for each in found.exhibits}
    assert shown["bars"].title == "What would have to change: most often b"
    assert shown["bars"].labels[0] == "b"
    assert "a" not in shown["bars"].labels
    lines = {row[0]: row[1:] for row in shown["table"].rows}
    assert float(lines["b"][1]) > 0


def test_categories_are_told_by_name() -> None:
    hot = np.eye(3)[np.random.default_rng(5).integers(3, size=300)]
    column = Column("job", "category", categories=("cook", "clerk", "judge"))
    data = Data("table", hot, hot, None, {}, (Player("job", (0, 1, 2)),))
    found = recourse.measure(subject(lambda x: 2 * x[:, 2] - 1, data, columns=(column,)))
    shown = next(each for each in found.exhibits if each.kind == "table")
    assert shown.rows == (("job", 1.0, "to judge"),)
    assert named(found, "recourse_cost").value == 1.0


def test_columns_that_fewer_than_five_rows_change_are_withheld() -> None:
    values = np.zeros((100, 2))
    values[:4, 0] = -1.0
    values[4:, 1] = np.linspace(-3, 3, 96)
    found = recourse.measure(subject(lambda x: np.where(x[:, 0] < 0, -1.0, x[:, 1] + 9), table(values, ("a", "b"))))
    assert not [each for each in found.exhibits if each.kind in {"bars", "table"}]
    assert named(found, "recourse_found").value is None


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"task": "multiclass", "classes": ("a", "b", "c")}, "between two classes"),
        ({"task": "regression", "classes": ()}, "between two classes"),
    ],
)
def test_other_tasks_are_not_measured_and_say_why(card: dict[str, Any], reason: str) -> None:
    trial = subject(lambda x: x, table(np.eye(3), ("a", "b", "c")), head=Head.LOGITS, **card)
    found = recourse.measure(trial)
    assert {each.name for each in found.measurements} == set(recourse.MEASURES)
    assert all(reason in each.reason for each in found.measurements)


def test_where_nobody_is_refused_nothing_is_searched() -> None:
    found = recourse.measure(subject(lambda x: x[:, 0] + 99, table(np.eye(9), tuple("abcdefghi"))))
    assert "no row is decided unfavourably" in named(found, "recourse_cost").reason
