"""How replies are joined: which of Flower's strategies there are, what may be said to each, and what it starts from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rai.errors import InputError
from rai.train.settings import Federated, Fit

Number = float | int


@dataclass(frozen=True)
class Argument:
    """One number that a strategy may be told; `default` None leaves it to Flower."""

    holds: Callable[[float], bool]
    expected: str
    default: float | None = None


@dataclass(frozen=True)
class Strategy:
    """One way to join replies: the name of Flower's class, and what may be said to it."""

    flower: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)


def _from_0(default: float | None = None) -> Argument:
    return Argument(lambda value: 0 <= value < float("inf"), "a number from 0", default)


def _above_0(default: float | None = None) -> Argument:
    return Argument(lambda value: 0 < value < float("inf"), "a number above 0", default)


def _share(default: float | None = None) -> Argument:
    return Argument(lambda value: 0 <= value < 1, "a number from 0 to below 1", default)


def _whole(least: int) -> Argument:
    return Argument(lambda value: isinstance(value, int) and value >= least, f"a whole number from {least}")


ADAPTIVE = {"eta": _above_0(), "eta_l": _above_0(), "beta_1": _share(), "beta_2": _share(), "tau": _above_0()}
STRATEGIES: Mapping[str, Strategy] = {
    "fedavg": Strategy("FedAvg"),
    "fedprox": Strategy("FedProx", {"proximal_mu": _from_0(0.1)}),
    "fedavgm": Strategy("FedAvgM", {"server_learning_rate": _above_0(1.0), "server_momentum": _share(0.9)}),
    "fedadam": Strategy("FedAdam", ADAPTIVE),
    "fedyogi": Strategy("FedYogi", ADAPTIVE),
    "fedadagrad": Strategy("FedAdagrad", {name: ADAPTIVE[name] for name in ("eta", "eta_l", "tau")}),
    "qfedavg": Strategy("QFedAvg", {"q": _from_0(0.2), "client_learning_rate": _above_0()}),
    "fedmedian": Strategy("FedMedian"),
    "trimmedavg": Strategy(
        "FedTrimmedAvg", {"beta": Argument(lambda value: 0 <= value < 0.5, "a share from 0 to below 0.5", 0.2)}
    ),
    "krum": Strategy("Krum", {"num_malicious_nodes": _whole(0)}),
    "multikrum": Strategy("MultiKrum", {"num_malicious_nodes": _whole(0), "num_nodes_to_select": _whole(1)}),
    "bulyan": Strategy("Bulyan", {"num_malicious_nodes": _whole(0)}),
    "fairfed": Strategy("FedAvg", {"beta": _from_0(1.0)}),
}
OWN = {"fairfed": ("beta",)}
"""Arguments that are not Flower's but our own."""
STEPPING = frozenset({"fedavgm", "fedadam", "fedyogi", "fedadagrad", "qfedavg"})
"""Strategies that take a step of their own; running statistics of a network are averaged beside them."""
SHARE_OF_LIARS = 5
"""Without a word, one site in five is reckoned with as malicious."""


def arguments_of(federated: Federated, fit: Fit, replies: int) -> dict[str, Number]:
    """Return what the strategy is told: what was said, and else what it starts from; `replies` are those of a round.

    Raises `InputError` for a strategy or an argument that does not exist, and for a number out of its range.
    """
    name, said = federated.strategy, federated.arguments
    if name not in STRATEGIES:
        raise InputError(f"is {name!r}", where="federated.strategy", expected=f"one of {', '.join(STRATEGIES)}")
    known = STRATEGIES[name].arguments
    for key, value in said.items():
        if key not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise InputError(f"is no argument of {name}", where=f"federated.arguments.{key}", expected=expected)
        if isinstance(value, bool) or not isinstance(value, int | float) or not known[key].holds(value):
            raise InputError(f"is {value!r}", where=f"federated.arguments.{key}", expected=known[key].expected)
    defaults = {key: each.default for key, each in known.items() if each.default is not None}
    found: dict[str, Number] = {**defaults, **_reckoned(name, fit, replies), **said}
    _require_enough(name, found, replies)
    return found


def flower_arguments(name: str, arguments: Mapping[str, Number]) -> dict[str, Number]:
    """Return those of the arguments that are Flower's own."""
    return {key: value for key, value in arguments.items() if key not in OWN.get(name, ())}


def _reckoned(name: str, fit: Fit, replies: int) -> dict[str, Number]:
    """Numbers that hang on how many sites reply, and on how they learn."""
    liars = replies // SHARE_OF_LIARS
    match name:
        case "qfedavg":
            return {"client_learning_rate": fit.learning_rate}
        case "krum":
            return {"num_malicious_nodes": liars}
        case "multikrum":
            return {"num_malicious_nodes": liars, "num_nodes_to_select": max(1, replies - liars)}
        case "bulyan":
            return {"num_malicious_nodes": max(0, min(liars, (replies - 3) // 4))}
        case _:
            return {}


def _require_enough(name: str, arguments: Mapping[str, Number], replies: int) -> None:
    liars = int(arguments.get("num_malicious_nodes", 0))
    least = {"krum": 2 * liars + 3, "multikrum": 2 * liars + 3, "bulyan": 4 * liars + 3}.get(name, 1)
    if replies < least:
        what = f"{name} against {liars} malicious sites needs {least} replies a round, and there are {replies}"
        raise InputError(what, where="federated", do="let more sites take part, or choose another strategy")
    if int(arguments.get("num_nodes_to_select", 1)) > replies:
        what = f"is {arguments['num_nodes_to_select']}, and {replies} sites reply in a round"
        raise InputError(what, where="federated.arguments.num_nodes_to_select", expected="at most that many")
