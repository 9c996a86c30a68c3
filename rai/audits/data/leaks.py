"""What the inputs give away: the label by a single column, a sensitive attribute by the inputs or by the score."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rai.audits._auc import auc_estimate, cross_fitted_auc, wider
from rai.audits._composition import NO_GROUPS, NO_LABELS
from rai.audits._exhibits import number
from rai.audits._lift import large_enough, lift, undefined
from rai.audits._predict import (
    bins,
    boosted_chances,
    folds,
    sample,
    single_aucs,
    single_chances,
    single_values,
)
from rai.audits.data.descriptions import WORDS, Words, described
from rai.evidence import Evidence, Measurement, Table
from rai.stats.estimates import Estimate
from rai.stats.means import r2_estimate
from rai.subject import Bools, Floats, Groups, Ints, Subject

FEWEST = 25
"""Rows a group must have before anyone tries to tell it from the others."""
TOP = 5
NO_GROUP = f"fewer than two groups of {FEWEST} rows or more"


@dataclass(frozen=True)
class Columns:
    """What describes the rows at `rows`: numbers, or codes without order, and their bins; `words` name them."""

    names: tuple[str, ...]
    values: Floats
    unordered: Bools
    binned: tuple[Ints, ...]
    rows: Ints
    words: Words = WORDS["table"]

    def without(self, name: str) -> "Columns":
        """All columns but the one of this name, written in any case; a word or a part of an image is no column."""
        if self.words is not WORDS["table"]:
            return self
        kept = [place for place, each in enumerate(self.names) if each.casefold() != name.casefold()]
        return replace(
            self,
            names=tuple(self.names[place] for place in kept),
            values=self.values[:, kept],
            unordered=self.unordered[kept],
            binned=tuple(self.binned[place] for place in kept),
        )

    def among(self, known: Bools) -> "Columns":
        """The same columns for those of the rows that are `known`."""
        binned = tuple(each[known] for each in self.binned)
        return replace(self, values=self.values[known], binned=binned, rows=self.rows[known])


def columns_of(subject: Subject) -> Columns:
    """The subject's columns on all rows, or on a random 20,000 (fewer where columns are very many)."""
    found = described(subject.data, subject.rng("data sample"))
    binned = tuple(bins(found.values[:, place], unordered=bool(each)) for place, each in enumerate(found.unordered))
    return Columns(found.names, found.values, found.unordered, binned, found.rows, WORDS[subject.data.kind])


def nothing_told(columns: Columns) -> str:
    """Why there is nothing to learn from."""
    return "the data names no columns" if columns.words is WORDS["table"] else "no word stands in 5 texts or more"


def label_leak(subject: Subject, columns: Columns) -> Evidence:
    """How well the best single column predicts the label on rows that its little model never saw."""
    name = "leakage_r2" if subject.card.task == "regression" else "leakage_auc"
    if subject.data.labels is None:
        return Evidence((undefined(name, NO_LABELS),))
    if not columns.names:
        return Evidence((undefined(name, nothing_told(columns)),))
    labels = subject.data.labels[columns.rows]
    if name == "leakage_r2":
        return _value_leak(subject, columns, np.asarray(labels, dtype=np.float64))
    return _class_leak(subject, columns, np.asarray(labels, dtype=np.int64))


def _class_leak(subject: Subject, columns: Columns, labels: Ints) -> Evidence:
    fold = folds(labels, subject.rng("data folds"))
    wanted = [subject.positive] if subject.card.task == "binary" else list(range(len(subject.card.classes)))
    wanted = [level for level in wanted if 0 < (labels == level).sum() < len(labels)]
    if not wanted:
        return Evidence((undefined("leakage_auc", "the test rows hold only one class", rows=len(labels)),))
    aucs = np.array([single_aucs(binned, labels, fold)[wanted] for binned in columns.binned])
    best, level = (int(place) for place in np.unravel_index(int(np.argmax(aucs)), aucs.shape))
    chances = single_chances(columns.binned[best], labels, fold)[:, wanted[level]]
    facet = {columns.words.one: columns.names[best]}
    if subject.card.task == "multiclass":
        facet["class"] = subject.card.classes[wanted[level]]
    found = lift(cross_fitted_auc(labels == wanted[level], chances), "leakage_auc", facet=facet)
    return _leak_evidence(found, columns, aucs.max(axis=1))


def _value_leak(subject: Subject, columns: Columns, labels: Floats) -> Evidence:
    fold = folds(np.zeros(len(labels), dtype=np.int64), subject.rng("data folds"))
    total = float(((labels - labels.mean()) ** 2).sum())
    if total == 0.0:
        return Evidence((undefined("leakage_r2", "the label has one value in all test rows", rows=len(labels)),))
    guesses = [single_values(binned, labels, fold) for binned in columns.binned]
    explained = np.array([1.0 - float(((labels - guess) ** 2).sum()) / total for guess in guesses])
    best = int(np.argmax(explained))
    estimate = wider(r2_estimate(labels, guesses[best], subject.rng("data leak")))
    return _leak_evidence(
        lift(estimate, "leakage_r2", facet={columns.words.one: columns.names[best]}), columns, explained
    )


def _leak_evidence(found: Measurement, columns: Columns, strengths: Floats) -> Evidence:
    names, words = columns.names, columns.words
    told = replace(found, method=f"best of {len(names)} single {words.many}, cross-fitted; {found.method}")
    kind = "R²" if found.name == "leakage_r2" else "AUC"
    order = np.argsort(-strengths, kind="stable")[:TOP]
    lines = tuple((names[place], float(strengths[place])) for place in order)
    title = f"Best single {words.one} for the label: {lines[0][0]}, {kind} {number(lines[0][1])}"
    alt = f"What each {words.one} alone tells of the label, best first, learned on some rows and judged on others."
    return Evidence((told,), (Table(title, alt, (words.one, f"{kind} for the label"), lines),))


def proxies(subject: Subject, columns: Columns) -> Evidence:
    """How well each sensitive attribute can be told from the other inputs, and which columns carry it."""
    if not subject.data.groups or not columns.names:
        return Evidence((undefined("proxy_auc", nothing_told(columns) if subject.data.groups else NO_GROUPS),))
    parts = [_proxy(subject, columns, groups) for groups in subject.data.groups.values()]
    return Evidence(
        tuple(found for part in parts for found in part.measurements),
        tuple(shape for part in parts for shape in part.exhibits),
        caveats=tuple(caveat for part in parts for caveat in part.caveats),
    )


def _proxy(subject: Subject, columns: Columns, groups: Groups) -> Evidence:
    kept = large_enough(Groups(groups.name, groups.levels, groups.codes[columns.rows]), least=FEWEST)
    known, others = kept.codes >= 0, columns.without(groups.name)
    if len(kept.levels) < 2 or not others.names:
        reason = NO_GROUP if others.names else "the attribute is the model's only column"
        return Evidence((undefined("proxy_auc", reason, facet={"attribute": groups.name}),))
    others, codes = others.among(known), kept.codes[known]
    rng = subject.rng(f"data proxy {groups.name}")
    fold = folds(codes, rng)
    chances = boosted_chances(others.values, codes, fold, rng, unordered=others.unordered)
    found = [_boosted(kept, level, cross_fitted_auc(codes == level, chances[:, level])) for level in _asked(kept)]
    table = _carriers(kept, others, codes, fold)
    given = len(others.names) < len(columns.names)
    return Evidence(tuple(found), (table,), caveats=(_given(groups.name),) if given else ())


def _boosted(groups: Groups, level: int, estimate: Estimate) -> Measurement:
    method = f"gradient boosting, cross-fitted; {estimate.method}"
    return _told_apart("proxy_auc", groups, level, replace(estimate, method=method))


def _given(name: str) -> str:
    return f"The model is given {name} itself; how well {name} can be told is measured from the other columns."


def _asked(groups: Groups) -> list[int]:
    """Levels to tell from the rest: of two levels one says it all."""
    return [1] if len(groups.levels) == 2 else list(range(len(groups.levels)))


def _told_apart(name: str, groups: Groups, level: int, estimate: Estimate) -> Measurement:
    facet = {"attribute": groups.name}
    if len(groups.levels) > 2:
        facet["group"] = groups.levels[level]
    count, known = int(groups.counts[level]), int(groups.counts.sum())
    return lift(estimate, name, facet=facet, smallest=min(count, known - count))


def _carriers(groups: Groups, columns: Columns, codes: Ints, fold: Ints) -> Table:
    aucs = np.array([single_aucs(binned, codes, fold) for binned in columns.binned])[:, _asked(groups)]
    order = np.argsort(-aucs.max(axis=1), kind="stable")[:TOP]
    levels = [groups.levels[_asked(groups)[int(np.argmax(aucs[place]))]] for place in order]
    lines = tuple(
        (columns.names[place], level, float(aucs[place].max())) for place, level in zip(order, levels, strict=True)
    )
    many = columns.words.many
    return Table(
        f"{many[0].upper()}{many[1:]} that tell {groups.name}: first {lines[0][0]}, AUC {number(lines[0][2])} alone",
        f"How well single {many} tell one group of {groups.name} from the rest, best first.",
        (columns.words.one, f"{groups.name} told from the rest", f"AUC of this {columns.words.one} alone"),
        lines,
    )


def score_leaks(subject: Subject) -> Evidence:
    """How well each sensitive attribute can be told from the model's answer alone, also among equal labels."""
    names = ("score_leakage_auc", "score_leakage_auc_given_label")
    if not subject.data.groups:
        return Evidence(tuple(undefined(name, NO_GROUPS) for name in names))
    parts = [found for groups in subject.data.groups.values() for found in _score_leak(subject, groups)]
    return Evidence(tuple(parts))


def _score_leak(subject: Subject, groups: Groups) -> list[Measurement]:
    rows = sample(subject.data.rows, 1, subject.rng("data score sample"))
    kept = large_enough(Groups(groups.name, groups.levels, groups.codes[rows]), least=FEWEST)
    if len(kept.levels) < 2:
        names = ("score_leakage_auc", "score_leakage_auc_given_label")
        return [undefined(name, NO_GROUP, facet={"attribute": groups.name}) for name in names]
    known = kept.codes >= 0
    codes, strata = kept.codes[known], _strata(subject, rows[known])
    answers = _answers(subject, rows[known], codes)
    judge = cross_fitted_auc if subject.card.task == "multiclass" else auc_estimate
    found = []
    for level in _asked(kept):
        group, score = codes == level, answers[:, min(level, answers.shape[1] - 1)]
        found.append(_told_apart("score_leakage_auc", kept, level, folded(judge(group, score))))
        given = _within_strata(group, score, strata, judge)
        found.append(_told_apart("score_leakage_auc_given_label", kept, level, given))
    return found


def _answers(subject: Subject, rows: Ints, codes: Ints) -> Floats:
    """The model's answer as one number a row, (rows, 1); of several classes, the chance of each group they imply."""
    if subject.probabilities is None:
        return np.asarray(subject.predicted[rows], dtype=np.float64)[:, None]
    if subject.card.task == "binary":
        return np.asarray(subject.probabilities[rows, subject.positive])[:, None]
    rng = subject.rng("data score")
    unordered = [False] * subject.probabilities.shape[1]
    return boosted_chances(subject.probabilities[rows], codes, folds(codes, rng), rng, unordered=unordered)


def _strata(subject: Subject, rows: Ints) -> Ints | None:
    """Rows of equal label: its class, or the fifth of the range of values it falls in."""
    if subject.data.labels is None:
        return None
    labels = subject.data.labels[rows]
    if subject.card.task != "regression":
        return np.asarray(labels, dtype=np.int64)
    return np.searchsorted(np.quantile(labels, [0.2, 0.4, 0.6, 0.8]), labels, side="right")


def folded(estimate: Estimate) -> Estimate:
    """An AUC read without direction: 0.3 tells a group from the rest as well as 0.7."""
    if estimate.value is None or estimate.low is None or estimate.high is None or estimate.value >= 0.5:
        return estimate
    return replace(estimate, value=1 - estimate.value, low=1 - estimate.high, high=1 - estimate.low)


def _within_strata(
    positive: Bools, score: Floats, strata: Ints | None, judge: Callable[[Bools, Floats], Estimate]
) -> Estimate:
    """The average over labels of the AUC among rows of that label, weighted by rows; labels as independent."""
    if strata is None:
        return Estimate(None, None, None, 0, "", NO_LABELS)
    parts = [judge(positive[strata == each], score[strata == each]) for each in np.unique(strata)]
    whole = [part for part in parts if part.value is not None and part.low is not None and part.high is not None]
    rows = np.array([part.rows for part in whole], dtype=np.float64)
    if not whole:
        return Estimate(None, None, None, 0, "", "no label has enough rows of the group and of the rest")
    weights = rows / rows.sum()
    value, low, high = (np.array([getattr(part, key) for part in whole]) for key in ("value", "low", "high"))
    mean = float(weights @ value)
    down, up = (float(np.sqrt(((weights * side) ** 2).sum())) for side in (value - low, high - value))
    method = f"mean over {len(whole)} labels; {whole[0].method}"
    return folded(Estimate(mean, max(0.0, mean - down), min(1.0, mean + up), int(rows.sum()), method))
