"""What did the mitigation change, for whom, and at what price?

Holds the model against the one it was made from, decision by decision on the same rows, and against other seeds and
strengths that its ledger names. What narrows one gap between groups may widen another and raise the errors of some
(Hardt et al. 2016; Kleinberg et al. 2016); so every criterion is measured, whichever was asked for.
"""

from collections.abc import Mapping
from dataclasses import replace

from rai.audits._lift import joined, left_out, undefined
from rai.audits.mitigation import seeds
from rai.audits.mitigation.exhibits import (
    change_bars,
    change_table,
    group_table,
    leakage_table,
    no_baseline,
    tipping_table,
)
from rai.audits.mitigation.gaps import Change, accuracy_change, gap_changes
from rai.audits.mitigation.leakage import leakages
from rai.audits.mitigation.outputs import error_change, group_error_changes, output_changes
from rai.audits.mitigation.pairs import NO_BASELINE, Pair, decisions, pair_of
from rai.audits.mitigation.payers import adjusted, error_changes
from rai.audits.mitigation.tipping import tippings
from rai.evidence import Evidence, Exhibit, Measurement
from rai.ledger import Mitigation
from rai.models.baseline import notes_of
from rai.subject import Groups, Subject

NEEDS = ("mitigation", "labels", "groups")
MEASURES = (
    "accuracy_before",
    "accuracy_after",
    "accuracy_change",
    "error_before",
    "error_after",
    "error_change",
    "asked_criterion_change",
    "demographic_parity_before",
    "demographic_parity_after",
    "demographic_parity_change",
    "equal_opportunity_before",
    "equal_opportunity_after",
    "equal_opportunity_change",
    "predictive_equality_before",
    "predictive_equality_after",
    "predictive_equality_change",
    "equalized_odds_before",
    "equalized_odds_after",
    "equalized_odds_change",
    "predictive_parity_before",
    "predictive_parity_after",
    "predictive_parity_change",
    "accuracy_gap_before",
    "accuracy_gap_after",
    "accuracy_gap_change",
    "mean_residual_before",
    "mean_residual_after",
    "mean_residual_change",
    "mae_before",
    "mae_after",
    "mae_change",
    "accuracy_change_over_seeds",
    "r2_change_over_seeds",
    "demographic_parity_change_over_seeds",
    "equalized_odds_change_over_seeds",
    "equal_opportunity_change_over_seeds",
    "group_error_rate_before",
    "group_error_rate_after",
    "group_error_rate_change",
    "group_false_negative_rate_before",
    "group_false_negative_rate_after",
    "group_false_negative_rate_change",
    "group_false_positive_rate_before",
    "group_false_positive_rate_after",
    "group_false_positive_rate_change",
    "group_mae_before",
    "group_mae_after",
    "group_mae_change",
    "attribute_auc_before",
    "attribute_auc_after",
    "attribute_auc_change",
    "attribute_auc_given_label_before",
    "attribute_auc_given_label_after",
    "attribute_auc_given_label_change",
    "tipping_labels_base_rate",
    "tipping_share_base_rate",
    "tipping_labels_false_positive_rate",
    "tipping_share_false_positive_rate",
    "tipping_labels_true_positive_rate",
    "tipping_share_true_positive_rate",
)
METHOD = (
    "Both models decide on the same test rows, and a change is after less before. Changes of gaps have intervals from "
    "2,000 resamples of the rows, counted by group, true class and both decisions; they hold over all pairs of groups "
    "at once, so that a gap that is all but closed is not taken for more than it is. Changes of a group's errors have "
    "matched intervals (Bonett and Price 2012), and p from McNemar's exact test, adjusted by Holm over the groups and "
    "errors of an attribute. Changes over seeds compare the ledger's trials of the chosen setting with those of the "
    "baseline (Welch). 'Lower' and 'higher' are said only where the intervals over rows and over seeds both exclude "
    "0, otherwise 'not told apart'. What the score tells of a group is a ROC AUC with DeLong's interval."
)
PICKED = "The chosen setting was picked by its trials, so what these say of it may flatter it; other rows do not."
LABELS = (
    "Tipping points take wrong labels as made independently of the score; these data cannot tell whether they were."
)
REGRESSION = (
    "Not measured for a regression model: equalized odds, equal opportunity, what the score tells given the true "
    "value, and label bias."
)
NOT_ASKED = "no ledger says which criterion was asked for"
UNMEASURED = ("accuracy_change", "asked_criterion_change", "group_error_rate_change")


def measure(subject: Subject) -> Evidence:
    """Compare before and after on the same rows and over seeds, as far as there is a baseline and a ledger."""
    told = None if subject.ledger is None else subject.ledger.mitigation
    over = seeds.changes_over_seeds(told)
    pair = pair_of(subject)
    attributes = subject.data.attributes(intersections=subject.card.data.intersections)
    curve, *others = seeds.exhibits(told, over)
    parts = [
        _overall(pair, over),
        Evidence((), (curve,)),
        *(_attribute(subject, pair, groups, _asked_of(groups, told, over)) for groups in attributes),
        Evidence(over, tuple(others)),
    ]
    found = joined(parts, METHOD)
    caveats = (*notes_of(subject.baseline), *_caveats(subject, told), *found.caveats)
    return replace(found, measurements=found.measurements + _asked(found, told, subject), caveats=caveats)


def _asked_of(groups: Groups, told: Mitigation | None, over: tuple[Measurement, ...]) -> Mapping[str, Measurement]:
    """The changes over seeds by name, where trials measured the gaps of this attribute."""
    meant = told is not None and (not told.sensitive or groups.name in told.sensitive)
    return {each.name: each for each in over} if meant else {}


def _caveats(subject: Subject, told: Mitigation | None) -> tuple[str, ...]:
    picked = (PICKED,) if told is not None and told.trials else ()
    return (*picked, REGRESSION if subject.card.task == "regression" else LABELS)


def _overall(pair: Pair | None, over: tuple[Measurement, ...]) -> Evidence:
    if pair is None:
        return Evidence(tuple(undefined(each, NO_BASELINE) for each in UNMEASURED), (no_baseline(),))
    change = error_change(pair) if pair.after.card.task == "regression" else accuracy_change(pair)
    return Evidence(_measured(change), (change_table([change], {each.name: each for each in over}, ""),))


def _attribute(subject: Subject, pair: Pair | None, groups: Groups, over: Mapping[str, Measurement]) -> Evidence:
    """All about one attribute; without a baseline what the model's own score and decisions tell."""
    parts = [] if pair is None else [_compared(subject, pair, groups, over)]
    leaks = tuple(leakages(None if pair is None else pair.before, subject, groups))
    about = f" of {groups.name}"
    parts.append(Evidence(_measured(*leaks), (leakage_table(leaks, about),) if leaks else ()))
    if subject.card.task != "regression":
        found = tuple(tippings(subject, groups, subject.rng(f"mitigation tipping {groups.name}")))
        numbers = tuple(number for each in found for number in (each.count, each.share))
        parts.append(Evidence(numbers, (tipping_table(found, f" by {groups.name}"),)))
    return replace(joined(parts, METHOD), caveats=left_out(groups))


def _compared(subject: Subject, pair: Pair, groups: Groups, over: Mapping[str, Measurement]) -> Evidence:
    rng, regression = subject.rng(f"mitigation {groups.name}"), subject.card.task == "regression"
    if regression:
        sets = [(f" by {groups.name}", tuple(output_changes(pair, groups, rng)))]
    else:
        sets = [(_by(each.facet), tuple(gap_changes(each, rng))) for each in decisions(pair, groups)]
    errors = adjusted(group_error_changes(pair, groups)) if regression else error_changes(pair, groups)
    about = f" by {groups.name}"
    tables: list[Exhibit] = [change_table(changes, over, words) for words, changes in sets]
    first = [each for each in errors if each.key in {"group_error_rate", "group_mae"}]
    shapes = (*tables, change_bars(first, about), group_table(errors, about)) if errors else tuple(tables)
    return Evidence(_measured(*(each for _, changes in sets for each in changes), *errors), shapes)


def _by(facet: Mapping[str, str]) -> str:
    return f" by {facet['attribute']}" + (f", class {facet['class']} against the rest" if "class" in facet else "")


def _measured(*changes: Change) -> tuple[Measurement, ...]:
    return tuple(found for each in changes for found in (each.before, each.after, each.change) if _known(found))


def _known(found: Measurement) -> bool:
    """Whether there is something to say: numbers of a baseline that is not there are left out."""
    return found.value is not None or found.reason != NO_BASELINE


def _asked(found: Evidence, told: Mitigation | None, subject: Subject) -> tuple[Measurement, ...]:
    """The change of the criterion that training asked for, by each attribute that it was asked for."""
    if subject.baseline is None:
        return ()
    if told is None:
        return (undefined("asked_criterion_change", NOT_ASKED),)
    changes = [each for each in found.measurements if each.name == f"{told.criterion}_change"]
    meant = [each for each in changes if not told.sensitive or each.facet["attribute"] in told.sensitive]
    if not meant:
        return (undefined("asked_criterion_change", f"{told.criterion} is not measured for {subject.card.task}"),)
    return tuple(
        replace(each, name="asked_criterion_change", facet={**each.facet, "criterion": told.criterion})
        for each in meant
    )
