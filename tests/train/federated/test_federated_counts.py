import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference, equalized_odds_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from rai.errors import InputError
from rai.subject import Groups
from rai.train.federated.counts import flat, gaps_of, gaps_of_attribute, group_counts, nested, summed

LEVELS = ("x", "y", "z")


def drawn(seed: int, rows: int = 400):
    """Labels, predictions and a group code a row; every group has rows of both labels."""
    rng = np.random.default_rng(seed)
    codes = np.append(rng.integers(0, 3, rows), [0, 0, 1, 1, 2, 2])
    labels = np.append(rng.integers(0, 2, rows), [0, 1, 0, 1, 0, 1])
    return labels, rng.integers(0, 2, rows + 6), codes


def split(labels, predicted, codes, sites):
    """What each site counts on its own rows."""
    return [
        group_counts(labels[rows], predicted[rows], {"who": Groups("who", LEVELS, codes[rows])})
        for rows in (np.flatnonzero(sites == each) for each in range(int(sites.max()) + 1))
    ]


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_sums_over_sites_equal_pooled_fairlearn_where_sites_lack_groups(seed, many):
    labels, predicted, codes = drawn(seed)
    sites = np.random.default_rng(seed + 1).integers(0, many, len(codes))
    sites[codes == 2] = 0
    counts = split(labels, predicted, codes, sites)
    assert counts[1]["who"]["z"] == (0, 0, 0, 0)
    found = gaps_of(summed(counts))
    who = {"sensitive_features": codes}
    assert found == {
        "accuracy": pytest.approx(accuracy_score(labels, predicted), abs=1e-12),
        "demographic_parity_difference": pytest.approx(
            demographic_parity_difference(labels, predicted, **who), abs=1e-12
        ),
        "equalized_odds_difference": pytest.approx(equalized_odds_difference(labels, predicted, **who), abs=1e-12),
        "equal_opportunity_difference": pytest.approx(
            equal_opportunity_difference(labels, predicted, **who), abs=1e-12
        ),
    }


def test_averages_of_sites_gaps_are_not_the_gap():
    labels, predicted, codes = drawn(3)
    sites = (np.arange(len(codes)) > 50).astype(np.int64)
    counts = split(labels, predicted, codes, sites)
    mean = np.mean([gaps_of(each)["demographic_parity_difference"] for each in counts])
    assert abs(mean - gaps_of(summed(counts))["demographic_parity_difference"]) > 0.01


def test_cells_stand_in_the_order_negatives_before_positives():
    labels, predicted = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 1, 1])
    group = Groups("who", ("a", "b"), np.zeros(7, dtype=np.int64))
    assert group_counts(labels, predicted, {"who": group}) == {"who": {"a": (2, 1, 1, 3), "b": (0, 0, 0, 0)}}


def test_of_several_classes_the_positive_one_is_counted_against_the_rest():
    labels, predicted = np.array([0, 1, 2, 2, 1]), np.array([0, 2, 2, 1, 0])
    group = Groups("who", ("a",), np.zeros(5, dtype=np.int64))
    assert group_counts(labels, predicted, {"who": group}, positive=2) == {"who": {"a": (2, 1, 1, 1)}}


def test_rows_of_unknown_level_are_not_counted():
    group = Groups("who", ("a", "b"), np.array([-1, 0, 1, -1]))
    counts = group_counts(np.array([1, 1, 0, 0]), np.array([1, 1, 1, 1]), {"who": group})
    assert counts == {"who": {"a": (0, 0, 0, 1), "b": (0, 1, 0, 0)}}


def test_a_level_without_rows_that_count_is_left_out_and_no_gap_is_made_up():
    one_sided = {"a": (5, 5, 0, 0), "b": (0, 0, 2, 8)}
    assert gaps_of_attribute(one_sided) == {"demographic_parity_difference": pytest.approx(0.3)}
    three = {"a": (5, 5, 5, 5), "b": (9, 1, 0, 0), "c": (5, 5, 1, 9)}
    found = gaps_of_attribute(three)
    assert found["equal_opportunity_difference"] == pytest.approx(0.4)
    assert found["equalized_odds_difference"] == pytest.approx(0.4)
    assert gaps_of_attribute({"a": (5, 5, 5, 5), "b": (0, 0, 0, 0)}) == {}
    assert gaps_of({"who": {"a": (0, 0, 0, 0)}}) == {}
    assert gaps_of({}) == {}


def test_the_largest_gap_over_attributes_is_named():
    counts = {"near": {"a": (5, 5, 5, 5), "b": (5, 5, 5, 5)}, "far": {"a": (9, 1, 9, 1), "b": (1, 9, 1, 9)}}
    assert gaps_of(counts)["demographic_parity_difference"] == pytest.approx(0.8)


def test_accuracy_is_of_the_attribute_known_of_the_most_rows():
    counts = {"rare": {"a": (0, 5, 5, 0)}, "usual": {"a": (30, 10, 0, 0)}}
    assert gaps_of(counts)["accuracy"] == 0.75


NAMES = st.text(min_size=0, max_size=8)
FOURS = st.tuples(*[st.integers(0, 10**9)] * 4)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, FOURS, min_size=1, max_size=3), max_size=3))
@settings(max_examples=100, deadline=None)
def test_flat_numbers_come_back_whatever_names_hold(counts):
    assert nested({**flat(counts), "loss": 0.5, "accuracy": 0.7}) == counts


def test_a_site_that_lacks_a_group_sends_the_same_keys():
    labels, predicted, codes = drawn(0)
    sites = (codes == 2).astype(np.int64)
    first, second = (flat(each) for each in split(labels, predicted, codes, sites))
    assert first.keys() == second.keys()


GOOD = flat({"who": {"a": (1, 2, 3, 4)}})
KEY = next(iter(GOOD))


@pytest.mark.parametrize("many", [float("nan"), float("inf"), -1.0, 0.5, "3", None, 2.0**60])
def test_a_count_that_is_none_is_refused(many):
    with pytest.raises(InputError, match="whole number"):
        nested({**GOOD, KEY: many})


@pytest.mark.parametrize("key", ["[", '["who", "a"]', '["who", "a", 3]', "[" * 100_000])
def test_a_name_that_is_none_is_refused(key):
    with pytest.raises(InputError, match="names no count"):
        nested({key: 1.0})


def test_half_a_level_is_refused():
    with pytest.raises(InputError, match="tn, fp, fn and tp"):
        nested({key: many for key, many in GOOD.items() if key != KEY})


def test_sites_that_count_other_levels_cannot_be_summed():
    with pytest.raises(InputError, match="site 2 counts other levels"):
        summed([{"who": {"a": (1, 1, 1, 1)}}, {"who": {"b": (1, 1, 1, 1)}}])
    assert summed([]) == {}
