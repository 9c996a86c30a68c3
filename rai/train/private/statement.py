"""The promise as it was kept, in the words of the ledger."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version

from rai.ledger import NOISY_LOSSES, Canaries, Ledger, Phase, Privacy
from rai.train.private.accounting import spent
from rai.train.private.budget import Budget


@dataclass(frozen=True)
class Kept:
    """What a private run did, beside what every run does. `steps` are those charged, whether or not they survived."""

    budget: Budget
    steps: int
    gradients: str
    waived: tuple[str, ...] = ()
    canaries: Canaries | None = None
    compared: Mapping[str, float] = field(default_factory=dict)


def with_privacy(ledger: Ledger, kept: Kept) -> Ledger:
    """Return the ledger with the promise, the versions of what computed it, and what it does not cover."""
    tools = {name: version(name) for name in ("dp-accounting", "opacus")}
    told = (*ledger.warnings, NOISY_LOSSES, *_told(phases_of(kept)), *_price(kept))
    return replace(ledger, privacy=privacy_of(kept), versions={**ledger.versions, **tools}, warnings=told)


def privacy_of(kept: Kept) -> Privacy:
    """Return the promise: PLD's epsilon of the steps that were charged, and all that it rests on."""
    promise = kept.budget.promise
    accounted = spent(kept.budget.phases(kept.steps), promise.delta)
    return Privacy(
        unit=promise.unit,
        epsilon=accounted.value,
        delta=promise.delta,
        noise_multiplier=kept.budget.noise_multiplier,
        max_grad_norm=promise.max_grad_norm,
        sample_rate=promise.sample_rate,
        steps=kept.steps,
        expected_batch=promise.expected_batch,
        accountant=accounted.accountant,
        alternatives=dict(accounted.alternatives),
        gradients=kept.gradients,
        waived=kept.waived,
        canaries=kept.canaries,
        compared=dict(kept.compared),
        phases=phases_of(kept),
    )


def phases_of(kept: Kept) -> tuple[Phase, ...]:
    """The phases, where a run went on with another promise; none where noise and rate were the same all along."""
    phases = [each for each in kept.budget.phases(kept.steps) if each.steps]
    return tuple(Phase(**asdict(each)) for each in phases) if len(phases) > 1 else ()


def _told(phases: tuple[Phase, ...]) -> tuple[str, ...]:
    """Where the noise or the rate changed on the way, all of it: the promise's own numbers are those of the last."""
    told = [f"{e.steps} steps at noise {e.noise_multiplier:.4g} and rate {e.sample_rate:.4g}" for e in phases]
    return (f"epsilon is that of several phases together: {'; '.join(told)}",) if phases else ()


def _price(kept: Kept) -> tuple[str, ...]:
    found = "the twin without privacy was trained on the same rows: what is told of it is outside the promise"
    return (found,) if kept.compared else ()
