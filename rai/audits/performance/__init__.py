"""How often is the model right, and how sure are we?

Of a classifier: how often its class is right, and how well its probabilities put positives before negatives. Of a
regression: how far its values lie off (EU AI Act Art. 15(1); NIST AI RMF MEASURE 2.3).
"""

from rai.audits._lift import joined
from rai.audits.performance.classification import METHOD as CLASSIFICATION
from rai.audits.performance.classification import classification
from rai.audits.performance.regression import METHOD as REGRESSION
from rai.audits.performance.regression import regression
from rai.evidence import Evidence
from rai.subject import Subject

NEEDS = ("labels",)
MEASURES = (
    "accuracy",
    "accuracy_over_majority",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "precision_macro",
    "f1_macro",
    "f1_weighted",
    "roc_auc",
    "average_precision",
    "log_loss",
    "mae",
    "rmse",
    "r2",
    "mean_residual",
)


def measure(subject: Subject) -> Evidence:
    """Measure the model's predictions against the labels of the test rows."""
    if subject.card.task == "regression":
        return joined([regression(subject)], REGRESSION)
    return joined(classification(subject), CLASSIFICATION)
