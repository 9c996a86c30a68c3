"""Bounds of the worst site and of epsilon hold as often, and lie where, they should."""

import numpy as np
import pytest

from rai.audits.federation.contrasts import advantages, shortfall, worst_share
from rai.audits.federation.gaussian import gaussian_epsilon
from rai.ledger import Phase


@pytest.mark.parametrize(
    ("noise", "steps", "delta"), [(1.0, 1, 1e-5), (1.0, 100, 1e-5), (5.0, 40, 1e-6), (0.4, 3, 1e-3)]
)
def test_gaussian_noise_alone_agrees_with_a_tight_accountant(noise: float, steps: int, delta: float) -> None:
    from dp_accounting.pld import privacy_loss_distribution as pld

    one_step = pld.from_gaussian_mechanism(noise, value_discretization_interval=1e-3)
    expected = one_step.self_compose(steps).get_epsilon_for_delta(delta)
    assert gaussian_epsilon([Phase(noise, 1.0, steps)], delta) == pytest.approx(expected, rel=2e-3)


def test_noise_beyond_any_use_is_no_failure() -> None:
    assert gaussian_epsilon([Phase(1e200, 1.0, 5)], 1e-5) == 0.0


class TestContrasts:
    """Slow twins and coverage: what is claimed of the worst site is wrong in at most 2.5 % of samples."""

    def test_equal_sites_show_no_shortfall_and_an_unequal_one_is_covered(self) -> None:
        rng = np.random.default_rng(0)
        rows = np.array([40, 80, 200, 400, 60, 120])
        for truth in (np.full(6, 0.8), np.array([0.8, 0.8, 0.8, 0.55, 0.8, 0.8])):
            apart, lowest = truth.mean() - truth.min(), truth.min()
            drawn = rng.binomial(rows, truth, size=(4000, 6))
            short = [shortfall(each, rows) for each in drawn]
            worst = [worst_share(each, rows) for each in drawn]
            assert np.mean([each.low > apart + 1e-12 for each in short]) <= 0.03
            assert np.mean([each.high < apart for each in short]) <= 0.03
            assert np.mean([each.high < lowest for each in worst]) <= 0.03
            assert np.mean([each.low > lowest for each in worst]) <= 0.03

    def test_equal_models_are_seldom_called_better_alone(self) -> None:
        rng = np.random.default_rng(1)
        rows = np.full(20, 100)
        first, second = rng.binomial(rows, 0.8, size=(2, 4000, 20))
        called = [(advantages(a, b, rows).low > 0).any() for a, b in zip(first, second, strict=True)]
        assert np.mean(called) <= 0.035

    def test_the_shortfall_is_the_plain_difference(self) -> None:
        right, rows = np.array([8, 30, 45]), np.array([10, 40, 90])
        assert shortfall(right, rows).value == pytest.approx((0.8 + 0.75 + 0.5) / 3 - 0.5)
