"""A federation's ledger tells what is so: as many clients as there are sites, and what left them, no more or less."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from rai.ledger import Federation, Ledger
from rai.subject import Data
from rai.train.federated import fit_federated, promises
from rai.train.federated.site_account import BY_GROUP, HELD, MEASURED, in_any_order
from rai.train.given import Parts, parts_of, rows_given
from rai.train.settings import ClientPrivacy, Federated, Fit, Private

Pair = tuple[np.ndarray, np.ndarray]
Some = Callable[..., Pair]
PRIVATE = Private(sample_rate=0.25, steps=6, delta=1e-5, expected_batch=16, noise_multiplier=1.0)
WHOLE = ClientPrivacy(noise_multiplier=1.0, max_grad_norm=0.5)


def federation(ledger: Ledger) -> Federation:
    assert ledger.federation is not None
    return ledger.federation


class TestSettings:
    def test_clients_are_as_many_as_there_are(
        self, network: nn.Module, grouped: Data, some: Some, quick: Federated
    ) -> None:
        """Ten are asked for, and a column has three values, and two sites are handed in."""
        ten = replace(quick, clients=10, rounds=1)
        by_column = fit_federated(network, grouped, federated=replace(ten, partition="column", column="clinic"))
        told = by_column.ledger.recipe["federated"]
        assert (told["clients"], told["partition"], told["column"]) == (3, "column", "clinic")
        handed = fit_federated(network, [some(80, 1), some(60, 2)], federated=ten).ledger.recipe["federated"]
        assert handed["clients"] == 2
        assert handed.keys().isdisjoint({"partition", "alpha", "classes", "column", "smallest"})

    def test_contributions_that_were_not_computed_are_the_subject(
        self, network: nn.Module, some: Some, quick: Federated
    ) -> None:
        settings = replace(quick, clients=13, rounds=1, contributions=True)
        ledger = fit_federated(network, some(260), federated=settings).ledger
        assert (
            "contributions of sites were not computed: exact values are for at most 12 sites, and there are 13"
            in ledger.warnings
        )


class TestUnnoised:
    def test_nothing_is_named_where_nothing_is_promised(
        self, network: nn.Module, grouped: Data, quick: Federated
    ) -> None:
        assert federation(fit_federated(network, grouped, federated=replace(quick, rounds=1)).ledger).unnoised == ()

    @pytest.mark.parametrize(
        ("groups", "share", "named"),
        [(True, 0.2, (HELD, MEASURED, BY_GROUP)), (False, 0.2, (HELD, MEASURED)), (True, 0.0, (HELD,))],
    )
    def test_what_does_not_leave_is_not_named(
        self, network: nn.Module, grouped: Data, quick: Federated, *, groups: bool, share: float, named: tuple[str, ...]
    ) -> None:
        data = grouped if groups else replace(grouped, groups={})
        fit, settings = Fit(validation=share), replace(quick, rounds=1)
        ledger = fit_federated(network, data, federated=settings, settings=fit, private=PRIVATE).ledger
        assert federation(ledger).unnoised == named
        replies = [each for one in federation(ledger).rounds for each in one.replies.values()]
        assert any(each.counts and each.held_out for each in replies) is (BY_GROUP in named)
        assert any(each.loss is not None for each in replies) is (MEASURED in named)

    def test_contributions_are_named_where_they_are_told(
        self, network: nn.Module, grouped: Data, quick: Federated
    ) -> None:
        settings = replace(quick, rounds=1, contributions=True)
        told = federation(fit_federated(network, grouped, federated=settings, private=PRIVATE).ledger)
        assert promises.BROUGHT in told.unnoised
        assert all(each.contribution is not None for each in told.sites)
        whole = replace(settings, client_privacy=WHOLE)
        told = federation(fit_federated(network, grouped, federated=whole, private=PRIVATE).ledger)
        assert promises.BROUGHT not in told.unnoised
        assert all(each.contribution is None for each in told.sites)

    def test_lengths_and_counts_of_rows_are_named_while_they_leave(
        self, network: nn.Module, grouped: Data, quick: Federated
    ) -> None:
        """With every site in every round, its update's length is told; while it is secret who took part, it is not."""
        for share, leaves in ((1.0, True), (0.5, False)):
            settings = replace(quick, rounds=2, share=share, client_privacy=WHOLE)
            told = federation(fit_federated(network, grouped, federated=settings).ledger)
            replies = [each for one in told.rounds for each in one.replies.values()]
            assert any("length of each site's update" in each for each in told.unnoised) is leaves
            assert any("how many rows each site learned from" in each for each in told.unnoised) is leaves
            assert any(each.norm is not None or each.examples for each in replies) is leaves


class TestAccountOfAllRows:
    def test_rows_held_back_once_and_learned_from_later_are_on_the_same_account(
        self, network: nn.Module, grouped: Data, tmp_path: Path
    ) -> None:
        rows = rows_given(grouped, network)
        first, later = (parts_of(rows, None, share=0.3, seed=seed) for seed in (0, 1))
        assert first.held is not None
        moved = _rows(first.held) & _rows(later.train)
        assert len(moved) > 20
        assert promises.account_at(tmp_path, first, PRIVATE) == promises.account_at(tmp_path, later, PRIVATE)
        without = Parts(later.train, None)
        assert promises.account_at(tmp_path, without, PRIVATE) != promises.account_at(tmp_path, later, PRIVATE)

    def test_what_begins_an_account_anew_is_in_the_warnings(
        self, network: nn.Module, some: Some, quick: Federated
    ) -> None:
        """The hole: the same people in other units, or all but one of them, are other rows to the account."""
        X, y = some(80)
        one, scaled, fewer = (rows_given(each, network) for each in ((X, y), (X * 2, y), (X[1:], y[1:])))
        assert len({in_any_order(each) for each in (one, scaled, fewer)}) == 3
        given, settings = [(X, y)], replace(quick, rounds=1)
        ledger = fit_federated(network, given, federated=settings, private=PRIVATE).ledger
        assert {promises.BEGINS_ANEW, promises.HELD_BACK} <= set(ledger.warnings)
        none = fit_federated(network, given, federated=settings, private=PRIVATE, settings=Fit(validation=0.0)).ledger
        assert promises.BEGINS_ANEW in none.warnings
        assert promises.HELD_BACK not in none.warnings
        assert promises.BEGINS_ANEW not in fit_federated(network, given, federated=settings).ledger.warnings


def _rows(found: object) -> set[bytes]:
    return {each.numpy().tobytes() for each in found.inputs}  # type: ignore[attr-defined]
