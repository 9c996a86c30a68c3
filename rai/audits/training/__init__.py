"""What did training promise, and what did it leave out?

Reads the ledger that training wrote beside the model: how privately the model was made (differential privacy, Dwork et
al. 2006; DP-SGD, Abadi et al. 2016), how the loss fell, what else was tried on the same rows, and what no promise
covers. What of it can be calculated or measured again is. Sources: NIST SP 800-226; Ponomareva et al. 2023 (How to
DP-fy ML); EU AI Act Art. 10, 11 and Annex IV(2).
"""

from rai.audits._lift import joined
from rai.audits.training import account, curves, gap, promise, terms, tradeoffs, tuning
from rai.audits.training.rows import ledger_of
from rai.evidence import Evidence
from rai.subject import Subject, Trust

NEEDS = ("ledger",)
MEASURES = (
    "epsilon",
    "epsilon_recalculated",
    "epsilon_claimed_share",
    "delta",
    "delta_times_rows",
    "tuned_epsilon",
    "parameters_per_row",
    "generalisation_gap",
)
FILED = "The ledger was read byte for byte as it was sealed, and it names the very model file that is audited."
HANDED = (
    "The ledger was handed in with the {whom}; the ledger is not bound to a file, and that it is this model's is the "
    "caller's word."
)
METHOD = (
    "Figures of privacy are claims: upper bounds that an accountant calculated from the noise, the sample rate and "
    "the steps, with no sampling error. Epsilon is calculated again from the same parameters with Rényi differential "
    "privacy (Mironov, Talwar and Zhang 2019; whole orders from 2; conversion of Canonne, Kamath and Steinke 2020), an "
    "upper bound a little above that of tighter accountants. Tuned epsilon adds up what every run on the same rows "
    "spent (basic composition). The generalisation gap is the mean squared error on the test rows less that on rows of "
    "the file the model was trained on, where the squared distance of probabilities and outcome (Brier) is the error "
    "of a classifier; its interval is Welch's."
)


def measure(subject: Subject) -> Evidence:
    """Put the promises of the ledger into words and numbers, and say what they leave out."""
    ledger = ledger_of(subject)
    parts = (
        promise.evidence(ledger),
        curves.evidence(ledger),
        tradeoffs.evidence(ledger),
        tuning.evidence(ledger),
        terms.evidence(ledger),
        gap.evidence(subject, ledger),
        account.evidence(subject, ledger),
    )
    return joined(parts, f"{_bound(subject.model.trust)} {METHOD}")


def _bound(trust: Trust) -> str:
    """What ties the ledger to the model: the hash of a file, or the word of whoever handed both in."""
    whom = {"in memory": "model in memory", "predictions only": "predictions"}.get(trust)
    return HANDED.format(whom=whom) if whom else FILED
