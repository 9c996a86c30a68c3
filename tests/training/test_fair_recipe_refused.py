"""A recipe with a criterion that cannot be kept, or would break another promise, is refused in one line."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from rai.errors import InputError
from rai.subject import Subject
from rai.train.loop import Watch
from rai.training import train

Write = Callable[..., Path]
SubjectOf = Callable[[Path], Subject]
Rows = Callable[[Path], pd.DataFrame]
METHODS = ("adversarial", "gap_penalty", "threshold", "reductions", "reweighing")


def test_a_card_whose_columns_lack_what_is_needed_is_refused(subject_of: SubjectOf, fair_with: Write) -> None:
    made = train(fair_with('method = "threshold"', "attribute_at_predict = true"))
    columns = '[[columns]]\nname = "sex"'
    whole = made.card.read_text()
    made.card.write_text(whole[: whole.index(columns)])
    with pytest.raises(InputError, match="key needed_at_predict names 'sex', which is none of the columns") as caught:
        subject_of(made.model)
    assert "\n" not in str(caught.value)


UNTELLABLE = {
    "an input already": ({"[network]": "sensitive_inputs = true\n[network]"}, "is an input already"),
    "cut into bands": ({'["sex"]': '["years"]\nbands = { years = [15] }'}, "column 'years' is cut into bands"),
}


@pytest.mark.parametrize("name", UNTELLABLE)
def test_an_attribute_that_cannot_be_told_is_refused_before_training(
    fair_with: Write, folder: Path, name: str, stop_at: Callable[[int], Watch]
) -> None:
    changed, words = UNTELLABLE[name]
    path = fair_with('method = "threshold"', "attribute_at_predict = true", **changed)
    with pytest.raises(InputError, match=words):
        train(path, watch=stop_at(1))
    assert {each.name for each in folder.iterdir()} == {"rows.csv", "recipe.toml"}


def test_an_attribute_that_is_empty_somewhere_cannot_be_told(unequal: Rows, fair_with: Write, folder: Path) -> None:
    path = fair_with('method = "threshold"', "attribute_at_predict = true")
    frame = unequal(folder)
    frame.loc[7, "sex"] = None
    frame.to_csv(folder / "rows.csv", index=False)
    with pytest.raises(InputError, match="column 'sex' is empty in some rows"):
        train(path)


PRIVATE = """\
[private]
epsilon = 4.0
delta = 1e-3
sample_rate = 0.25
steps = 4
expected_batch = 80
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_promise_that_the_method_would_break_is_refused_in_one_line(fair_with: Write, method: str) -> None:
    path = fair_with(f'method = "{method}"', more=PRIVATE, **{"[network]": "public_columns = true\n[network]"})
    with pytest.raises(InputError, match=f"private: is given, and '{method}' cannot keep its promise") as caught:
        train(path)
    assert "\n" not in str(caught.value)


WRONG = {
    "no such method": ('method = "debias"', {}, "key fair.method is 'debias'; expected"),
    "no such criterion": ('criterion = "parity"', {}, "key fair.criterion is 'parity'; expected"),
    "no share": ('method = "threshold"\nstrength = 2.0', {}, "fair.strength: is 2.0 for 'threshold'; expected a share"),
    "no such column": ('sensitive = ["job"]', {}, "key fair.sensitive names 'job'; expected some of data.sensitive"),
    "nobody compared": ("", {'sensitive = ["sex"]\n': ""}, "key data.sensitive is empty, and [fair] compares groups"),
    "told for nothing": ("attribute_at_predict = true", {}, "fair.attribute_at_predict: is on, and the method is"),
    "another threshold": ("", {"[data]": "threshold = 0.3\n[data]"}, "key threshold is 0.3, and [fair] measures gaps"),
    "two strengths": ("strength = 0.5\nstrengths = [0.5]", {}, "key fair.strength is given beside fair.strengths"),
    "one of several": ('method = "threshold"\nstrengths = [0.5, 7]', {}, "fair.strength: is 7.0 for 'threshold'"),
    "no seed": ("seeds = 0", {}, "key fair.seeds is 0; expected a whole number from 1"),
    "told in trials": (
        'method = "threshold"\nattribute_at_predict = true\nseeds = 2',
        {},
        "key fair.attribute_at_predict is on beside fair.strengths or fair.seeds",
    ),
    "two searches": (
        'seeds = 2\n[search]\nspace = { "fit.epochs" = [1] }',
        {},
        "key search is given beside fair.strengths or fair.seeds; expected one of the two",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_word_is_refused_in_one_line(fair_with: Write, folder: Path, name: str) -> None:
    line, changed, words = WRONG[name]
    with pytest.raises(InputError) as caught:
        train(fair_with(line, **changed))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each.name for each in folder.iterdir()} == {"rows.csv", "recipe.toml"}


ALONE = {
    "a whole batch": (
        'method = "gap_penalty"',
        "fair.method: is 'gap_penalty', which compares groups in a whole batch",
    ),
    "another whole batch": (
        'method = "adversarial"',
        "fair.method: is 'adversarial', which compares groups in a whole",
    ),
    "several trainings": ('method = "reweighing"\nseeds = 2', "fair.strengths: is not shared among processes"),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_several_processes_cannot_do_together_is_refused(
    fair_with: Write, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    line, words = ALONE[name]
    monkeypatch.setattr("rai.train.parallel.joined", lambda: nullcontext(SimpleNamespace(size=2, first=True)))
    with pytest.raises(InputError, match=f"{words}.*; start it without torchrun"):
        train(fair_with(line))


def test_a_baseline_of_somebody_elses_is_not_written_over(fair_with: Write, folder: Path) -> None:
    path = fair_with('method = "reweighing"')
    (folder / "baseline.pt").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"baseline\.pt: is there already, and the model before mitigation would"):
        train(path)
    assert (folder / "baseline.pt").read_bytes() == b"mine"
    (folder / "baseline.pt").unlink()
    for _ in range(2):
        train(path)
