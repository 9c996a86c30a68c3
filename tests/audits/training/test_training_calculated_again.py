"""What training promised is calculated again where possible, and no ledger ends an audit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rai.audits import training
from rai.audits.training.accounting import renyi_epsilon
from rai.evidence import Evidence
from rai.ledger import Epoch, Ledger, Phase
from rai.policy import Verdict

Make = Callable[..., Any]
MNIST = {"noise_multiplier": 1.1, "sample_rate": 256 / 60_000, "steps": 14_062, "delta": 1e-5}


# The claim calculated again


def bound(*, delta: float, **phase: Any) -> float | None:
    return renyi_epsilon([Phase(**phase)], delta)


def test_the_second_calculation_meets_the_known_value() -> None:
    assert bound(**MNIST) == pytest.approx(2.597, abs=0.001)


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "delta"),
    [(1.1, 256 / 60_000, 14_062, 1e-5), (0.6, 0.01, 1000, 1e-5), (2.0, 0.1, 500, 1e-6), (4.0, 1.0, 20, 1e-4)],
)
def test_the_second_calculation_agrees_with_a_wellkept_one(noise: float, rate: float, steps: int, delta: float) -> None:
    """Not below PLD, and what the same orders give in dp-accounting."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    event = SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    mine = renyi_epsilon([Phase(noise, rate, steps)], delta)
    whole = RdpAccountant(orders=list(range(2, 129)))
    assert mine == pytest.approx(whole.compose(event).get_epsilon(delta), rel=1e-6)
    tight = PLDAccountant().compose(event).get_epsilon(delta)
    assert 0.25 * mine < tight <= mine


@settings(max_examples=25)
@given(noise=st.floats(0.3, 50), rate=st.floats(1e-4, 1), steps=st.integers(1, 50_000), delta=st.floats(1e-12, 0.5))
def test_more_noise_never_costs_more_and_more_steps_never_less(
    noise: float, rate: float, steps: int, delta: float
) -> None:
    given_ = {"noise_multiplier": noise, "sample_rate": rate, "steps": steps, "delta": delta}
    base = bound(**given_)
    assert base >= 0
    assert bound(**{**given_, "noise_multiplier": noise * 1.5}) <= base + 1e-9
    assert bound(**{**given_, "steps": steps + 1}) >= base - 1e-9
    assert bound(**{**given_, "delta": delta / 2}) >= base - 1e-9


@pytest.mark.parametrize("wrong", [{"noise_multiplier": 0.0}, {"sample_rate": 0.0}, {"steps": 0}, {"delta": 0.0}])
def test_parameters_that_bound_nothing_are_said(
    examined: Make, one: Make, wrong: dict[str, float], promised: Make, verdicts: Make
) -> None:
    assert bound(**{**MNIST, **wrong}) is None
    found = examined(promised(**wrong))
    assert "bound nothing" in one(found, "epsilon_recalculated").reason
    assert verdicts(found)["TRAIN-04"] is Verdict.UNMEASURED


def test_a_claim_that_does_not_follow_is_caught(
    examined: Make, one: Make, private_ledger: Ledger, promised: Make, verdicts: Make
) -> None:
    """A forger who seals an epsilon a tenth of the true one still leaves noise, rate and steps."""
    assert one(examined(private_ledger), "epsilon_claimed_share").value == pytest.approx(2.382 / 2.597, abs=0.001)
    assert verdicts(examined(private_ledger))["TRAIN-04"] is Verdict.PASS
    assert verdicts(examined(promised(epsilon=0.24)))["TRAIN-04"] is Verdict.FAIL


def test_phases_add_up(
    examined: Make, one: Make, private_ledger: Ledger, promised: Make, text: Make, table: Make
) -> None:
    """Half the steps twice is the whole; a second phase of stronger noise costs less than the first again."""
    half = Phase(1.1, 256 / 60_000, 7031)
    assert renyi_epsilon([half, half], 1e-5) == pytest.approx(bound(**MNIST))
    weaker = replace(half, noise_multiplier=2.0)
    found = examined(promised(phases=(half, weaker), noise_multiplier=2.0))
    again = one(found, "epsilon_recalculated").value
    assert renyi_epsilon([half], 1e-5) < again < bound(**MNIST)
    assert "and 7,031 steps with a chance of 0.00427 to be drawn and noise of 2" in text(found, "Privacy promised")
    assert "noise of 1.1 and 7,031 steps" in dict(table(found, "What the promise rests on").rows)["phases"]
    assert "phases" not in dict(table(examined(private_ledger), "What the promise rests on").rows)


def test_few_draws_are_not_held_against_a_loose_bound(examined: Make, one: Make, promised: Make) -> None:
    """One step at q = .001: a tight accountant claims .009 where whole orders give .6; nobody is accused."""
    found = examined(promised(epsilon=0.009, noise_multiplier=1.0, sample_rate=0.001, steps=1))
    assert one(found, "epsilon_recalculated").value == pytest.approx(0.609, abs=0.001)
    assert one(found, "epsilon_claimed_share").value is None


@pytest.mark.parametrize("other", [{"sampler": "shuffle"}, {"relation": "replace one unit"}])
def test_other_samplers_and_relations_are_not_calculated_again(
    examined: Make, one: Make, other: Any, promised: Make
) -> None:
    found = examined(promised(**other))
    assert "only for Poisson sampling" in one(found, "epsilon_recalculated").reason
    assert any("drawn by shuffle" in each for each in found.caveats) == ("sampler" in other)


WIDE = st.floats(0, 1e308)


SHARE = st.floats(0, 1)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    promise=st.fixed_dictionaries(
        {
            "epsilon": WIDE,
            "delta": SHARE,
            "noise_multiplier": WIDE,
            "sample_rate": SHARE,
            "steps": st.integers(0, 10**18),
        }
    ),
    spent=WIDE,
)
def test_no_ledger_crashes_the_audit(
    examined: Make, promise: dict[str, Any], spent: float, promised: Make, runs: Make
) -> None:
    """Whoever can seal a ledger can write any such number into it: it is told, and never ends an audit."""
    epochs = (Epoch(1, spent, spent, {}, spent), Epoch(2, -spent, -spent, {}, spent))
    found = examined(replace(promised(**promise), runs=runs(spent, spent), epochs=epochs))
    assert {each.name for each in found.measurements} == set(training.MEASURES)
    assert one_of(found, "epsilon") == min(promise["epsilon"], 1e300)
    assert one_of(found, "tuned_epsilon") >= min(spent, 1e300)


def one_of(found: Evidence, name: str) -> float | None:
    return next(each.value for each in found.measurements if each.name == name)
