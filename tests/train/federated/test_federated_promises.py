"""What a federation's ledger says of its promises: it keeps the secrets they rest on, and accounts outlive seeds."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rai.ledger import NOISY_LOSSES, Federation, Ledger
from rai.subject import Data
from rai.train.federated import fit_federated, flower, local, promises
from rai.train.federated.own_rows import read_parts, save_parts
from rai.train.federated.site import Task, Update
from rai.train.federated.site import learned as honestly
from rai.train.federated.site_account import in_any_order
from rai.train.given import parts_of, rows_given
from rai.train.loop import Moment
from rai.train.settings import ClientPrivacy, Federated, Fit, Private

Pair = tuple[np.ndarray, np.ndarray]
Some = Callable[..., Pair]
PRIVATE = Private(sample_rate=0.25, steps=6, delta=1e-5, expected_batch=16, noise_multiplier=1.0)
WHOLE = ClientPrivacy(noise_multiplier=1.0, max_grad_norm=0.5)


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[int, ...]], None]:
    """Let the same sites be drawn in every round."""

    def to(sites: tuple[int, ...]) -> None:
        monkeypatch.setattr(local, "drawn_sites", lambda *_: sites)

    return to


def federation(ledger: Ledger) -> Federation:
    assert ledger.federation is not None
    return ledger.federation


def shape(value: Any) -> Any:
    """A ledger's part with every float as its kind alone: what noise moves is left out, and what is there is not."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shape(each) for each in value]
    return "number" if isinstance(value, float) else value


class TestWhoTookPart:
    @pytest.mark.parametrize("private", [None, PRIVATE])
    def test_the_ledger_is_the_same_whoever_was_drawn(
        self, network: nn.Module, some: Some, quick: Federated, drawing: Any, private: Private | None
    ) -> None:

        settings = replace(quick, share=0.5, client_privacy=WHOLE, contributions=True, alone=True)
        found = []
        for sites in [(0,), (1, 2, 3), ()]:
            drawing(sites)
            given = [some(60 + 20 * place, place) for place in range(4)]
            ledger = fit_federated(network, given, federated=settings, private=private).ledger
            counts = [each.counts for one in federation(ledger).rounds for each in one.replies.values()]
            assert counts == [{}] * 12
            assert all(each.loss == each.validation_loss for each in ledger.epochs)
            told = shape(asdict(replace(ledger, privacy=None)))
            found.append((told, ledger.flops, [site.alone for site in federation(ledger).sites]))
        assert found[0] == found[1] == found[2]

    def test_what_is_told_instead_is_said(self, network: nn.Module, some: Some, quick: Federated, drawing: Any) -> None:
        heard: list[Moment] = []

        class Listening:
            def step(self, moment: Moment) -> None:
                heard.append(moment)

        drawing((1,))
        given = [some(80, seed) for seed in range(4)]
        settings = replace(quick, share=0.5, client_privacy=WHOLE)
        ledger = fit_federated(network, given, federated=settings, watch=Listening()).ledger
        told = federation(ledger)
        assert promises.HIDDEN_LOSSES in ledger.warnings
        assert [each.loss for each in heard] == [each.loss for each in told.rounds] == [e.loss for e in ledger.epochs]
        assert {name: each.held_out for name, each in told.rounds[0].replies.items()} == {
            f"site {k}": 12 for k in range(1, 5)
        }
        assert any("hints at how many" in each for each in told.unnoised)
        assert not any("took part in" in each and "length" in each for each in told.unnoised)

    def test_where_all_take_part_there_is_no_secret(self, network: nn.Module, some: Some, quick: Federated) -> None:
        given = [some(80, seed) for seed in range(3)]
        ledger = fit_federated(network, given, federated=replace(quick, client_privacy=WHOLE)).ledger
        told = federation(ledger)
        assert all(each.examples == 68 for one in told.rounds for each in one.replies.values())
        assert told.rounds[0].bytes_up > 0
        assert ledger.epochs[0].loss != ledger.epochs[0].validation_loss
        assert promises.HIDDEN_LOSSES not in ledger.warnings
        assert any("length" in each for each in told.unnoised)


class TestAccounts:
    def test_another_seed_holds_back_other_rows_and_goes_on_with_the_account(
        self, network: nn.Module, some: Some, quick: Federated, tmp_path: Path
    ) -> None:
        X, y = some(80, 0)
        mixed = np.random.default_rng(1).permutation(80)
        steps = []
        for seed, given in enumerate([(X, y), (X, y), (X[mixed], y[mixed])]):
            fit = Fit(seed=seed, validation=0.2 + seed / 10)
            found = fit_federated(network, [given], federated=quick, settings=fit, private=PRIVATE, accounts=tmp_path)
            assert found.ledger.privacy is not None
            steps.append(found.ledger.privacy.steps)
        assert steps == [6, 12, 18]
        assert len(list(tmp_path.glob("*.json"))) == 1

    def test_rows_in_any_order_are_the_same_and_others_are_not(self, network: nn.Module, grouped: Data) -> None:
        rows = rows_given(grouped, network)
        one = in_any_order(rows)
        assert one == in_any_order(rows.take(torch.randperm(240))) == in_any_order(replace(rows, groups={}))
        for seed in (0, 1):
            assert promises.account_at(Path(), parts_of(rows, None, share=0.3, seed=seed), PRIVATE).data == one
        other = rows.targets.clone()
        other[[0, 1]] = 1 - other[[0, 1]]
        assert len({one, in_any_order(replace(rows, targets=other)), in_any_order(rows.take(torch.arange(239)))}) == 3
        assert one != in_any_order(rows.take(torch.tensor([0, *range(239)])))

    def test_a_site_in_a_process_of_its_own_has_the_same_account(
        self, network: nn.Module, grouped: Data, tmp_path: Path
    ) -> None:
        parts = parts_of(rows_given(grouped, network), None, share=0.3, seed=3)
        save_parts(tmp_path / "site.npz", parts)
        again = read_parts(tmp_path / "site.npz", parts.train.task)
        assert promises.account_at(tmp_path, again, PRIVATE) == promises.account_at(tmp_path, parts, PRIVATE)

    def test_sites_that_a_seed_made_up_are_said_to_be(
        self, network: nn.Module, grouped: Data, quick: Federated
    ) -> None:
        def told(data: Any, settings: Federated, private: Private | None = PRIVATE) -> bool:
            found = fit_federated(network, data, federated=replace(settings, rounds=1), private=private)
            return promises.MADE_UP in found.ledger.warnings

        assert told(grouped, quick)
        assert not told(grouped, quick, None)
        assert not told(grouped, replace(quick, partition="column", column="clinic"))
        assert not told([grouped.take(np.arange(100)), grouped.take(np.arange(100, 240))], quick)


class TestLosses:
    def test_noisy_ones_are_said_to_be_within_the_promise(
        self, network: nn.Module, some: Some, quick: Federated
    ) -> None:
        given = [some(80, seed) for seed in range(3)]
        ledger = fit_federated(network, given, federated=quick, private=PRIVATE).ledger
        assert NOISY_LOSSES in ledger.warnings
        assert {"flwr", "dp-accounting", "opacus"} <= set(ledger.versions)
        assert any("held-out rows" in each for each in federation(ledger).unnoised)
        assert NOISY_LOSSES not in fit_federated(network, given, federated=quick).ledger.warnings

    def test_each_round_says_what_was_spent_and_never_too_little(
        self, network: nn.Module, some: Some, quick: Federated, tmp_path: Path
    ) -> None:
        given = [some(80, seed) for seed in range(3)]
        first = fit_federated(network, given[:1], federated=quick, private=PRIVATE, accounts=tmp_path).ledger
        ledger = fit_federated(network, given, federated=quick, private=PRIVATE, accounts=tmp_path).ledger
        assert first.privacy is not None
        assert ledger.privacy is not None
        spent = [each.epsilon or 0.0 for each in (*first.epochs, *ledger.epochs)]
        assert spent == sorted(set(spent))  # six rounds that each cost something
        assert first.privacy.epsilon <= spent[2] == pytest.approx(first.privacy.alternatives["RDP"])
        assert ledger.privacy.epsilon <= spent[5] == pytest.approx(ledger.privacy.alternatives["RDP"])


def test_the_network_is_looked_at_once_and_again_when_more_of_it_learns(
    network: nn.Module, some: Some, quick: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    looked_at = promises.looked_at

    def counting(module: nn.Module, rows: Any, task: Task, private: Private) -> Any:
        asked.append(task.round)
        return looked_at(module, rows, task, private)

    monkeypatch.setattr(promises, "looked_at", counting)
    given = [some(80, seed) for seed in range(3)]
    fit_federated(network, given, federated=quick, private=PRIVATE)
    assert asked == [1]
    asked.clear()
    fit_federated(network, given, federated=quick, private=PRIVATE, settings=Fit(freeze=("0",), unfreeze_after=2))
    assert asked == [1, 3]


class TestMostExamples:
    @pytest.mark.parametrize(("claimed", "joined"), [(136, True), (137, False)])
    def test_nobody_may_say_more_than_the_largest_site_has(
        self,
        network: nn.Module,
        some: Some,
        quick: Federated,
        monkeypatch: pytest.MonkeyPatch,
        claimed: int,
        joined: bool,  # noqa: FBT001 - a case
    ) -> None:

        def boasting(module: nn.Module, rows: Any, task: Task) -> Update:
            found = honestly(module, rows, task)
            return replace(found, examples=claimed) if task.site == 1 else found

        monkeypatch.setattr(flower, "learned", boasting)
        given = [some(160, 0), some(40, 1)]
        told = federation(fit_federated(network, given, federated=replace(quick, rounds=1)).ledger)
        assert (told.rounds[0].replies["site 2"].excluded == "") is joined
        assert told.rounds[0].replies["site 1"].excluded == ""

    def test_a_public_number_of_rows_may_be_more_than_any_site_has(
        self, network: nn.Module, some: Some, quick: Federated
    ) -> None:
        private = replace(PRIVATE, expected_batch=200.0)
        told = federation(fit_federated(network, [some(80, 0)], federated=quick, private=private).ledger)
        assert [each.replies["site 1"].examples for each in told.rounds] == [800] * 3
        assert not any(each.replies["site 1"].excluded for each in told.rounds)


def test_a_reply_says_on_how_many_rows_the_model_was_measured(network: nn.Module, some: Some, quick: Federated) -> None:
    given = [some(80, 0), some(100, 1)]
    settings = Fit(validation=0.25)
    told = federation(fit_federated(network, given, federated=quick, settings=settings).ledger)
    assert [[each.held_out for each in one.replies.values()] for one in told.rounds] == [[20, 25]] * 3
