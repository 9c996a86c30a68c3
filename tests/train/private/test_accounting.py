import math
import warnings

import numpy as np
import pytest

from rai.errors import InputError
from rai.train.private.accounting import ORDERS, Phase, epsilon, meter, noise_for, spent


def test_the_known_anchor_of_mnist():
    found = epsilon(1.1, 256 / 60_000, steps=14_062, delta=1e-5)
    assert found.value == pytest.approx(2.38, abs=0.02)
    assert found.accountant.startswith("PLD")
    assert found.alternatives["PRV"] == pytest.approx(2.392, abs=0.005)
    assert found.alternatives["RDP"] == pytest.approx(2.597, abs=0.005)


def test_a_small_epsilon_takes_little_noise():
    found = noise_for(0.01, 1e-5, sample_rate=0.01, steps=100)
    assert 20 < found <= 30
    assert epsilon(found, 0.01, steps=100, delta=1e-5).value <= 0.01


@pytest.mark.parametrize(
    ("noise", "rate", "steps"),
    [(0.7, 0.01, 200), (1.0, 0.1, 10), (1.0, 0.004, 3000), (2.0, 0.05, 500), (4.0, 0.25, 100), (8.0, 0.5, 50)],
)
def test_rdp_says_no_less_than_prv_and_prv_no_less_than_pld(noise, rate, steps):
    found = epsilon(noise, rate, steps=steps, delta=1e-5)
    assert found.alternatives["RDP"] >= found.alternatives["PRV"] >= found.value > 0.1


def test_without_sampling_pld_is_the_closed_form_of_the_gaussian_mechanism():
    def delta_of(mu, e):  # Balle & Wang 2018, theorem 8
        phi = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
        return phi(mu / 2 - e / mu) - math.exp(e) * phi(-mu / 2 - e / mu)

    found = epsilon(5.0, 1.0, steps=10, delta=1e-5).value
    assert delta_of(math.sqrt(10) / 5, found) == pytest.approx(1e-5, rel=0.01)


def test_the_noise_found_keeps_the_budget_and_is_near_the_least():
    found = noise_for(2.0, 1e-5, sample_rate=1.0, steps=10)
    assert epsilon(found, 1.0, steps=10, delta=1e-5).value <= 2.0
    assert epsilon(found * 0.998, 1.0, steps=10, delta=1e-5).value > 2.0


def test_no_steps_spend_nothing():
    assert spent((), 1e-5).value == 0.0
    assert spent((Phase(1.0, 0.1, 0),), 1e-5).value == 0.0
    assert meter((), Phase(1.0, 0.1, 0), 1e-5)(0) == 0.0


def test_phases_spend_together_what_one_long_phase_spends():
    halves = spent((Phase(1.5, 0.1, 40), Phase(1.5, 0.1, 60)), 1e-5).value
    assert halves == pytest.approx(spent((Phase(1.5, 0.1, 100),), 1e-5).value, rel=1e-3)


def test_noise_for_what_is_left_keeps_the_whole_budget():
    before = (Phase(8.0, 1.0, 5),)
    found = noise_for(2.0, 1e-5, sample_rate=1.0, steps=10, before=before)
    together = spent((*before, Phase(found, 1.0, 10)), 1e-5).value
    assert 1.99 < together <= 2.0
    # Gaussian releases add up by their squares: the noise that is left follows in closed form
    alone = noise_for(2.0, 1e-5, sample_rate=1.0, steps=1)
    assert found == pytest.approx(math.sqrt(10 / (alone**-2 - 5 / 64)), rel=0.01)


def test_nothing_is_left_of_a_spent_budget():
    with pytest.raises(InputError, match="the budget is spent"):
        noise_for(1.0, 1e-5, sample_rate=0.1, steps=10, before=(Phase(1.0, 0.1, 100),))


def test_the_progress_meter_agrees_with_dp_accounting_and_only_rises():
    from dp_accounting.rdp import compute_epsilon
    from opacus.accountants.analysis.rdp import compute_rdp

    so_far = meter((Phase(2.0, 0.1, 7),), Phase(1.1, 0.02, 0), 1e-5)
    orders = np.asarray(ORDERS)
    for steps in (0, 1, 1000):
        rdp = np.asarray(compute_rdp(q=0.1, noise_multiplier=2.0, steps=7, orders=orders))
        rdp = rdp + (np.asarray(compute_rdp(q=0.02, noise_multiplier=1.1, steps=steps, orders=orders)) if steps else 0)
        theirs = compute_epsilon(orders, rdp, 1e-5)[0]  # 0 where the divergences are tiny: ours says no less
        assert so_far(steps) == pytest.approx(theirs, rel=1e-9) or (steps < 10 and so_far(steps) >= theirs)
    seen = [so_far(steps) for steps in range(0, 500, 25)]
    assert seen == sorted(seen)


def test_the_gaussian_accountant_is_nowhere():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(epsilon(1.0, 0.1, steps=10, delta=1e-5).alternatives) == {"RDP", "PRV"}
