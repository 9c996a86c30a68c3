"""Where does a transformer look, and is that what moves its score?

Holds attention, attention rollout and gradient x attention against Shapley values of the same tokens. Attention is no
explanation by itself: other maps can give the same answer (Jain & Wallace 2019, arXiv:1902.10186; Wiegreffe & Pinter
2019, arXiv:1908.04626; Serrano & Smith 2019, arXiv:1906.03731).
"""

from rai.audits._lift import undefined
from rai.audits.attention.exhibits import exhibits
from rai.audits.attention.seen import METHODS, Looked, agreement, looked, padding
from rai.errors import InputError
from rai.evidence import Evidence
from rai.subject import Subject

NEEDS = ("features",)
MEASURES = ("attention_agreement", "attention_padding_mass")
METHOD = (
    "In {rows} test rows, drawn at random, attention is held against Shapley values: tokens, steps or patches are "
    "ordered by both, and the mean of Spearman's rank correlation over the rows is the agreement. 1 is the same order, "
    "0 no relation. The Shapley values come from at most {budget:,} coalitions a row. Raw attention (mean over layers "
    "and heads) and rollout know no direction and are held against the size of the Shapley values. Gradient x "
    "attention keeps what raises the score and is held against their positive part. Special tokens and padding are "
    "left out. A row whose attention is even counts as 0; a row with fewer than three tokens, or where nothing moves "
    "the score (for gradients: raises it), is left out. Of several classes the predicted one is explained. Padding "
    "mass is the most that any position gives to the padding of its row."
)
CAVEATS = (
    (
        "Attention is no explanation by itself: quite different maps can give the same score "
        "(Jain & Wallace 2019, arXiv:1902.10186)."
    ),
    (
        "Attention and rollout are the same for every class and may point at what does not matter "
        "(Chefer et al. 2021, arXiv:2012.09838)."
    ),
    "Shapley values of few coalitions have errors of their own, so an agreement below 1 is partly noise.",
)


def measure(subject: Subject) -> Evidence:
    """Measure how far attention agrees with what moves the score; not measured without attention layers."""
    try:
        seen = looked(subject)
    except InputError as error:
        return Evidence(tuple(undefined(name, str(error)) for name in MEASURES))
    return _evidence(subject, seen)


def _evidence(subject: Subject, seen: Looked) -> Evidence:
    agreed = tuple(agreement(subject, seen, name) for name in METHODS)
    told = METHOD.format(rows=len(seen.rows), budget=seen.question.budget)
    return Evidence((*agreed, padding(seen)), exhibits(seen, agreed), told, CAVEATS)
