"""Adversarial training: a second network guesses the group from the answers, and the first learns to leave it at sea.

At every step the adversary follows the gradient of its own loss, and the predictor its own gradient without the part
along the adversary's, less `strength` times the adversary's (see `rai.train.fair.projection`). Predictor and adversary
are one module to the loop, so that checkpoints, early stopping and Ctrl-C are those of all training.

Source: Zhang, Lemoine & Mitchell 2018 (arXiv:1801.07593).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from rai.ledger import Epoch, Ledger, Mitigation
from rai.train.account import PASSES
from rai.train.batches import Batch, Rows
from rai.train.fair.adversaries import Guess, View, adversary_of, codes_of, require_fitting
from rai.train.fair.collapse import Look, warnings_of
from rai.train.fair.job import Job
from rai.train.fair.projection import opposed
from rai.train.fair.schedule import Dial
from rai.train.fair.watched import after_each, fitted
from rai.train.gradients import answers
from rai.train.loop import trainable
from rai.train.losses import Loss, balanced, loss_of
from rai.train.review import AfterEpoch
from rai.train.settings import Fit
from rai.train.setup import copied, forked, require_frozen
from rai.train.trained import Trained

PREDICTOR, OPPONENT = "predictor.", "opponent."
FEW = 4
EXTRA = 2 / 3
"""A second way back through the network is two more passes beside three (Kaplan et al. 2020)."""


class Opponent(nn.Module):
    """The adversary with all it needs: what it is shown, its layers, and how wrong its guesses are."""

    def __init__(self, view: View, layers: nn.Module, guess: Guess) -> None:
        super().__init__()
        self.view, self.layers, self.guess = view, layers, guess

    def forward(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the adversary's loss, one number, on outputs (rows, outputs) of a batch with its groups."""
        logits = self.layers(self.view(outputs, batch.targets))
        return self.guess(logits, codes_of(batch), batch.targets)  # type: ignore[no-any-return]


class Pair(nn.Module):
    """Predictor and adversary in one module that answers as the predictor does."""

    def __init__(self, predictor: nn.Module, opponent: Opponent) -> None:
        super().__init__()
        self.predictor, self.opponent = predictor, opponent

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the predictor answers."""
        return self.predictor(inputs)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Duel:
    """The source of gradients: of the predictor's loss, turned away from the adversary, and of the adversary's own.

    `unit` is what a strength of 1 is measured in: squared errors of values grow with the square of the targets' unit,
    and so must what is set against them.
    """

    loss: Loss
    dial: Dial
    unit: float = 1.0
    mixed_precision: bool = False

    def __call__(self, module: nn.Module, batch: Batch) -> Tensor:
        """Set `.grad` of both networks and return the predictor's losses (rows,); no rows set none."""
        if not len(batch):
            return torch.zeros(0)
        pair = cast("Pair", module)
        with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=self.mixed_precision):
            outputs = answers(pair.predictor, batch.inputs)
        exact = outputs.float() if self.mixed_precision else outputs
        losses = self.loss(exact, batch.targets)
        if self.dial.now:
            self._against(pair, losses.mean(), exact, batch)
        else:
            torch.autograd.backward(losses.mean() + pair.opponent(exact.detach(), batch))
        return losses.detach()

    def _against(self, pair: Pair, loss: Tensor, outputs: Tensor, batch: Batch) -> None:
        """Set the gradients of both, the predictor's turned away from the adversary's."""
        ours, theirs = trainable(pair.predictor), trainable(pair.opponent)
        own = torch.autograd.grad(loss, ours, retain_graph=True, allow_unused=True)
        found = torch.autograd.grad(pair.opponent(outputs, batch), [*ours, *theirs], allow_unused=True)
        for each, gradient, adversary in zip(ours, own, found, strict=False):
            turned = gradient is None or adversary is None
            each.grad = gradient if turned else opposed(gradient, adversary, self.dial.now * self.unit)
        for each, gradient in zip(theirs, found[len(ours) :], strict=True):
            each.grad = gradient


def train(job: Job) -> Trained:
    """Train against an adversary, and return the predictor alone.

    The ledger counts the predictor's parameters; its warnings name what went wrong, if anything did (see
    `rai.train.fair.collapse`). An adversary handed in is a torch module from (rows, `View.width`) to logits (rows,
    levels of all attributes side by side), and is trained on a copy. Raises `InputError` where it is not.
    """
    require_frozen(job.network, job.settings.freeze)
    dial = Dial(job.strength, job.fair.warm_start, job.fair.ramp)
    look = Look.of(job)
    settings = replace(job.settings, freeze=tuple(PREDICTOR + each for each in job.settings.freeze))
    trained = fitted(
        replace(job, network=_pair(job), settings=settings),
        gradients=Duel(_loss(job.rows, settings), dial, _unit(job.rows), settings.mixed_precision),
        before_epoch=dial.turn,
        after_epoch=_after_epoch(job, look),
        rates={OPPONENT: job.fair.adversary_rate},
    )
    return _predictor(trained, job, look)


def _pair(job: Job) -> Pair:
    """Put a fresh adversary, or a copy of the one handed in, beside the network."""
    levels = sum(len(each.levels) for each in job.attributes)
    with forked(job.network), torch.no_grad():
        torch.manual_seed(job.settings.seed)
        network = copied(job.network).cpu().eval()
        outputs = answers(network, job.rows.inputs[:FEW])
        view = View(job.rows, job.fair.criterion, outputs.shape[1])
        layers = adversary_of(job.fair.adversary_hidden, view.width, levels) if job.adversary is None else job.adversary
        layers = copied(layers).to(outputs.dtype).cpu()
        require_fitting(layers, view(outputs, job.rows.targets[:FEW]), levels)
    return Pair(network.train(), Opponent(view, layers, Guess(job.rows, job.fair.criterion, job.attributes)))


def _loss(rows: Rows, settings: Fit) -> Loss:
    if settings.class_weight is None or rows.task == "regression":
        return loss_of(rows.task)
    return loss_of(rows.task, balanced(rows.task, rows.targets).to(settings.device))


def _unit(rows: Rows) -> float:
    """The variance of the targets of regression, 1 for classes."""
    return float(rows.targets.double().var(dim=0, correction=0).mean()) if rows.task == "regression" else 1.0


def _after_epoch(job: Job, look: Look) -> AfterEpoch:
    """Look at the predictor, and at what the adversary has learned, after each epoch."""
    watched = after_each(job)

    def seen(module: nn.Module, epoch: Epoch) -> Mapping[str, float]:
        pair = cast("Pair", module)
        return {**watched(pair.predictor, epoch), **look(pair.predictor, pair.opponent)}

    return seen


def _predictor(trained: Trained, job: Job, look: Look) -> Trained:
    """Take the predictor out of the pair, and let the ledger speak of it."""
    pair, ledger = trained.model, trained.ledger
    predictor, opponent = pair.get_submodule(PREDICTOR[:-1]), pair.get_submodule(OPPONENT[:-1])
    many = sum(each.numel() for each in opponent.parameters())
    last = look(predictor, opponent)
    found = warnings_of([each.metrics for each in ledger.epochs], last, job)
    names, fair = tuple(each.name for each in job.attributes), job.fair
    details = {"adversary parameters": many, "adversary gain": last.get("adversary_gain", "not defined")}
    told = replace(
        ledger,
        recipe={**ledger.recipe, "freeze": job.settings.freeze},
        parameters=ledger.parameters - many,
        flops=_flops(ledger, job, many),
        warnings=(*ledger.warnings, *found),
        mitigation=Mitigation(fair.criterion, names, fair.method, job.strength, details=details),
    )
    return Trained(predictor, told)


def _flops(ledger: Ledger, job: Job, adversary: int) -> float | None:
    """Operations of both networks: a second way back through the predictor, and 2 for each of the adversary's weights.

    The second way back is made only in the epochs in which the criterion counts, and at strength 0 in none.
    """
    if ledger.flops is None or not ledger.epochs:
        return ledger.flops
    epochs = len(ledger.epochs)
    opposed_share = max(0, epochs - job.fair.warm_start) / epochs if job.strength else 0.0
    rows = ledger.split["train"] * epochs
    return ledger.flops * (1 + EXTRA * opposed_share) + PASSES * 2 * adversary * rows
