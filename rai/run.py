"""The only loop: a subject goes in, every audit looks at it, the policy judges, a report comes out."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rai import intake
from rai.audits import Audit, find, listings, unmet
from rai.card import Head
from rai.errors import InputError, plain
from rai.evidence import Evidence
from rai.intake import Case, Choices, Options
from rai.journal import Journal, contents, key_of, versions
from rai.models.threads import threads_for
from rai.policy import Policy, judge, read_policy, require_known
from rai.record import Record, Run, Section, sealed
from rai.report import Report
from rai.subject import Subject

LOG = logging.getLogger("rai")
NEVER_TESTED = (
    "Robustness to changed, noisy or hostile inputs: this version has no audit for it",
    "Privacy: whether training rows can be recovered from the model: this version has no audit for it",
    "Why one person was decided on so: rai explain says it for single rows",
    "Data newer or from elsewhere than the test file",
)


@dataclass(frozen=True)
class Step:
    """An audit begins (`seconds` is None) or has ended; `done` of `total` audits lie behind."""

    name: str
    done: int
    total: int
    seconds: float | None = None


Watch = Callable[[Step], None]


def unwatched(step: Step) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Plan:
    """How a case is to be tried: under which policy, by which audits, watched and journaled how."""

    policy: Policy
    only: tuple[str, ...] = ()
    command: str = ""
    date: str = ""
    journal: Path | None = None
    watch: Watch = unwatched


def audit_files(model: Path, choices: Choices, plan: Plan) -> Report:
    """Audit a model file against the data its card (or a flag) names; raise `InputError` for bad input."""
    audits = _audits(plan, choices.metrics)
    return try_case(intake.from_files(model, choices), audits, plan)


def audit(  # noqa: PLR0913 - the front door spells out what a caller may say
    model: Any,
    X: Any,
    y: Any = None,
    *,
    sensitive_features: Any = None,
    reference: tuple[Any, Any] | None = None,
    policy: str | Path | Policy | None = None,
    random_state: int = 0,
    **options: Any,
) -> Report:
    """Audit a model that is in memory and return the report.

    `model`: a torch module, a scikit-learn style estimator, or a callable from X to scores. `X`: a table (rows,
    features), as an array or a pandas or polars frame; images (rows, channels, height, width); sequences (rows, steps,
    features), NaN after a short one's end; or with kind="text" token numbers (rows, tokens). `y`, (rows,): class
    labels, or numbers for regression. `sensitive_features`: a frame, a mapping of name to column, or one column; rows
    are matched by position. `reference`: a pair (X, y) of training rows. `policy`: a pack's name, a path or a `Policy`
    (default: "default"). `random_state`: the seed of all sampling, a whole number from 0.

    Options. `kind`: "table", "image", "sequence" or "text", where the dimensions of X do not show it. `vocabulary`, of
    texts: a list of token names, whose place is their number, or a `rai.subject.Vocabulary` that also names the tokens
    that fill up, stand for a word left out, and are no words; without it tokens are named by number, and 0 fills up.
    `name` of the model. `classes`: labels in the order of the model's outputs (default: sorted). `positive`: the class
    that a binary model's probability is of (default: the last). `threshold`: from which probability on it is decided
    for (default 0.5). `head`: how outputs are read, "logit", "logits", "probability", "probabilities" or "value"
    (default: told from the model). `bands`: cuts of a numeric sensitive column, {"age": [30, 50]}. `metrics`: functions
    f(y_true, y_pred) by name, measured beside rai's own. `ledger`: what the model's training promised, such as
    `trained.ledger` of `rai.train.fit`; in memory nothing binds it to the model but the caller's word.
    `baseline`: the model that this one was made to improve on, for the same X, compared at the same threshold.

    Nothing handed in is changed. Raises `InputError`, one line, for what is unknown, misshapen or contradictory.
    """
    chosen = _options(options, reference=reference, seed=random_state)
    plan = Plan(_policy(policy), date=now())
    audits = _audits(plan, chosen.metrics)
    return try_case(
        intake.from_objects(model, X, y, sensitive_features=sensitive_features, options=chosen), audits, plan
    )


def audit_predictions(
    y_true: Any,
    y_score: Any,
    *,
    sensitive_features: Any = None,
    policy: str | Path | Policy | None = None,
    random_state: int = 0,
    **options: Any,
) -> Report:
    """Audit predictions without the model, for validators who never get it.

    `y_score`: probabilities of the positive class, shape (rows,), or of each class, shape (rows, classes); decisions
    0 and 1 are taken as probabilities, and predicted values for regression. Otherwise as `audit`, `kind` and
    `vocabulary` aside: they change nothing here. `baseline` is then what the model before gave, like `y_score`.
    """
    chosen = _options(options, reference=None, seed=random_state)
    plan = Plan(_policy(policy), date=now())
    audits = _audits(plan, chosen.metrics)
    return try_case(
        intake.from_predictions(y_true, y_score, sensitive_features=sensitive_features, options=chosen), audits, plan
    )


def judge_again(report: Report, policy: Policy) -> Report:
    """Hold yesterday's evidence against another policy; neither model nor data is needed."""
    record = report.record
    require_known(policy, _known_names() | {name for section in record.sections for name in section.measures})
    return Report(sealed(_judged(record, policy)))


def try_case(case: Case, audits: tuple[Audit, ...], plan: Plan) -> Report:
    """Let every audit examine the subject, judge what they saw, and seal the report."""
    journal = _journal(case, plan)
    sections, seconds = [], {}
    for done, each in enumerate(audits):
        plan.watch(Step(each.name, done, len(audits)))
        began = time.perf_counter()
        with threads_for(case.subject):
            sections.append(_section(each, case.subject, journal))
        seconds[each.name] = round(time.perf_counter() - began, 3)
        plan.watch(Step(each.name, done + 1, len(audits), seconds[each.name]))
    run = Run(plan.date, plan.command, versions(), seconds)
    bare = Record(case.identity, plan.policy, tuple(sections), (), _not_covered(case, sections), run)
    return Report(sealed(_judged(bare, plan.policy)))


def examine(audit: Audit, subject: Subject) -> Section:
    """One section: the audit's evidence, or the problem that kept it from any."""
    lacking = unmet(audit.needs, subject)
    if lacking:
        return _problem(audit, f"not measured: it needs {lacking}")
    try:
        evidence = audit.measure(subject)
        _require_declared(audit, subject, evidence)
    except ModuleNotFoundError as error:
        return _problem(audit, f"not measured: the package {plain(error.name)} is not installed")
    except Exception as error:
        LOG.debug("audit %s crashed", audit.name, exc_info=error)
        return _problem(audit, f"crashed: {type(error).__name__}: {plain(error)}", crashed=True)
    return Section(audit.name, audit.question, _measures(audit, subject), evidence)


def _judged(record: Record, policy: Policy) -> Record:
    absent = {
        name: section.problem or "nothing of this kind could be measured on this data"
        for section in record.sections
        for name in section.measures
    }
    run = {section.name for section in record.sections}
    missing = {
        name: f"the audit {listing.name} was not run"
        for listing in listings()
        if listing.name not in run
        for name in listing.measures
    }
    found = judge(policy, record.measurements, missing | absent, record.identity.task)
    return replace(record, policy=policy, findings=found)


def _section(audit: Audit, subject: Subject, journal: Journal | None) -> Section:
    """The section as the journal kept it, or freshly examined."""
    if journal is None:
        return examine(audit, subject)
    section = journal.read(audit.name) or examine(audit, subject)
    journal.keep(section)
    return section


def _problem(audit: Audit, problem: str, *, crashed: bool = False) -> Section:
    return Section(audit.name, audit.question, audit.measures, None, problem, crashed)


def _measures(audit: Audit, subject: Subject) -> tuple[str, ...]:
    return audit.measures + (_lifted(subject.metrics) if "metrics" in audit.needs else ())


def _lifted(metrics: Iterable[str]) -> tuple[str, ...]:
    """The names under which a user's own metrics are measured."""
    return tuple(f"{name}{suffix}" for name in metrics for suffix in ("", "_by_group", "_difference", "_ratio"))


def _require_declared(audit: Audit, subject: Subject, evidence: Evidence) -> None:
    declared = set(_measures(audit, subject))
    for each in evidence.measurements:
        if each.name not in declared:
            raise ValueError(f"it measured {each.name!r}, which its MEASURES does not declare")


def _audits(plan: Plan, metrics: Iterable[str]) -> tuple[Audit, ...]:
    every = find()
    _require_new(metrics, {name for each in every for name in each.measures})
    require_known(plan.policy, {name for each in every for name in each.measures} | set(_lifted(metrics)))
    return find(plan.only) if plan.only else every


def _require_new(metrics: Iterable[str], made: set[str]) -> None:
    """A metric of the owner's may not take the name of one that rai measures: a rule could judge the wrong one."""
    for name in metrics:
        taken = next((each for each in _lifted([name]) if each in made), None)
        if taken:
            raise InputError(f"rai itself measures {taken!r}", where=f"metrics.{name}", do="choose another name")


def _known_names() -> set[str]:
    return {name for each in listings() for name in each.measures}


def _not_covered(case: Case, sections: Iterable[Section]) -> tuple[str, ...]:
    names = {section.name for section in sections}
    left = [f"{each.name}: not run" for each in listings() if each.name not in names]
    problems = [f"{section.name}: {section.problem}" for section in sections if section.problem]
    return (*left, *problems, *_undeclared(case), *NEVER_TESTED)


def _undeclared(case: Case) -> list[str]:
    groups = case.subject.data.groups
    unknown = [f"{g.name}: unknown for {sum(g.codes < 0):,} rows" for g in groups.values() if (g.codes < 0).any()]
    others = f"Groups other than {', '.join(groups)}: not declared" if groups else "No sensitive groups were declared"
    use = [] if case.identity.intended_use else ["Intended use: not provided by the owner"]
    reference = [] if case.subject.reference else ["Overlap with training rows: no reference data given"]
    return [others, *unknown, *use, *reference]


def _journal(case: Case, plan: Plan) -> Journal | None:
    if plan.journal is None:
        return None
    return Journal(plan.journal, key_of((case.identity, case.subject.card, versions(), *contents(case.subject))))


def _policy(chosen: str | Path | Policy | None) -> Policy:
    return chosen if isinstance(chosen, Policy) else read_policy(str(chosen or "default"))


def _options(given: Mapping[str, Any], **more: Any) -> Options:
    known = set(Options.__dataclass_fields__) - {"reference", "seed"}
    for name in given:
        if name not in known:
            raise InputError(f"no option is named {name!r}", expected=f"one of {', '.join(sorted(known))}")
    return Options(**{**given, **more, "head": _head(given.get("head"))})


def _head(named: str | None) -> Head | None:
    if named is not None and named not in set(Head):
        raise InputError(f"is {named!r}", where="head", expected=f"one of {', '.join(Head)}")
    return None if named is None else Head(named)


def now() -> str:
    """Date and time of the run, UTC, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
