"""Is the model better on the rows it was trained on than on rows it never saw?"""

import math

import numpy as np
from scipy import stats

from rai.audits._lift import guarded, undefined
from rai.evidence import Evidence, Measurement
from rai.ledger import Ledger
from rai.stats.means import mean_estimate
from rai.subject import Data, Floats, Subject, probabilities

NAME = "generalisation_gap"
MOST = 20_000
UNNAMED = "the ledger does not name the file that the model was trained on, so reference rows cannot be held against it"
NO_REFERENCE = "needs the training file as reference rows"
OTHER = "the reference rows are from another file than the one the model was trained on"
SAME = "the test rows are from the very file that the model was trained on"
LABELS = "needs true labels of test and reference rows"


def evidence(subject: Subject, ledger: Ledger) -> Evidence:
    """The gap where the reference is the training file, else why it was not measured."""
    reason = _missing(subject, ledger)
    return Evidence((undefined(NAME, reason) if reason else _gap(subject),))


def _missing(subject: Subject, ledger: Ledger) -> str:
    reference, data = subject.reference, subject.data
    if reference is None:
        return NO_REFERENCE
    if not ledger.data.file or not reference.source.sha256:
        return UNNAMED
    if reference.source.sha256 != ledger.data.file:
        return OTHER
    if data.source.sha256 == ledger.data.file:
        return SAME
    return LABELS if data.labels is None or reference.labels is None else ""


def _gap(subject: Subject) -> Measurement:
    seen = _sample(subject)
    answers = subject.model.scores(seen.inputs)
    return welch(_errors(subject, subject.data, subject.scores), _errors(subject, seen, answers))


def _sample(subject: Subject) -> Data:
    """At most 20,000 reference rows, drawn at random."""
    reference = subject.reference
    if reference is None:
        raise TypeError("reference rows were expected")
    if reference.rows <= MOST:
        return reference
    return reference.take(np.sort(subject.rng("training gap").choice(reference.rows, MOST, replace=False)))


def _errors(subject: Subject, data: Data, scores: Floats) -> Floats:
    """Squared error of each row; of a classifier the squared distance of probabilities and outcome (Brier 1950)."""
    chances, labels = probabilities(subject.model.head, scores, subject.positive), np.asarray(data.labels)
    if chances is None:
        return np.asarray((scores[:, 0] - labels) ** 2, dtype=np.float64)
    happened = labels[:, None] == np.arange(chances.shape[1])
    return np.asarray(((chances - happened) ** 2).sum(axis=1))


def welch(unseen: Floats, seen: Floats) -> Measurement:
    """Mean of `unseen` less mean of `seen`, with Welch's 95 % interval."""
    first, second = mean_estimate(unseen), mean_estimate(seen)
    rows, smallest = len(unseen) + len(seen), min(len(unseen), len(seen))
    if first.value is None or second.value is None or first.low is None or second.low is None:
        return undefined(NAME, first.reason or second.reason, rows=rows)
    parts = [float(np.var(each, ddof=1)) / len(each) for each in (unseen, seen)]
    freedom = sum(parts) ** 2 / sum(p**2 / (len(e) - 1) for p, e in zip(parts, (unseen, seen), strict=True))
    value, reach = first.value - second.value, float(stats.t.ppf(0.975, freedom)) * math.sqrt(sum(parts))
    method = "Welch 95% interval"
    return guarded(Measurement(NAME, value, value - reach, value + reach, rows, method=method, smallest=smallest))
