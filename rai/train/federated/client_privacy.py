"""A promise to each site as a whole: its update is clipped, all weigh the same, and the server adds noise to their sum.

This is DP-FedAvg (McMahan et al. 2018, arXiv:1710.06963) with a public denominator: what one site can add is its
clipped update and nothing else, so the noise is `noise_multiplier` times the most that one site can change, however
many rows it holds. It is kept apart from what a site promises to its rows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rai.errors import InputError
from rai.ledger import Privacy, Round
from rai.train.checks import CHANCE, POSITIVE, SHARE, require_bounds
from rai.train.federated.site_account import UNNOISED
from rai.train.private.accounting import epsilon
from rai.train.private.noise import add_noise
from rai.train.private.sampling import poisson
from rai.train.settings import ClientPrivacy

Arrays = Mapping[str, NDArray[Any]]
BOUNDS = {"noise_multiplier": POSITIVE, "max_grad_norm": POSITIVE, "delta": CHANCE}
MEANS = frozenset({"fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "fedadagrad"})
"""Strategies that need the sites' mean and nothing else of them: only these can be handed a mean with noise."""
SERVER = "the server is trusted: it sees each site's update before there is noise on it"
HIDDEN = "nobody but the server may know which sites took part in which round, nor how many"
OPEN = "who took part in a round may be known to all, for each site is counted as if it took part in every round"
OF_WHO_TOOK_PART = (
    "the training loss and the length of each site's update in each round that it took part in",
    "how many rows each site learned from, and whose updates were left out and why",
)
TIME = "how long the training took in all, which hints at how many sites took part"
"""The ledger of a training tells it, though none of single rounds."""
WITHOUT = "PLD, where it is known who took part"
"""The name, among a promise's other figures, of the epsilon that applies where participation is no secret."""


def client_promise(privacy: ClientPrivacy, *, share: float, clients: int, rounds: int) -> Privacy:
    """Return what so many rounds promise to each site: the epsilon that applies, with others beside it.

    `share` is the public chance with which each of `clients` sites is drawn in a round. Below 1 it makes the promise
    stronger while it stays secret who was drawn: whatever is written down of a round goes through
    `without_participation`, and the figure that holds where it is known stands beside. `assumption` says this in words.
    Raises `InputError` for numbers that promise nothing.
    """
    _require(privacy, share)
    found = epsilon(privacy.noise_multiplier, share, steps=rounds, delta=privacy.delta)
    others = dict(found.alternatives)
    if share < 1:
        others[WITHOUT] = epsilon(privacy.noise_multiplier, 1.0, steps=rounds, delta=privacy.delta).value
    return Privacy(
        unit="site",
        epsilon=found.value,
        delta=privacy.delta,
        noise_multiplier=privacy.noise_multiplier,
        max_grad_norm=privacy.max_grad_norm,
        sample_rate=share,
        steps=rounds,
        expected_batch=share * clients,
        accountant=found.accountant,
        relation="add or remove one site",
        sampler="Poisson, among sites" if share < 1 else "none: each site counts in every round",
        alternatives=others,
        gradients="each site's whole update, clipped at the server",
    )


def assumption(share: float) -> str:
    """Return in words what the promise to whole sites rests on, for the ledger and whoever reads epsilon."""
    return f"{SERVER}; {HIDDEN if share < 1 else OPEN}"


def unnoised(share: float) -> tuple[str, ...]:
    """Return in words what is told of sites beside the noisy mean: the promise to whole sites does not cover it."""
    return (*UNNOISED, TIME) if share < 1 else (*UNNOISED, *OF_WHO_TOOK_PART)


def drawn_sites(count: int, share: float, rng: np.random.Generator) -> tuple[int, ...]:
    """Return which of `count` sites take part in a round: each by itself with chance `share`, perhaps none.

    `rng` must be that of `rai.train.private.sampling.secret()`: a draw that can be repeated is no secret. A round in
    which nobody was drawn is made all the same, with noise alone, and counts.
    """
    return tuple(int(each) for each in poisson(count, share, rng))


def without_participation(found: Round) -> Round:
    """Return a round as a ledger may show it while it is to stay secret who took part.

    What sites sent when they were drawn goes (rows, lengths of updates, who was left out and why), and so do bytes and
    seconds, which tell how many were drawn. How the common model fares stays, for sites that measured it.
    """
    shown = {name: replace(each, examples=0, norm=None, excluded="") for name, each in found.replies.items()}
    seen = {name: each for name, each in shown.items() if each.loss is not None or each.counts}
    return replace(found, replies=seen, bytes_down=0, bytes_up=0, seconds=0.0)


def require_mean(strategy: str) -> None:
    """Raise `InputError` for a strategy that needs more of the sites than their mean, such as a median."""
    if strategy not in MEANS:
        raise InputError(
            f"is {strategy!r}, which looks at each site's update by itself",
            where="federated.strategy beside client_privacy",
            expected=f"one of {', '.join(sorted(MEANS))}",
        )


def noisy_mean(
    updates: Sequence[Arrays],
    reference: Arrays,
    *,
    privacy: ClientPrivacy,
    expected: float,
    rng: np.random.Generator,
    learned: Collection[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the reference plus (the sum of clipped differences + noise) / `expected`, array by array.

    `updates` are whole arrays as sites sent them; each counts once, however many rows it learned from. `expected` is
    the public mean number of sites in a round, share × clients, never how many replied. `learned` names the arrays that
    move, a module's parameters; the others, and those of whole numbers, stay as in `reference`, for noise on a counter
    or a fixed scale would break the network. `rng` is `secret()`. A site may have been left out before for what it
    sent, but not for how that compares to others. Raises `InputError` where an update holds what is no number.
    """
    moving = [
        name for name, each in reference.items() if each.dtype.kind == "f" and (learned is None or name in learned)
    ]
    sums = {name: np.zeros(reference[name].shape) for name in moving}
    for place, update in enumerate(updates):
        for name, each in _clipped(update, reference, moving, privacy.max_grad_norm, place).items():
            sums[name] += each
    tensors = {name: torch.from_numpy(each) for name, each in sums.items()}
    std = privacy.noise_multiplier * privacy.max_grad_norm
    steps = add_noise(tensors, std, rng, expected_batch=expected)
    moved = {name: (reference[name] + steps[name].numpy()).astype(reference[name].dtype) for name in moving}
    return {name: moved.get(name, each) for name, each in reference.items()}


def _clipped(
    update: Arrays, reference: Arrays, moving: Sequence[str], limit: float, place: int
) -> dict[str, NDArray[np.float64]]:
    """How the update differs from the reference, scaled down as a whole where it is longer than `limit`."""
    found = {name: np.asarray(update[name], np.float64) - reference[name] for name in moving}
    largest = max((float(np.abs(each).max(initial=0.0)) for each in found.values()), default=0.0)
    if not isfinite(sum(float(np.abs(each).max(initial=0.0)) for each in found.values())):
        do = "leave the site out of the round before its update is added up"
        raise InputError("holds what is no number", where=f"the update of site {place + 1} of the round", do=do)
    scaled = [np.linalg.norm(each / largest) for each in found.values()] if largest else [0.0]
    length = largest * float(np.linalg.norm(scaled))
    return {name: each * min(1.0, limit / length) if length else each for name, each in found.items()}


def _require(privacy: ClientPrivacy, share: float) -> None:
    require_bounds(privacy, BOUNDS, "federated.client_privacy")
    holds, expected = SHARE
    if not holds(share):
        raise InputError(f"is {share!r}", where="federated.share", expected=expected)
