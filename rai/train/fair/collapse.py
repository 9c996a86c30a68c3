"""Names what goes wrong in adversarial training, and says what to do about it.

Each symptom is read off a few numbers that are written down after every epoch. A run that went well shows none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rai.subject import Ints
from rai.train.batches import Rows
from rai.train.fair.gaps import decisions, gap_name, measured
from rai.train.fair.job import Job
from rai.train.fair.watched import outputs_of
from rai.train.losses import losses

MOST = 4096
"""Where no rows are held back, so many of those trained on are looked at."""
FLAT = 0.01
"""House bound: probabilities (or values in standard deviations of the targets) that spread less say nearly nothing."""
KEEPING_UP = 0.5
"""House bound: an adversary should find at least this share of what the bare decisions give away of the group."""
RARE = 0.2
"""House bound: of the decisions that were rare before the criterion counted, fewer than this share are left."""
BINS = 4

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Look:
    """Looks at predictor and adversary on some rows: those held back, or else some of those trained on."""

    rows: Rows
    job: Job

    @classmethod
    def of(cls, job: Job) -> "Look":
        """Choose the rows to look at; of those trained on, every so many-th."""
        if job.held is not None:
            return cls(job.held, job)
        many = len(job.rows)
        return cls(job.rows.take(torch.arange(0, many, -(-many // MOST))), job)

    def __call__(self, predictor: nn.Module, opponent: nn.Module) -> dict[str, float]:
        """Return what the symptoms are read off, each number by its name; one that is not defined is left out."""
        outputs = outputs_of(predictor, self.rows).float()
        decided = _decided(self.rows, outputs)
        found = {
            "score_spread": _spread(self.rows, outputs),
            "loss_to_constant": _loss_to_constant(self.rows, outputs),
            **self._guessed(opponent, outputs, decided),
            **self._gap(outputs, decided),
        }
        if self.rows.task != "regression" and len(torch.unique(self.rows.targets)) > 1:
            found["commonest_decision"] = float(np.bincount(decided).max() / len(decided))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _guessed(self, opponent: nn.Module, outputs: Tensor, decided: Ints) -> dict[str, float]:
        """By what share the adversary lowers the doubt about the group, and by what share the bare decisions would."""
        view = opponent.get_submodule("view")
        like = view.get_buffer("mean")
        with torch.no_grad():
            shown = view(outputs.to(like), self.rows.targets.to(like.device))
            logits = opponent.get_submodule("layers")(shown).float().cpu()
        levels = [len(each.levels) for each in self.job.attributes]
        given = self._given()
        wrong = doubt = left = 0.0
        for guess, codes in zip(torch.split(logits, levels, dim=1), self._codes().T, strict=True):
            known = codes >= 0
            if not known.any():
                continue
            true = torch.from_numpy(codes[known])
            wrong += float(functional.cross_entropy(guess[torch.from_numpy(known)], true))
            doubt += entropy_given(codes[known], given[known])
            left += entropy_given(codes[known], given[known] * (decided.max() + 1) + decided[known])
        return {"adversary_gain": 1 - wrong / doubt, "decision_leak": 1 - left / doubt} if doubt > 0 else {}

    def _codes(self) -> Ints:
        """The sensitive codes, -1 where the criterion does not look at a row."""
        codes = np.asarray(self.rows.sensitive)
        if self.job.fair.criterion == "equal_opportunity" and self.rows.task == "binary":
            return np.where(self.rows.targets.numpy().reshape(-1, 1) > 0.5, codes, -1)
        return codes

    def _given(self) -> Ints:
        """What the adversary is told beside the score, as classes (rows,)."""
        targets = self.rows.targets.numpy()
        if self.job.fair.criterion == "demographic_parity":
            return np.zeros(len(targets), dtype=np.int64)
        if self.rows.task != "regression":
            return targets.astype(np.int64)
        first = targets.reshape(len(targets), -1)[:, 0]
        return np.asarray(np.searchsorted(np.quantile(first, np.arange(1, BINS) / BINS), first))

    def _gap(self, outputs: Tensor, decided: Ints) -> dict[str, float]:
        rows, name = self.rows, gap_name(self.job.fair.criterion)
        found = measured(rows.task, outputs.numpy(), rows.targets.numpy(), rows.sensitive, self.job.attributes)
        if name not in found:
            return {}
        return {"gap_seen": found[name], "signed_gap": self._signed(decided), "gap_noise": self._noise()}

    def _signed(self, decided: Ints) -> float:
        """How much higher decisions are, in the mean, in the group with the highest labels than in the lowest.

        It is that of the first attribute. Where the criterion looks within classes, it is the mean over classes.
        """
        codes, given = self._codes()[:, 0], self._given()
        targets = self.rows.targets.numpy().reshape(len(self.rows), -1)[:, 0]
        present = np.unique(codes[codes >= 0])
        labels = [targets[codes == each].mean() for each in present]
        first, last = (codes == present[int(find(labels))] for find in (np.argmax, np.argmin))
        within = [(first & (given == each), last & (given == each)) for each in np.unique(given)]
        found = [decided[one].mean() - decided[other].mean() for one, other in within if one.any() and other.any()]
        return float(np.mean(found)) if found else math.nan  # which is left out

    def _noise(self) -> float:
        """Two standard errors of a difference of rates between the two smallest groups that are compared."""
        given = self._given()
        cells = [
            np.bincount(codes[(codes >= 0) & (given == each)]) for codes in self._codes().T for each in np.unique(given)
        ]
        smallest = np.sort(np.concatenate([each[each > 0] for each in cells]))[:2]
        return float(2 * np.sqrt((0.25 / smallest).sum()))


def entropy_given(codes: Ints, given: Ints) -> float:
    """Return the doubt that is left about codes (rows,) once `given` (rows,) is known: entropy in nats a row."""
    table = np.zeros((int(given.max()) + 1, int(codes.max()) + 1))
    np.add.at(table, (given, codes), 1.0)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    return float(-(table * np.log(np.where(shares > 0, shares, 1.0))).sum() / len(codes))


def _decided(rows: Rows, outputs: Tensor) -> Ints:
    """The decision on each row; of a value, whether it is above the middle one."""
    if rows.task != "regression":
        return decisions(outputs.double().numpy())
    first = outputs[:, 0].numpy()
    return np.asarray(first > np.median(first), dtype=np.int64)


def _spread(rows: Rows, outputs: Tensor) -> float:
    """Standard deviation of the scores, the mean over outputs."""
    if rows.task == "regression":
        aims = rows.targets.reshape(outputs.shape)
        return float((outputs.std(dim=0, correction=0) / aims.std(dim=0, correction=0)).mean())
    score = torch.sigmoid(outputs) if outputs.shape[1] == 1 else torch.softmax(outputs, dim=1)
    return float(score.std(dim=0, correction=0).mean())


def _loss_to_constant(rows: Rows, outputs: Tensor) -> float:
    """The mean loss as a multiple of what the best constant answer would have; NaN where that is never wrong."""
    if rows.task == "regression":
        constant = float(rows.targets.reshape(outputs.shape).var(dim=0, correction=0).mean())
    else:
        constant = entropy_given(rows.targets.numpy().astype(np.int64), np.zeros(len(rows), dtype=np.int64))
    return float(losses(rows.task, outputs, rows.targets).mean()) / constant if constant > 0 else math.nan


def symptoms(now: Numbers, before: Numbers, tolerance: float) -> dict[str, str]:
    """Return the symptoms that the numbers of a look show, each with a line on what was seen and what to do.

    `before` are the numbers of when the criterion did not count yet, empty where there were none; `tolerance` is the
    gap that is no cause for concern.
    """
    return {name: line for name, find in SYMPTOMS.items() if (line := find(now, before, tolerance)) is not None}


def warnings_of(looks: Sequence[Numbers], last: Numbers, job: Job) -> tuple[str, ...]:
    """Return a line for each symptom of the finished model, with the epoch from which on it was seen.

    `looks` are the numbers of each epoch, `last` those of the model that was kept.
    """
    warm = job.fair.warm_start
    before = looks[min(warm, len(looks)) - 1] if warm and looks else {}

    def since(name: str) -> str:
        late = list(takewhile(lambda each: name in symptoms(each, before, job.fair.tolerance), reversed(looks)))
        return f" (seen from epoch {len(looks) - len(late) + 1} on)" if late else ""

    found = symptoms(last, before, job.fair.tolerance)
    return tuple(f"{name}{since(name)}: {line}" for name, line in found.items())


def _one_decision(now: Numbers, before: Numbers, _tolerance: float) -> str | None:
    rare, first = (1.0 - each.get("commonest_decision", other) for each, other in ((now, 0.0), (before, 1.0)))
    if rare > RARE * first:
        return None
    what = f"{1 - rare:.1%} of the rows get the same decision{f', {1 - first:.1%} before' if first else ''}"
    return f"{what}; lower fair.strength, or raise fair.warm_start"


def _flat(now: Numbers, _before: Numbers, _tolerance: float) -> str | None:
    spread = now.get("score_spread", 1.0)
    if spread >= FLAT:
        return None
    return f"the standard deviation of the scores is {spread:.2g}; lower fair.strength, or raise fair.warm_start"


def _idle(now: Numbers, _before: Numbers, tolerance: float) -> str | None:
    gap, gain, leak = (now.get(name, 0.0) for name in ("gap_seen", "adversary_gain", "decision_leak"))
    if gap <= tolerance + now.get("gap_noise", 0.0) or gain >= KEEPING_UP * leak:
        return None
    what = f"it guesses hardly better than the shares of the groups, and the gap is {gap:.3f}"
    return f"{what}; raise fair.adversary_rate, or give it layers with fair.adversary_hidden"


def _worse(now: Numbers, _before: Numbers, _tolerance: float) -> str | None:
    ratio = now.get("loss_to_constant", 0.0)
    if ratio <= 1:
        return None
    return f"the loss is {ratio:.3g} times that of a constant answer; fair.strength is too large"


def _overshoot(now: Numbers, before: Numbers, tolerance: float) -> str | None:
    gap, first, noise = now.get("signed_gap", 0.0), before.get("signed_gap", 0.0), now.get("gap_noise", 0.0)
    if gap * first >= 0 or abs(first) <= noise or abs(gap) <= tolerance + noise:
        return None
    what = f"the groups changed places, and the gap between them went from {abs(first):.3f} to {abs(gap):.3f}"
    return f"{what}; lower fair.strength, or raise fair.adversary_rate"


Finder = Callable[[Numbers, Numbers, float], str | None]
SYMPTOMS: Mapping[str, Finder] = MappingProxyType(
    {
        "one decision for all": _one_decision,
        "flat scores": _flat,
        "the adversary has not learned": _idle,
        "worse than a constant answer": _worse,
        "overshoot": _overshoot,
    }
)
"""Every symptom by its name, with what finds it."""
