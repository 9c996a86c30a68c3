"""The reductions approach of Agarwal et al. 2018 (ICML), by fairlearn's ExponentiatedGradient, over the caller's nets.

It makes many networks, each trained on the same rows with other weights and labels, and finds how to draw among them
so that few errors are made within the bound on the gap. That draw becomes one network that does not draw: its chance
is the mean of theirs (`rai.networks.mixture`). The attribute is not needed when it predicts.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rai.errors import InputError
from rai.ledger import Ledger, Mitigation
from rai.networks.mixture import Mixture, mixture
from rai.subject import Ints
from rai.train.batches import Rows, steps_in
from rai.train.fair.gaps import gap_name
from rai.train.fair.job import Job
from rai.train.fair.watched import after_each, gaps_on, outputs_of
from rai.train.fitting import fit
from rai.train.losses import losses
from rai.train.settings import Fit
from rai.train.trained import Trained

PARITIES = {
    "demographic_parity": "DemographicParity",
    "equalized_odds": "EqualizedOdds",
    "equal_opportunity": "TruePositiveRateParity",
}
"""fairlearn's name for each criterion."""
ROUNDS = 10
MOST_NETS = 40
SHARE = 0.15
LEAST_STEPS = 100
"""Each further network starts from the baseline's weights and learns for a share of its epochs, or for as many as make
so many steps; never for more epochs than the baseline."""
SLACK = 0.01
"""A mixture whose gap is larger than what was asked for by more than this is told of in a warning."""
LEAST_GAP = 0.005
"""The gap is never asked to be smaller than this: the rows do not tell smaller ones from chance."""


def train(job: Job) -> Trained:
    """Train the baseline, then networks on reweighed rows, and return their mixture with one ledger for all.

    `job.strength` is the share of the baseline's gap on the rows that is to go, from 0 to 1. Of several attributes
    every combination of levels counts as a group, and so does a level that is unknown. At most 40 networks are trained
    beside the baseline. The ledger is the baseline's, its seconds and operations those of all. Raises `InputError` for
    another task than a binary one, for settings that cannot be kept, and where fairlearn is not installed.
    """
    fairlearn = _fairlearn()
    _require(job)
    aids = {**job.aids, "after_epoch": after_each(job)}
    first = fit(job.network, job.rows, settings=job.settings, validation=job.held, **aids)
    learner = _Learner(first.model, job.rows, _shorter(job))
    before = _gap(first.model, job)
    if before is None:
        raise InputError(
            "no gap is defined on the rows learned from", where="sensitive", do="give more rows of each group"
        )
    asked = max((1.0 - job.strength) * before, LEAST_GAP)
    parity = getattr(fairlearn, PARITIES[job.fair.criterion])(difference_bound=asked / 2)
    search = fairlearn.ExponentiatedGradient(learner, parity, max_iter=ROUNDS)
    with _quiet():
        search.fit(np.arange(len(job.rows))[:, None], job.rows.targets.long().numpy(), sensitive_features=_codes(job))
    model = _mixed(first.model, search.predictors_, search.weights_)
    after = _gap(model, job)
    details: dict[str, float | str] = {"gap of the baseline": before, "gap asked for": asked}
    details["gap of the mixture"] = "not defined" if after is None else after
    details |= {"networks trained": len(learner.made), "networks in the mixture": len(model.members)}
    ledger = _summed(first.ledger, learner.made, model)
    told = Mitigation(job.fair.criterion, job.fair.sensitive, job.fair.method, job.strength, details=details)
    return Trained(model, replace(ledger, mitigation=told, warnings=(*ledger.warnings, *_doubt(asked, after))))


def _gap(module: nn.Module, job: Job) -> float | None:
    """The criterion's gap on the rows learned from; None where there is nothing to compare."""
    return gaps_on(module, job.rows, job).get(gap_name(job.fair.criterion))


def _doubt(asked: float, found: float | None) -> tuple[str, ...]:
    if found is None or found <= asked + SLACK:
        return ()
    return (f"reductions: the gap on the rows learned from is {found:.3f}, and {asked:.3f} was asked for",)


@dataclass(frozen=True)
class _Learner:
    """What fairlearn asks for a network at given weights: an estimator in sklearn's sense, over positions of rows.

    `made` is shared by all that are cloned from one learner and counts what was trained; when `MOST_NETS` are, the last
    one answers for those to come.
    """

    start: nn.Module
    rows: Rows
    settings: Fit
    made: list[Trained] = field(default_factory=list)
    found: list[nn.Module] = field(default_factory=list)

    def __sklearn_clone__(self) -> "_Learner":
        return replace(self, found=[])

    def fit(self, X: Ints, y: Any, sample_weight: Any) -> "_Learner":
        """Train on the rows at positions `X` (rows, 1), with labels 0 or 1 and weights (rows,); the others weigh 0."""
        if len(self.made) < MOST_NETS:
            signed = (2.0 * np.asarray(y) - 1.0) * np.asarray(sample_weight)
            targets = torch.zeros_like(self.rows.targets)
            targets[torch.from_numpy(X.ravel())] = torch.from_numpy(signed).to(targets.dtype)
            rows = replace(self.rows, targets=targets)
            self.made.append(fit(self.start, rows, settings=self.settings, loss=signed_loss))
        self.found.append(self.made[-1].model)
        return self

    def predict(self, X: Ints) -> Ints:
        """Decide 0 or 1 for the rows at positions `X` (rows, 1)."""
        logits = outputs_of(self.found[0], self.rows).reshape(-1).numpy()
        return np.asarray(logits[X.ravel()] >= 0, dtype=np.int64)


def signed_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return weight times cross-entropy a row, shape (rows,): a target is its weight, negative where the label is 0."""
    return losses("binary", outputs, (targets > 0).to(outputs.dtype)) * targets.abs().reshape(-1)


def _require(job: Job) -> None:
    if job.rows.task != "binary":
        what = f"is for a network with one logit and two classes, and this task is {job.rows.task}"
        raise InputError(what, where="fair.method reductions", do="choose another method")
    if job.settings.class_weight is not None:
        raise InputError("is given, and reductions weighs rows itself", where="fit.class_weight", do="leave it out")


def _shorter(job: Job) -> Fit:
    """The settings of the networks that follow the baseline: from its weights, for fewer epochs, on all rows."""
    settings = job.settings
    enough = math.ceil(LEAST_STEPS / steps_in(len(job.rows), settings.batch_size))
    epochs = min(settings.epochs, max(enough, round(SHARE * settings.epochs)))
    return replace(settings, epochs=epochs, initialization="default", warmup=0, early_stopping=None, validation=0.0)


def _codes(job: Job) -> NDArray[np.int64]:
    if job.rows.sensitive is None:
        raise InputError("nobody said who belongs to which group", where="sensitive")
    return np.asarray(job.rows.sensitive.numpy(), dtype=np.int64)


def _mixed(like: nn.Module, predictors: Any, weights: Any) -> Mixture:
    """The networks that are drawn at all, as one; a classifier that always says the same counts by its say alone."""
    drawn = [(predictors[key], float(share)) for key, share in weights.items() if share > 1e-6]
    nets = [(each.found[0], share) for each, share in drawn if isinstance(each, _Learner)]
    fixed = [(int(each.constant), share) for each, share in drawn if not isinstance(each, _Learner)]
    nets = nets or [(like, 0.0)]
    whole = mixture(count=len(nets), member=like)
    for member, (net, _) in zip(whole.members, nets, strict=True):
        member.load_state_dict(net.state_dict())
    says = [share for _, share in nets] + [sum(share for label, share in fixed if label == yes) for yes in (0, 1)]
    whole.shares.copy_(torch.tensor(says, dtype=torch.float64) / sum(says))
    whole.eval()
    return whole


def _summed(ledger: Ledger, made: list[Trained], model: nn.Module) -> Ledger:
    """The baseline's account with the time and the operations of every network that was trained."""
    every = [ledger, *(each.ledger for each in made)]
    counted = [each.flops for each in every if each.flops is not None]
    return replace(
        ledger,
        seconds=sum(each.seconds for each in every),
        cpu_seconds=sum(each.cpu_seconds for each in every),
        flops=sum(counted) if len(counted) == len(every) else None,
        parameters=sum(each.numel() for each in model.parameters()),
    )


def _fairlearn() -> Any:
    try:
        import fairlearn.reductions
    except ImportError:
        what = "the package fairlearn is not installed"
        raise InputError(what, where="fair.method reductions", do="run: pip install fairlearn") from None
    return fairlearn.reductions


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what fairlearn's way with pandas will mean in later versions of either."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=kind, module=r"(fairlearn|pandas|sklearn)\.")
        yield
