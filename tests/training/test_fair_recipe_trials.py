"""A recipe with a criterion that tries strengths, seeds or settings: on rows held back, and every trial is told of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rai.data import raw
from rai.errors import InputError
from rai.ledger import Ledger
from rai.train.loop import Watch
from rai.training import train
from rai.training.making import Made

Write = Callable[..., Path]
LedgerOf = Callable[[Made], Ledger]
Gap = Callable[[Path], float]
GAP = "demographic_parity_difference"


def test_strengths_are_tried_on_rows_held_back_and_the_best_is_trained(
    ledger_of: LedgerOf, gap: Gap, fair_with: Write
) -> None:
    """Of the strengths, the only one whose gap is tolerated is kept, and every trial is told of."""
    made = train(fair_with('method = "threshold"', "strengths = [0.0, 1.0]", "seeds = 2", "tolerance = 0.2"))
    ledger = ledger_of(made)
    told = ledger.mitigation
    assert told is not None
    cells = [(each.method, each.strength, each.seed) for each in told.trials]
    tried = [("none", 0.0), ("threshold", 0.0), ("threshold", 1.0)]
    assert cells == [(*each, seed) for each in tried for seed in (0, 1)]
    gaps = {each: np.mean([t.values[GAP] for t in told.trials if (t.method, t.strength) == each]) for each in tried}
    assert gaps["threshold", 0.0] > 0.2 >= gaps["threshold", 1.0]
    assert told.strength == 1.0
    assert told.measured_on.startswith("training rows held back")
    assert [run.results[GAP] for run in ledger.runs] == [each.values[GAP] for each in told.trials]
    assert any("best of 2 on rows held back" in each for each in ledger.warnings)
    assert not any("no strength has a gap" in each for each in ledger.warnings)
    assert gap(made.model) < 0.25


def test_where_no_gap_is_small_enough_the_smallest_is_taken_and_that_is_said(
    ledger_of: LedgerOf, fair_with: Write
) -> None:
    made = train(fair_with('method = "threshold"', "strengths = [0.3, 0.0]", "seeds = 1", "tolerance = 0.001"))
    ledger = ledger_of(made)
    assert ledger.mitigation is not None
    assert ledger.mitigation.strength == 0.3
    assert any("no strength has a gap of at most 0.001" in each for each in ledger.warnings)


def test_the_trials_never_see_a_test_row(ledger_of: LedgerOf, fair_with: Write, folder: Path) -> None:
    """With the labels of all test rows turned round, the trials and the model are the same."""
    first = fair_with('method = "gap_penalty"', "strengths = [0.3, 1.0]", "seeds = 1")
    made = train(first, out=folder / "first")
    whole = raw(folder / "first" / "rows_test.csv")
    whole["repaid"] = np.where(whole["repaid"] == "yes", "no", "yes")
    whole.to_csv(folder / "turned.csv", index=False)
    raw(folder / "first" / "rows_train.csv").to_csv(folder / "rows.csv", index=False)
    first.write_text(first.read_text().replace('"rows.csv"', '"rows.csv"\ntest = "turned.csv"'))
    again = train(first, out=folder / "again")
    one, other = (ledger_of(each).mitigation for each in (made, again))
    assert one is not None
    assert other is not None
    assert [each.values for each in one.trials] == [each.values for each in other.trials]
    ours, theirs = (torch.load(each.model, weights_only=True) for each in (made, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_seeds_alone_show_how_far_seeds_differ_and_choose_nothing(ledger_of: LedgerOf, fair_with: Write) -> None:
    told = ledger_of(train(fair_with('method = "reweighing"', "strength = 0.5", "seeds = 2"))).mitigation
    assert told is not None
    assert told.strength == 0.5
    assert {(each.method, each.strength) for each in told.trials} == {("none", 0.0), ("reweighing", 0.5)}


def test_a_recipe_that_tries_strengths_cannot_go_on_from_a_checkpoint(
    fair_with: Write, stop_at: Callable[[int], Watch]
) -> None:
    path = fair_with('method = "gap_penalty"', "seeds = 1")
    with pytest.raises(KeyboardInterrupt):
        train(path, watch=stop_at(20))
    with pytest.raises(InputError, match=r"fair\.strengths or fair\.seeds cannot go on from a checkpoint") as caught:
        train(path, resume=True)
    assert "\n" not in str(caught.value)


def test_a_search_finds_settings_under_the_criterion(
    ledger_of: LedgerOf, gap: Gap, fair_with: Write, folder: Path
) -> None:
    search = '[search]\nmethod = "grid"\nspace = { "fit.learning_rate" = [1e-6, 0.02] }\n'
    made = train(fair_with('method = "gap_penalty"', more=search))
    ledger = ledger_of(made)
    assert ledger.mitigation is not None
    assert ledger.mitigation.trials == ()
    assert ledger.recipe["fit"]["learning_rate"] == 0.02
    assert gap(made.model) < gap(folder / "baseline.pt")
