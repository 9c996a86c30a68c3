"""The promise to whole sites: what one site can add, the noise over it, and the epsilon that applies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rai.errors import InputError
from rai.ledger import Reply, Round
from rai.train.federated import client_privacy
from rai.train.federated.client_privacy import (
    HIDDEN,
    OPEN,
    SERVER,
    WITHOUT,
    assumption,
    client_promise,
    drawn_sites,
    noisy_mean,
    require_mean,
    without_participation,
)
from rai.train.private.sampling import secret
from rai.train.settings import ClientPrivacy

ALPHA = 1e-6
WIDE = 20_000
QUIET = 1e-9
"""A noise multiplier so small that only what is added up is seen."""


def terms(noise=1.0, limit=1.0, delta=1e-5):
    return ClientPrivacy(noise, limit, delta)


def mean(updates, reference, *, noise=QUIET, limit=1.0, expected=10.0, learned=None):
    words = {"privacy": terms(noise, limit), "expected": expected, "rng": secret(), "learned": learned}
    return noisy_mean(updates, reference, **words)


def state(fill=0.0, width=WIDE):
    return {"weight": np.full((width // 2, 2), fill, dtype=np.float32), "bias": np.full(3, fill, dtype=np.float32)}


def moved(found, reference):
    return np.concatenate([(found[n].astype(float) - reference[n]).ravel() for n in reference])


def test_the_known_epsilons_with_and_without_secret_sampling():
    hidden = client_promise(terms(), share=0.1, clients=100, rounds=100)
    assert hidden.alternatives["RDP"] == pytest.approx(7.9, abs=0.1)
    assert hidden.epsilon == pytest.approx(7.05, abs=0.05)  # PLD, which is tighter
    assert hidden.alternatives[WITHOUT] == pytest.approx(91.8, abs=0.1)
    assert (hidden.sample_rate, hidden.steps, hidden.expected_batch, hidden.unit) == (0.1, 100, 10.0, "site")
    shown = client_promise(terms(), share=1.0, clients=100, rounds=100)
    assert shown.alternatives["RDP"] == pytest.approx(96.1, abs=0.1)
    assert shown.epsilon == hidden.alternatives[WITHOUT]
    assert (shown.sample_rate, shown.expected_batch) == (1.0, 100.0)
    assert WITHOUT not in shown.alternatives


def test_the_assumption_is_said_for_the_epsilon_that_applies():
    assert HIDDEN in assumption(0.1)
    assert OPEN in assumption(1.0)
    assert HIDDEN not in assumption(1.0)
    assert all(SERVER in assumption(share) for share in (0.1, 1.0))


@pytest.mark.parametrize(
    ("privacy", "share", "named"),
    [
        (terms(noise=0.0), 0.1, "noise_multiplier"),
        (terms(noise=float("nan")), 0.1, "noise_multiplier"),
        (terms(limit=-1.0), 0.1, "max_grad_norm"),
        (terms(delta=1.0), 0.1, "delta"),
        (terms(), 0.0, "share"),
        (terms(), 1.1, "share"),
    ],
)
def test_numbers_that_promise_nothing_are_refused(privacy, share, named):
    with pytest.raises(InputError, match=named):
        client_promise(privacy, share=share, clients=10, rounds=3)


def test_strategies_that_look_at_single_updates_are_refused():
    require_mean("fedavg")
    for each in ("fedmedian", "krum", "bulyan", "qfedavg", "trimmedavg", "multikrum", "fairfed"):
        with pytest.raises(InputError, match="by itself"):
            require_mean(each)


def test_it_is_the_mean_of_clipped_differences_as_a_plain_loop_finds_it():
    rng, reference = np.random.default_rng(0), state(0.5, 40)
    updates = [{n: v + rng.normal(scale=s, size=v.shape).astype("f4") for n, v in reference.items()} for s in (0.01, 1)]
    total = {name: np.zeros(each.shape) for name, each in reference.items()}
    for update in updates:
        far = np.sqrt(sum(((update[n].astype(float) - reference[n]) ** 2).sum() for n in reference))
        for name in reference:
            total[name] += (update[name].astype(float) - reference[name]) * (1 if far <= 0.7 else 0.7 / far)
    found = mean(updates, reference, limit=0.7, expected=4.0)
    for name, each in reference.items():
        np.testing.assert_allclose(found[name], each + total[name] / 4.0, rtol=0, atol=1e-6)
        assert found[name].dtype == each.dtype


def sensitivity(join, updates, reference):
    """By how much the joined model differs with and without the first site, at most, where noise is next to nothing."""
    return float(np.linalg.norm(moved(join(updates, QUIET), join(updates[1:], QUIET))))


def effective(join, updates, reference):
    """The effective noise multiplier: the noise's deviation over what the first site can change."""
    drawn = moved(join([reference] * len(updates), 1.0), reference)
    return float(np.sqrt((drawn**2).mean())) / sensitivity(join, updates, reference)


def test_a_site_with_nearly_all_rows_leaves_the_effective_noise_multiplier_at_one():
    """The planted twin weighs sites by their rows and adds z × C / n, as is common: a site with 91 % shows."""
    reference, limit = state(), 1.0
    rows = np.array([91.0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    away = [{n: v + np.float32(1 if k == 0 else -1) for n, v in reference.items()} for k in range(10)]

    def equal(updates, noise):
        return mean(updates, reference, noise=noise, limit=limit, expected=10.0)

    def weighted(updates, noise):
        weights = rows[-len(updates) :] / rows.sum()
        found = {n: v.astype(float) for n, v in reference.items()}
        for weight, update in zip(weights, updates, strict=True):
            length = np.linalg.norm(moved(update, reference)) or 1.0
            found = {n: v + weight * (update[n] - reference[n]) * min(1, limit / length) for n, v in found.items()}
        rng = np.random.default_rng(0)
        return {n: v + rng.normal(scale=noise * limit / 10, size=v.shape) for n, v in found.items()}

    assert effective(equal, away, reference) == pytest.approx(1.0, abs=0.03)
    assert effective(weighted, away, reference) == pytest.approx(0.11, abs=0.005)


def calibrated(drawn, std):
    return ALPHA < stats.chi2.cdf((drawn**2).sum() / std**2, len(drawn)) < 1 - ALPHA


@pytest.mark.parametrize("sites", [0, 1, 7])
def test_noise_is_that_of_the_multiplier_whoever_takes_part(sites, monkeypatch):
    reference = state()
    std = 1.3 * 0.7 / 4.0
    words = {"noise": 1.3, "limit": 0.7, "expected": 4.0}
    drawn = moved(mean([reference] * sites, reference, **words), reference)
    assert calibrated(drawn, std)
    assert stats.kstest(drawn / std, "norm").pvalue > ALPHA
    add = client_privacy.add_noise
    monkeypatch.setattr(client_privacy, "add_noise", lambda sums, std, rng, **kw: add(sums, 0.95 * std, rng, **kw))
    assert not calibrated(moved(mean([reference] * sites, reference, **words), reference), std)  # planted


def test_a_seed_that_anyone_can_set_does_not_repeat_the_noise_or_the_draw():
    def again():
        np.random.seed(42)  # noqa: NPY002 - the very seed that must not matter
        return mean([], state(), noise=1.0)["bias"], drawn_sites(1000, 0.5, secret())

    (one, sites), (other, more) = again(), again()
    assert not np.array_equal(one, other)
    assert sites != more


@settings(max_examples=60, deadline=None)
@given(scale=st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e3, 1e37]), limit=st.floats(1e-3, 10), seed=st.integers(0, 2**16))
def test_no_update_moves_the_model_further_than_its_share(scale, limit, seed):
    rng, reference = np.random.default_rng(seed), state(0.0, 20)
    update = {n: (rng.normal(size=v.shape) * scale).astype(np.float32) for n, v in reference.items()}
    far = float(np.linalg.norm(moved(mean([update], reference, limit=limit), reference)))
    own = float(np.linalg.norm(moved(update, reference)))
    assert far <= limit / 10 * (1 + 1e-5) + 1e-12
    assert far == pytest.approx(min(limit, own) / 10, rel=1e-4, abs=1e-7 * limit)


def test_an_update_of_nothing_is_fine():
    reference = state(0.3, 20)
    found = mean([reference, reference], reference)
    np.testing.assert_allclose(found["weight"], reference["weight"], atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_cannot_pass(bad):
    reference, broken = state(0.0, 20), state(0.0, 20)
    broken["bias"][1] = bad
    with pytest.raises(InputError, match="site 2 of the round"):
        mean([reference, broken], reference)


def test_numbers_too_large_to_square_are_clipped():
    reference = {"weight": np.zeros(4)}
    found = mean([{"weight": np.array([1e300, 0.0, 0.0, 0.0])}], reference)
    np.testing.assert_allclose(found["weight"], [0.1, 0, 0, 0], atol=1e-6)


def test_counters_and_what_does_not_learn_stay_and_take_no_part_in_the_length():
    reference = {"weight": np.zeros(4, np.float32), "scale": np.ones(4, np.float32), "calls": np.array(3)}
    update = {"weight": np.full(4, 0.1, np.float32), "scale": np.full(4, 9e9, np.float32), "calls": np.array(4)}
    found = mean([update], reference, expected=1.0, learned=("weight",))
    np.testing.assert_allclose(found["weight"], 0.1, rtol=1e-5)
    np.testing.assert_array_equal(found["scale"], reference["scale"])
    assert found["calls"] == 3
    np.testing.assert_allclose(mean([update], reference, expected=1.0)["weight"], 0.0, atol=1e-6)


def test_each_site_is_drawn_by_itself_with_the_public_chance():
    rng = secret()
    rounds = [drawn_sites(100, 0.1, rng) for _ in range(2000)]
    sizes = np.array([len(each) for each in rounds])
    assert stats.binomtest(int(sizes.sum()), 200_000, 0.1).pvalue > ALPHA
    known = stats.binom(100, 0.1)
    edges = [0, 6, 8, 9, 10, 11, 12, 14, 101]
    seen = np.histogram(sizes, bins=edges)[0]
    wanted = 2000 * np.diff(known.cdf(np.array(edges) - 1))
    assert stats.chisquare(seen, wanted).pvalue > ALPHA  # no fixed number of sites
    each = np.bincount(np.concatenate([np.array(found, dtype=np.int64) for found in rounds]), minlength=100)
    assert stats.chisquare(each).pvalue > ALPHA
    together = sum(3 in found and 4 in found for found in rounds)
    assert stats.binomtest(together, 2000, 0.01).pvalue > ALPHA
    assert drawn_sites(5, 1.0, rng) == (0, 1, 2, 3, 4)


def test_a_round_that_is_shown_is_the_same_whoever_took_part():
    def told(*drawn):
        counts = {"sex": {"f": (1, 2, 3, 4)}}
        idle, busy = Reply(0, 0.5, 0.8, None, counts), Reply(70, 0.5, 0.8, 1.3, counts)
        replies = {name: busy if name in drawn else idle for name in ("a", "b", "c")}
        many = len(drawn)
        return Round(1, replies, 0.5, {"accuracy": 0.8}, 100 * many, 90 * many, 0.1 * many)

    lost = replace(told("a"), replies={**told("a").replies, "b": Reply(9, 0.5, 0.8, 2.0, {}, "no number")})
    first = without_participation(told("a", "b"))
    assert first == without_participation(told("c")) == without_participation(told())
    assert first.replies["a"].counts == {"sex": {"f": (1, 2, 3, 4)}}
    assert first.replies["a"].accuracy == 0.8
    assert without_participation(lost).replies["b"] == Reply(0, 0.5, 0.8)
