"""How replies are joined: each of Flower's strategies learns, and those that promise to resist attacks do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rai.errors import InputError
from rai.subject import Data
from rai.train import Fit
from rai.train.federated import fit_federated, flower
from rai.train.federated.attacks import sign_flip
from rai.train.federated.site import Task, Update, learned
from rai.train.federated.strategies import STRATEGIES, arguments_of
from rai.train.settings import ClientPrivacy, Federated, Private

Pair = tuple[np.ndarray, np.ndarray]
Some = Callable[..., Pair]
SITES = 10
FAST = {"fedadam": {"eta": 0.1}, "fedyogi": {"eta": 0.1}, "fedadagrad": {"eta": 0.1}, "qfedavg": {"q": 0.0}}


def sites(some: Some) -> list[Pair]:
    return [some(100, seed) for seed in range(SITES)]


def accuracy(module: nn.Module, some: Some) -> float:
    X, y = some(1000, seed=99)
    with torch.no_grad():
        return float((module(torch.from_numpy(X)).argmax(1).numpy() == y).mean())


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "fairfed"])
def test_each_strategy_learns(network: nn.Module, some: Some, quick: Federated, plain_fit: Fit, strategy: str) -> None:
    settings = replace(quick, rounds=10, strategy=strategy, arguments=FAST.get(strategy, {}))
    trained = fit_federated(network, sites(some), federated=settings, settings=replace(plain_fit, learning_rate=0.2))
    assert accuracy(trained.model, some) > 0.85
    kinds = {each.dtype for each in trained.model.state_dict().values()}
    assert kinds == {torch.float32}


@pytest.mark.parametrize("strategy", ["fedavgm", "fedprox", "qfedavg"])
def test_at_the_limit_a_strategy_is_fedavg(
    network: nn.Module, some: Some, quick: Federated, plain_fit: Fit, strategy: str
) -> None:
    at_limit: dict[str, dict[str, float]] = {
        "fedavgm": {"server_momentum": 0.0},
        "fedprox": {"proximal_mu": 0.0},
        "qfedavg": {"q": 0.0},
    }
    one = replace(quick, strategy=strategy, arguments=at_limit[strategy])
    modules = [fit_federated(network, sites(some), federated=each, settings=plain_fit).model for each in (one, quick)]
    for one_of, other in zip(*(each.parameters() for each in modules), strict=True):
        assert torch.allclose(one_of, other, rtol=0, atol=1e-5)


def test_fedprox_keeps_sites_near_the_common_model(
    network: nn.Module, some: Some, quick: Federated, plain_fit: Fit
) -> None:
    def moved(pull: float) -> float:
        settings = replace(quick, rounds=1, local_epochs=5, strategy="fedprox", arguments={"proximal_mu": pull})
        found = fit_federated(network, some(), federated=settings, settings=plain_fit).ledger.federation
        assert found is not None
        return sum(each.norm or 0.0 for each in found.rounds[0].replies.values())

    assert moved(5.0) < 0.8 * moved(1.0) < 0.8 * moved(0.0)


def attacked(
    network: nn.Module, some: Some, settings: Federated, monkeypatch: pytest.MonkeyPatch, attack: str
) -> float:
    """What the model is worth where two of ten sites do not learn as they should."""

    def learning(module: nn.Module, rows: object, task: Task) -> Update:
        found = learned(module, rows, task)  # type: ignore[arg-type]
        if task.site >= 2 or not attack:
            return found
        flipped = sign_flip(found.arrays, task.state, 5.0)
        return replace(found, arrays=flipped, examples=10**6 if attack == "inflated" else found.examples)

    monkeypatch.setattr(flower, "learned", learning)
    fit_settings = Fit(optimizer="sgd", learning_rate=0.2, batch_size=16)
    return accuracy(fit_federated(network, sites(some), federated=settings, settings=fit_settings).model, some)


@pytest.mark.parametrize("strategy", ["fedmedian", "trimmedavg", "krum", "multikrum", "bulyan"])
def test_strategies_that_resist_attacks_do(
    network: nn.Module, some: Some, quick: Federated, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    arguments = {"bulyan": {"num_malicious_nodes": 1}, "krum": {"num_malicious_nodes": 2}}.get(strategy, {})
    settings = replace(quick, rounds=6, strategy=strategy, arguments=arguments)
    assert attacked(network, some, settings, monkeypatch, "sign flip") > 0.85


def test_a_plain_average_does_not_resist_and_a_cap_on_examples_helps_it(
    network: nn.Module, some: Some, quick: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(quick, rounds=6, most_examples=10**9)
    honest = attacked(network, some, settings, monkeypatch, "")
    assert honest > 0.9
    assert attacked(network, some, settings, monkeypatch, "sign flip") < honest - 0.1
    assert attacked(network, some, settings, monkeypatch, "inflated") < honest - 0.3
    for capped in (1000, None):
        found = attacked(network, some, replace(settings, most_examples=capped), monkeypatch, "inflated")
        assert found > honest - 0.01


def test_fairfed_moves_weight_and_without_beta_is_fedavg(network: nn.Module, grouped: Data, quick: Federated) -> None:
    def trained(**said: object) -> bytes:
        settings = replace(quick, rounds=4, **said)  # type: ignore[arg-type]
        module = fit_federated(network, grouped, federated=settings, settings=Fit(validation=0.4)).model
        return b"".join(each.numpy().tobytes() for each in module.state_dict().values())

    assert trained(strategy="fairfed", arguments={"beta": 0.0}) == trained()
    assert trained(strategy="fairfed", arguments={"beta": 1.0}) != trained()


@pytest.mark.parametrize("strategy", ["fedadam", "fedavgm", "qfedavg", "fedmedian"])
def test_running_statistics_are_averaged_whatever_the_strategy_does(
    some: Some, quick: Federated, plain_fit: Fit, strategy: str
) -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    trained = fit_federated(network, sites(some)[:4], strategy=strategy, federated=quick, settings=plain_fit)
    norm = trained.model[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.num_batches_tracked is not None
    assert norm.num_batches_tracked.dtype == torch.int64
    assert int(norm.num_batches_tracked) == 15  # three rounds of five batches at each site
    assert bool((norm.running_var > 0).all())
    assert any("averaged" in each and "running" in each for each in trained.ledger.warnings)


def test_sites_learn_at_the_same_time_with_the_same_result(
    network: nn.Module, some: Some, quick: Federated, plain_fit: Fit
) -> None:
    given = [some(40 + 13 * seed, seed) for seed in range(5)]
    loop, together = (
        fit_federated(network, given, federated=replace(quick, vmap=vmap), settings=plain_fit) for vmap in (False, True)
    )
    for one, other in zip(loop.model.parameters(), together.model.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-5)
    assert together.ledger.warnings == ()
    dropping = nn.Sequential(nn.Dropout(0.5), network)
    by_one = fit_federated(dropping, given, federated=replace(quick, vmap=True), settings=plain_fit)
    assert any("one by one" in each for each in by_one.ledger.warnings)


def test_a_promise_to_sites_is_in_the_ledger_and_does_not_hang_on_rows(
    network: nn.Module, some: Some, quick: Federated
) -> None:
    given = [some(400, 1), *[some(30, seed) for seed in range(2, 9)]]  # one site holds most of the rows
    privacy = ClientPrivacy(noise_multiplier=1.0, max_grad_norm=0.5)
    settings = replace(quick, share=0.5, client_privacy=privacy, contributions=True)
    found = fit_federated(network, given, federated=settings).ledger
    assert found.federation is not None
    assert found.federation.client_privacy is not None
    assert found.federation.client_privacy.noise_multiplier == 1.0
    assert found.privacy is None
    assert found.federation.assumption
    assert found.federation.unnoised
    assert all(each.contribution is None for each in found.federation.sites)
    with pytest.raises(InputError, match="fedmedian"):
        fit_federated(network, given, federated=replace(settings, strategy="fedmedian"))


def test_a_promise_to_rows_is_the_largest_over_sites_and_goes_on(
    network: nn.Module, some: Some, quick: Federated, tmp_path: Path
) -> None:
    private = Private(sample_rate=0.25, steps=6, delta=1e-5, expected_batch=16, noise_multiplier=1.0)
    given = [some(80, seed) for seed in range(3)]
    once = fit_federated(network, given, federated=quick, private=private, accounts=str(tmp_path)).ledger
    assert once.privacy is not None
    assert once.federation is not None
    assert once.privacy.steps == 6
    assert [each.epsilon for each in once.federation.sites] == [once.privacy.epsilon] * 3
    assert all(each.alone is None for each in once.federation.sites)
    twice = fit_federated(network, given, federated=quick, private=private, accounts=str(tmp_path)).ledger
    assert twice.privacy is not None
    assert twice.privacy.steps == 12
    assert twice.privacy.epsilon > once.privacy.epsilon
    fresh = fit_federated(network, given, federated=quick, private=private).ledger
    assert fresh.privacy == once.privacy


def test_a_site_whose_budget_is_spent_takes_no_part(
    network: nn.Module, some: Some, quick: Federated, tmp_path: Path
) -> None:
    private = Private(sample_rate=0.25, steps=6, delta=1e-5, expected_batch=16, epsilon=3.0)
    first, second, third = (some(80, seed) for seed in range(3))
    fit_federated(network, [first], federated=quick, private=private, accounts=str(tmp_path))
    found = fit_federated(network, [first, second, third], federated=quick, private=private, accounts=str(tmp_path))
    assert found.ledger.federation is not None
    replies = [each.replies for each in found.ledger.federation.rounds]
    assert all("budget is spent" in each["site 1"].excluded for each in replies)
    assert not any(each["site 2"].excluded for each in replies)


def test_numbers_without_a_word_come_from_replies_and_settings() -> None:
    def told(name: str, replies: int, **said: float) -> dict[str, float]:
        given = Federated(strategy=name, arguments=said)  # type: ignore[arg-type]
        return arguments_of(given, Fit(learning_rate=0.3), replies)

    assert told("krum", 10) == {"num_malicious_nodes": 2}
    assert told("multikrum", 10) == {"num_malicious_nodes": 2, "num_nodes_to_select": 8}
    assert told("bulyan", 10) == {"num_malicious_nodes": 1}
    assert told("qfedavg", 4, q=0.5) == {"q": 0.5, "client_learning_rate": 0.3}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"strategy": "fedsum"}, r"federated\.strategy: is 'fedsum'"),
        ({"strategy": "fedprox", "arguments": {"mu": 1.0}}, r"arguments\.mu: is no argument of fedprox; expected one"),
        ({"strategy": "fedavg", "arguments": {"mu": 1.0}}, r"is no argument of fedavg; expected none"),
        ({"strategy": "trimmedavg", "arguments": {"beta": 0.5}}, r"arguments\.beta: is 0\.5"),
        ({"strategy": "krum", "arguments": {"num_malicious_nodes": 1.5}}, "a whole number from 0"),
        ({"strategy": "krum", "arguments": {"num_malicious_nodes": 2}}, "needs 7 replies a round, and there are 4"),
        ({"strategy": "bulyan", "clients": 2}, "needs 3 replies a round, and there are 2"),
        ({"strategy": "multikrum", "arguments": {"num_nodes_to_select": 5}}, "4 sites reply"),
        ({"clients": 500}, r"federated\.clients: are 500, and there are 240 rows"),
        ({"clients": 0}, r"federated\.clients: is 0"),
        ({"rounds": 0}, r"federated\.rounds: is 0; expected a whole number from 1"),
        ({"share": 0.0}, r"federated\.share: is 0\.0; expected a share above 0 and at most 1"),
        ({"share": 1.5}, r"federated\.share: is 1\.5"),
        ({"partition": "fair"}, r"federated\.partition: is 'fair'"),
        ({"runtime": "cloud"}, r"federated\.runtime: is 'cloud'"),
        ({"local_epochs": 0}, r"federated\.local_epochs: is 0"),
    ],
)
def test_what_makes_no_sense_is_named(
    network: nn.Module, some: Some, quick: Federated, said: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_federated(network, some(), federated=replace(quick, **said))  # type: ignore[arg-type]


def test_other_words_that_make_no_sense_are_named(
    network: nn.Module, some: Some, quick: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"fit\.early_stopping"):
        fit_federated(network, some(), federated=quick, settings=Fit(early_stopping=3))
    with pytest.raises(InputError, match="holds no site"):
        fit_federated(network, {}, federated=quick)
    X, y = some()
    with pytest.raises(InputError, match="site 'b' has labels for regression"):
        fit_federated(nn.Linear(6, 1), {"a": (X, y), "b": (X, X[:, 0])}, federated=quick)
    monkeypatch.setattr(flower, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"Flower is not installed; pip install 'rai\[federated\]'"):
        fit_federated(network, some(), federated=quick)


def test_a_site_with_one_label_takes_part(network: nn.Module, some: Some, quick: Federated) -> None:
    X, y = some()
    given = {"yes": (X[y == 1], y[y == 1]), "no": (X[y == 0], y[y == 0])}
    found = fit_federated(network, given, federated=quick).ledger.federation
    assert found is not None
    assert [list(each.classes) for each in found.sites] == [["1"], ["0"]]
    assert not any(reply.excluded for each in found.rounds for reply in each.replies.values())


def test_the_servers_own_rows_are_looked_at(network: nn.Module, some: Some, quick: Federated) -> None:
    own, test = some(60, 50), some(80, 51)
    trained = fit_federated(network, some(), federated=quick, validation=own, test=test)
    with torch.no_grad():
        X, y = (torch.from_numpy(each) for each in own)
        loss = float(nn.functional.cross_entropy(trained.model(X), y))
        right = float((trained.model(torch.from_numpy(test[0])).argmax(1).numpy() == test[1]).mean())
    last = trained.ledger.epochs[-1]
    assert last.validation_loss == pytest.approx(loss, abs=1e-6)
    assert last.metrics["test_accuracy"] == pytest.approx(right)
    assert trained.ledger.split == {"train": 204, "validation": 36}
