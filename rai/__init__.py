"""rai: audit a trained model and get one report worth signing.

>>> import rai
>>> report = rai.audit(model, X_test, y_test, sensitive_features=people[["sex"]])
>>> report.verdict
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rai.errors import InputError
    from rai.evidence import Evidence, Measurement
    from rai.explainers import Attribution
    from rai.explaining import explain
    from rai.policy import Policy, Rule, Verdict, read_policy
    from rai.record import ExitCode
    from rai.report import Report, VerdictError
    from rai.run import audit, audit_predictions, judge_again
    from rai.subject import Subject
    from rai.train.fair.frontier import Frontier, frontier

HOMES = {
    "Attribution": "explainers",
    "Evidence": "evidence",
    "ExitCode": "record",
    "Frontier": "train.fair.frontier",
    "InputError": "errors",
    "Measurement": "evidence",
    "Policy": "policy",
    "Report": "report",
    "Rule": "policy",
    "Subject": "subject",
    "Verdict": "policy",
    "VerdictError": "report",
    "audit": "run",
    "audit_predictions": "run",
    "explain": "explaining",
    "frontier": "train.fair.frontier",
    "judge_again": "run",
    "read_policy": "policy",
}

__all__ = [
    "Attribution",
    "Evidence",
    "ExitCode",
    "Frontier",
    "InputError",
    "Measurement",
    "Policy",
    "Report",
    "Rule",
    "Subject",
    "Verdict",
    "VerdictError",
    "audit",
    "audit_predictions",
    "explain",
    "frontier",
    "judge_again",
    "read_policy",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import rai` costs nothing."""
    from importlib import import_module

    if name == "train":  # a room with names of its own, so that `rai.train.fit` needs no second import
        return import_module("rai.train")
    if name not in HOMES:
        raise AttributeError(f"module 'rai' has no attribute {name!r}")
    return getattr(import_module(f"rai.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
