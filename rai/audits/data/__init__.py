"""Is the data this model was tried on fit to judge it?

Counts rows and groups, compares labels and empty cells between groups, looks for repeated rows, for rows the model
may have been trained on, for columns that give the label away, and for inputs that stand in for a sensitive attribute
(EU AI Act Art. 10(2)(f)-(g) and 10(3); NIST AI RMF MEASURE 2.5).
"""

from rai.audits._composition import composition, label_rates, representation
from rai.audits._lift import joined
from rai.audits.data.descriptions import WORDS
from rai.audits.data.leaks import columns_of, label_leak, proxies, score_leaks
from rai.audits.data.missing import missingness
from rai.audits.data.repeats import constant_columns, repeats
from rai.evidence import Evidence, Text
from rai.subject import Subject

NEEDS = ()
MEASURES = (
    "rows",
    "group_rows",
    "group_share",
    "unknown_group_share",
    "base_rate",
    "mean_label",
    "missing_share",
    "missing_gap",
    "duplicate_share",
    "duplicate_conflict_share",
    "overlap_share",
    "overlap_conflict_share",
    "overlap_excess",
    "constant_columns",
    "leakage_auc",
    "leakage_r2",
    "proxy_auc",
    "score_leakage_auc",
    "score_leakage_auc_given_label",
)
METHOD = (
    "Shares have Wilson intervals, AUCs DeLong intervals; counts of rows at hand have none to give. Repeated rows are "
    "rows whose inputs are all equal. A single {}'s AUC for the label comes from averages of the label at each of "
    "its values (numbers cut at 32 quantiles), learned on some rows and judged on others. An attribute is told from "
    "the inputs by gradient boosting, also judged only on rows it never saw, on at most 20,000 rows; groups of fewer "
    "than 25 rows are left out there. As folds that judge each other repeat each other's chance findings, these "
    "intervals are √2 times as wide. An AUC from the score reads 0.5 for nothing and 1 for everything told, "
    "whichever group scores higher."
)
MOST = 20
"""Columns that never vary are named up to so many."""
CAVEATS = (
    "Whether the labels themselves are wrong for one group cannot be seen from the data alone.",
    "An attribute that these models cannot tell from the inputs may still be told by better ones.",
)


def measure(subject: Subject) -> Evidence:
    """Measure what the data allows, and say for the rest why it could not be measured."""
    columns, words = columns_of(subject), WORDS[subject.data.kind]
    parts = (
        composition(subject),
        label_rates(subject),
        representation(subject),
        missingness(subject),
        repeats(subject),
        _constant(subject),
        label_leak(subject, columns),
        proxies(subject, columns),
        score_leaks(subject),
        Evidence((), caveats=CAVEATS),
    )
    return joined(parts, f"{METHOD.format(words.one)} {words.made}".strip())


def _constant(subject: Subject) -> Evidence:
    names = constant_columns(subject.data)
    if not names:
        return Evidence(())
    named = f"{', '.join(names[:MOST])}{f' and {len(names) - MOST} more' if len(names) > MOST else ''}"
    text = f"{named}: one value in all test rows, so these rows cannot show what the model makes of others."
    what = "Columns" if subject.data.kind == "table" else f"Parts of the {subject.data.kind}s"
    return Evidence((), (Text(f"{what} that never vary: {len(names)}", text),))
