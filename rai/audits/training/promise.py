"""The privacy statement: what is promised to whom, on what it rests, and what it leaves out."""

import math
from collections.abc import Iterator

from scipy.special import expit

from rai.audits._exhibits import number
from rai.audits.training.accounting import renyi_epsilon
from rai.audits.training.rows import stated, trained_rows, unstated
from rai.evidence import Evidence, Measurement, Text
from rai.ledger import NOISY_LOSSES, Ledger, Phase, Privacy

NAMES = ("epsilon", "epsilon_recalculated", "epsilon_claimed_share", "delta", "delta_times_rows")
NO_PRIVACY = "the ledger promises no differential privacy"
NOTHING = (
    "The ledger promises no differential privacy: nothing bounds what this model tells about single training rows. "
    "Train with a [private] table in the recipe to have such a bound."
)
LARGEST_SPELLED = 20.0
"""Up to this epsilon, e^epsilon is written out."""
RECALCULATED = "calculated again from noise, sample rate and steps: an upper bound"


def evidence(ledger: Ledger) -> Evidence:
    """The promise in words and numbers; without one, that there is none."""
    privacy = ledger.privacy
    if privacy is None:
        found = tuple(unstated(name, NO_PRIVACY, ledger) for name in NAMES)
        return Evidence(found, (Text("No privacy is promised", NOTHING),))
    shapes = (_statement(privacy), _left_out(ledger, privacy))
    return Evidence(tuple(_measured(ledger, privacy)), shapes, caveats=_caveats(privacy))


def _measured(ledger: Ledger, privacy: Privacy) -> Iterator[Measurement]:
    claimed = f"claimed by the accountant {privacy.accountant}: an upper bound"
    yield stated("epsilon", privacy.epsilon, ledger, method=claimed)
    yield from _again(ledger, privacy)
    yield stated("delta", privacy.delta, ledger, method="stated in the ledger")
    at_most = privacy.delta * trained_rows(ledger)
    yield stated("delta_times_rows", at_most, ledger, method="delta times the training rows")


def _again(ledger: Ledger, privacy: Privacy) -> Iterator[Measurement]:
    """Epsilon by a second calculation, and the claim as a share of it."""
    found, name = _recalculated(privacy), "epsilon_claimed_share"
    if isinstance(found, str):
        yield from (unstated(each, found, ledger) for each in ("epsilon_recalculated", name))
        return
    yield stated("epsilon_recalculated", found, ledger, method=RECALCULATED)
    if sum(each.sample_rate * each.steps for each in phases_of(privacy)) < 1 or found == 0:
        yield unstated(name, "each row is drawn less than once on average; the second bound is too loose", ledger)
    else:
        yield stated(name, privacy.epsilon / found, ledger, method="the claim over the second bound", unit="share")


def _recalculated(privacy: Privacy) -> float | str:
    """A second upper bound of epsilon, or why there is none."""
    if privacy.sampler.lower() != "poisson" or not privacy.relation.lower().startswith("add or remove"):
        return "calculated again only for Poisson sampling and one unit added or removed"
    bound = renyi_epsilon(phases_of(privacy), privacy.delta)
    return bound if bound is not None else "the ledger's noise, sample rate, steps or delta bound nothing"


def phases_of(privacy: Privacy) -> tuple[Phase, ...]:
    """The phases of the training: one, where neither noise nor rate changed on the way."""
    return privacy.phases or (Phase(privacy.noise_multiplier, privacy.sample_rate, privacy.steps),)


def unit_of(privacy: Privacy) -> str:
    """Who is promised something, in words."""
    column = privacy.unit.removeprefix("group:")
    if column != privacy.unit:
        return f"each group of rows with one value of {column}"
    return "each training row" if privacy.unit == "record" else f"each {privacy.unit}"


def _statement(privacy: Privacy) -> Text:
    title = f"Privacy promised to {unit_of(privacy)}: ε {number(privacy.epsilon)}, δ {number(privacy.delta)}"
    times = f"e^{number(privacy.epsilon)}"
    if privacy.epsilon <= LARGEST_SPELLED:
        times = f"{number(math.exp(privacy.epsilon))} times ({times})"
    surest = float(expit(privacy.epsilon))
    text = (
        f"Differential privacy is promised to {unit_of(privacy)}. Take two sets of rows that differ in one such unit "
        f"({privacy.relation}). No result of this training is more than {times} as likely from one as from the other, "
        f"but for a chance of {number(privacy.delta)}. Whoever thought it even odds that a unit was trained on can be "
        f"made at most {_percent(surest)} sure by the model, but for that chance. {_mechanism(privacy)} These are "
        "claims of whoever trained the model; an audit of the model alone cannot prove them."
    )
    return Text(title, text)


def _percent(share: float) -> str:
    return f"{min(100 * share, 99.9):.1f} %" if share < 0.999 else "more than 99.9 %"


def phases_in_words(privacy: Privacy) -> str:
    """How many steps were taken, with which chance to be drawn and which noise, one phase after the other."""
    return " and ".join(
        f"{each.steps:,} steps with a chance of {number(each.sample_rate)} to be drawn and noise of "
        f"{number(each.noise_multiplier)}"
        for each in phases_of(privacy)
    )


def _mechanism(privacy: Privacy) -> str:
    return (
        f"It rests on {phases_in_words(privacy)}. In each step units were drawn by {privacy.sampler} sampling, the "
        f"gradient of each was scaled to a length of at most {number(privacy.max_grad_norm)}, and normal noise of so "
        "many times that length was added to their sum."
    )


def _left_out(ledger: Ledger, privacy: Privacy) -> Text:
    return Text("What the promise does not cover", " ".join(_uncovered(ledger, privacy)))


def _uncovered(ledger: Ledger, privacy: Privacy) -> Iterator[str]:
    yield (
        "Whatever was taken from the same rows without noise: their number and their fingerprint, operations counted, "
        "means, scales and categories of the card that were read off them, and the figures of this report that rest on "
        "those rows."
    )
    yield _losses(ledger)
    if any(each.validation_loss is not None for each in ledger.epochs):
        yield "Validation rows: they were looked at without noise after each epoch."
    if any(each.metrics for each in ledger.epochs):
        yield "Rows that metrics of the epochs were measured on: no noise was added to those."
    if privacy.compared:
        yield "What is told of the twin without privacy, and so the price of privacy: it was trained on the same rows."
    if not all(each.epsilon is not None for each in ledger.runs):
        yield "Other runs on the same rows that were made without privacy."
    yield "Runs that nobody wrote down."
    if privacy.unit == "record":
        yield "People with several rows: k rows of one person are promised k times this epsilon, with a larger delta."
    if privacy.waived:
        yield f"Holes that the ledger itself names: {'; '.join(privacy.waived)}."
    if privacy.canaries is not None:
        yield f"{_planted(privacy.canaries.included)} They are made up and stand for nobody."
    yield f"Rounding: {privacy.randomness}."


def _losses(ledger: Ledger) -> str:
    """Which losses are outside the promise: those of the epochs only where the ledger does not say they are noisy."""
    shown = "Losses of training rows that were shown while training, or kept in its checkpoints."
    if not ledger.epochs:
        return shown
    if NOISY_LOSSES in ledger.warnings:
        return f"{shown} Those in the ledger are noisy means, and their noise is counted in the promise."
    return f"{shown} Those in the ledger too: it does not say that noise was added to them."


def _planted(included: tuple[bool, ...]) -> str:
    return f"{len(included):,} canaries were tossed for, and {sum(included):,} of them trained on."


def _caveats(privacy: Privacy) -> tuple[str, ...]:
    found = []
    if privacy.sampler.lower() != "poisson":
        found.append(f"Rows were drawn by {privacy.sampler}: figures that assume Poisson sampling do not hold.")
    if privacy.waived:
        found.append("The ledger names holes in its promise; the claimed epsilon holds only for what they leave.")
    return tuple(found)
