import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest

from rai.evidence import Bars, Curve, Evidence, Exhibit, Heat, Line, Measurement, Overlay, Scatter, Table, Text, Tokens
from rai.policy import judge, read_policy
from rai.record import File, GroupCount, Identity, Record, Run, Section, sealed

GROUPS = {
    "sex": {"Female": 5421, "Male": 10860},
    "race": {"White": 13946, "Black": 1561, "Asian-Pac-Islander": 480, "Amer-Indian-Eskimo": 159, "Other": 135},
    "age": {"under 30": 4822, "30 to under 50": 7821, "50 and over": 3638},
}
ROWS = 16281
WILSON = "Wilson score interval, 95 %"
BOOTSTRAP = "bias-corrected bootstrap over rows, 2,000 draws, 95 %; p by permutation of group labels, 2,000 draws"
STEPS = tuple(i / 99 for i in range(100))
BINS = tuple(0.05 + 0.1 * i for i in range(10))


def share(name: str, value: float, rows: int, **facet: str) -> Measurement:
    half = 1.96 * math.sqrt(value * (1 - value) / rows)
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    return Measurement(name, value, low, high, rows, facet, unit="share", method=WILSON)


def gap(name: str, value: float, half: float, attribute: str) -> Measurement:
    told = {"p": 0.0004997501249375312, "chance": half / 3, "corrected": value - half / 3, "detectable": half * 1.4}
    ends = max(value - half, 0.0), value + half * 1.1
    smallest = min(GROUPS[attribute].values())
    return Measurement(name, value, *ends, ROWS, {"attribute": attribute}, method=BOOTSTRAP, smallest=smallest, **told)


def ratio(name: str, numbers: tuple[float, float, float], attribute: str) -> Measurement:
    smallest = min(GROUPS[attribute].values())
    facet = {"attribute": attribute}
    return Measurement(name, *numbers, ROWS, facet, unit="ratio", method=BOOTSTRAP, smallest=smallest)


def by_group(name: str, start: float, step: float) -> list[Measurement]:
    return [
        share(name, start + step * i, rows, attribute=attribute, group=group)
        for attribute, groups in GROUPS.items()
        for i, (group, rows) in enumerate(groups.items())
    ]


def section(
    name: str, question: str, made: Iterable[Measurement], exhibits: tuple[Exhibit, ...], *told: str
) -> Section:
    """`told` is the method, then the caveats."""
    found = tuple(made)
    measures = tuple(dict.fromkeys(each.name for each in found))
    return Section(name, question, measures, Evidence(found, exhibits, told[0], told[1:]))


def banded(name: str, x: tuple[float, ...], y: Iterable[float], half: float) -> Line:
    kept = tuple(y)
    return Line(name, x, kept, tuple(max(v - half, 0.0) for v in kept), tuple(min(v + half, 1.0) for v in kept))


def performance() -> Section:
    made = [
        share("roc_auc", 0.8912345678901234, ROWS),
        share("balanced_accuracy", 0.7791234567, ROWS),
        share("accuracy", 0.8512, ROWS),
        Measurement("log_loss", 0.3216549, 0.3141592, 0.3291, ROWS, unit="nats", method=BOOTSTRAP),
        Measurement("rows", 16281.0, 16281.0, 16281.0, ROWS, unit="rows", method="counted"),
        Measurement("lift_at_1", None, None, None, 0, reason="fewer than 5 rows: suppressed"),
        *by_group("recall", 0.4, 0.05),
    ]
    roc = banded("model", STEPS, (x**0.22 for x in STEPS), 0.03)
    precision = Line("precision", STEPS, tuple(1 - 0.7 * x**2 for x in STEPS))
    rates = "false-positive rate", "true-positive rate"
    labels = ("no, at most 50K", "yes, more than 50K"), ("no", "yes")
    confusion = ((9712.0, 2723.0), (1435.0, 2411.0))
    exhibits = (
        Curve("ROC curve: 0.89 of all pairs are ranked right", "It lies above y = x.", *rates, (roc,), diagonal=True),
        Curve("Precision falls as recall rises", "From 1 down to 0.3.", "recall", "precision", (precision,)),
        Heat("Confusion: 2,411 of 3,846 “yes” are told right", "no 9,712", *labels, confusion, "truth", "told", "rows"),
        Text("What a constant guess would get", "Always “no” is right for 76.4 % of the rows, the model for 85.1 %."),
    )
    method = "Decisions follow from the threshold in the card. Wilson intervals for shares, bootstrap otherwise."
    question = "How well does the model tell the classes apart?"
    return section("performance", question, made, exhibits, method, "Labels are taken as true.")


def calibration() -> Section:
    shifts = {"Female": 0.05, "Male": -0.06, "all rows, both groups together, weighted by their share": 0.0}
    lines = tuple(banded(name, BINS, (x + by * math.sin(3 * x) for x in BINS), 0.04) for name, by in shifts.items())
    edges = tuple(k / 20 for k in range(21))
    fullness = range(20)
    counts = tuple(
        tuple(int(420 * math.exp(-((i - j) ** 2) / 6) * math.exp(-i / 5)) for j in fullness) for i in fullness
    )
    title = "Told probabilities against what happened, by sex"
    ece = Measurement("ece", 0.02961234, 0.0270000001, 0.0329, ROWS, method=BOOTSTRAP)
    ages, values = tuple(GROUPS["age"]), (0.0213, 0.0314, None)
    ends = (0.0171, 0.0262, None), (0.0262, 0.0371, None)
    exhibits = (
        Curve(title, "Near the diagonal.", "told probability", "share that happened", lines, diagonal=True),
        Scatter("Before and after recalibration", "Near the diagonal.", "before", "after", edges, edges, counts),
        Bars("Calibration error by age", "0.02, 0.03, none.", ages, values, *ends, (4822, 7821, None), reference=0.03),
    )
    return section("calibration", "Do stated probabilities match what happens?", [ece], exhibits, "Ten bins.")


def fairness() -> Section:
    gaps = {"sex": (0.081, 0.0188), "race": (0.11, 0.09), "age": (0.21, 0.04)}
    rates = {"sex": (0.356, 0.327, 0.387), "race": (0.79, 0.64, 0.97), "age": (0.9, 0.83, 0.98)}
    alarms = {"sex": (0.39, 0.30, 0.52), "race": (1.1, 0.83, 1.24), "age": (0.79, 0.39, 1.69)}
    made = [gap("equal_opportunity_difference", *numbers, name) for name, numbers in gaps.items()]
    made += [ratio("demographic_parity_ratio", numbers, name) for name, numbers in rates.items()]
    made += [ratio("fpr_ratio", numbers, name) for name, numbers in alarms.items()]
    crossed = ((0.1234, 0.0512, 0.1134, None, 0.07), (0.34, 0.18, 0.31, 0.12, 0.16))
    labels = tuple(GROUPS["sex"]), tuple(GROUPS["race"])
    columns = ("attribute", "lowest", "highest", "gap", "rows")
    rows = (
        ("sex", "Female", "Male", 0.1974, 16281),
        ("race", "Other", "White", 0.1234567, 16281),
        ("age", "under 30", "50 and over", None, 16281),
    )
    exhibits = (
        *(_rates(name) for name in GROUPS),
        Heat("Selection rate by sex and race", "One is suppressed.", *labels, crossed, "sex", "race", "share"),
        Bars("Difference of mean score", "Below, above.", ("Female", "Male"), (-0.0812, 0.0405), unit="probability"),
        Table("The widest gaps", "Three gaps, widest first.", columns, rows),
    )
    question = "Do decisions and errors fall equally on the groups the model serves?"
    told = "Gaps are the highest less the lowest.", "Groups are as recorded.", "Gaps are upward biased in small groups."
    return section("fairness", question, [*made, *by_group("selection_rate", 0.08, 0.06)], exhibits, *told)


def _rates(attribute: str) -> Bars:
    counts = GROUPS[attribute]
    made = [share("selection_rate", 0.08 + 0.06 * i, n) for i, n in enumerate(counts.values())]
    values, lows, highs = (tuple(getattr(m, key) for m in made) for key in ("value", "low", "high"))
    shown = tuple(counts), values, lows, highs, tuple(counts.values()), 0.1974
    return Bars(f"Selection rate by {attribute}", "One dot a group.", *shown, unit="share")


def data() -> Section:
    made = [share("missing_share", 0.0593, ROWS, column="occupation"), share("overlap_share", 0.0132, ROWS)]
    names = ("workclass", "occupation", "native-country", "education", "capital-gain")
    repeats = (("capital-gain", "number", "0", 0.9167), ("native-country", "category", "United-States", 0.8957))
    exhibits = (
        Bars("Empty cells", "Most in occupation.", names, (0.0591, 0.0593, 0.0168, 0.0, 0.0), unit="share"),
        Table("Columns with repeated values", "Two.", ("column", "kind", "most common", "share"), repeats),
    )
    return section("data", "Is the test data fit to judge the model by?", made, exhibits, "Counted over all rows.")


def ring(side: int) -> tuple[tuple[int, ...], ...]:
    """A drawn ring, bright on black."""
    far = range(side)
    return tuple(
        tuple(int(255 * math.exp(-((math.hypot(i - side / 2, j - side / 2) / side - 0.3) ** 2) * 150)) for j in far)
        for i in far
    )


def explanations() -> Section:
    made = [
        share("completeness_gap", 0.0004, ROWS, method="shapley"),
        share("completeness_gap", 0.44, ROWS, method="x"),
    ]
    coarse = ((0.02, 0.31, -0.08, 0.0), (0.12, 0.05, -0.22, 0.01), (0.0, 0.18, 0.09, 0.0), (0.03, -0.01, 0.02, 0.0))
    fine = tuple(tuple(math.sin(i / 3) * math.cos(j / 5) for j in range(28)) for i in range(28))
    text = ("the", "food", "was", "not", "good", "at", "all", "but", "the", "waiters", "were", "kind", "and", "quick")
    felt = (0.0, 0.1, 0.02, -1.31, 0.92, -0.1, -0.12, -0.31, None, 0.05, 0.0, 0.74, 0.0, 0.33)
    features = ("marital-status", "education-num", "capital-gain", "hours-per-week", "a-feature-with-a-very-long-name")
    segments = tuple(f"steps {i} to {i + 5}" for i in range(1, 67, 6))
    parts = tuple(tuple(math.sin(i + j) / (1 + j) for j in range(11)) for i in range(5))
    relied = (("shapley", 0.0004, "may be relied on"), ("deep", 0.44, "do not rely on this: the values miss the score"))
    exhibits = (
        Overlay("Where the reasons for class 0 lie", "The upper left of the ring.", ring(28), coarse, "log-odds"),
        Overlay("The same by single pixels", "In waves.", ring(28), fine),
        Tokens("What single words add to “positive”", "“not” takes most, “good” adds most.", text, felt, "logit"),
        Heat("Reasons by feature and time", "The first steps.", features, segments, parts, "feature", "time", "logit"),
        Table("Which methods may be relied on", "One of two.", ("method", "gap", "may it be relied on"), relied),
    )
    return section("explanations", "What drives the decisions?", made, exhibits, "Shapley values.")


def unmet() -> tuple[Section, ...]:
    noise = "not measured: no perturbation is named in rai.toml"
    own = "not measured: it needs a metric of your own (name one under [metrics] in rai.toml)"
    return (
        Section("robustness", "Do small changes of the inputs change the decisions?", ("noisy_accuracy",), None, noise),
        Section("custom", "What do your own metrics say?", ("profit",), None, own),
    )


def identity() -> Identity:
    counts = [GroupCount(name, group, rows) for name, groups in GROUPS.items() for group, rows in groups.items()]
    for sex in GROUPS["sex"]:
        counts += [
            GroupCount("sex × race", f"{sex} × {race}", rows) for race, rows in (("White", 900), ("Other", None))
        ]
    return Identity(
        name="adult-income-mlp",
        version="1.4.0",
        task="binary",
        head="logit",
        head_reason="one output, the card says so",
        trust="data only",
        format="PyTorch state dict (zip)",
        model=File("adult.pt", "9372c470eead" + "5b" * 26),
        data=File("adult-test.csv", "d5ecd9c3c74c" + "a1" * 26, ROWS),
        reference=File("adult-train.csv", "0b" * 32, 32561),
        classes=("<=50K", ">50K"),
        positive=">50K",
        threshold=0.5,
        groups=tuple(counts),
        purpose="Rank applicants for a phone call",
        owner="Credit desk, Ms Ito",
        intended_use="",
        seed=0,
        notes=("Rows with an unknown label were left out: 12.",),
    )


def sample() -> Record:
    sections = (performance(), calibration(), fairness(), data(), explanations(), *unmet())
    law = read_policy(str(Path(__file__).with_name("triage.toml")))
    made = [each for part in sections if part.evidence for each in part.evidence.measurements]
    absent = {name: part.problem for part in sections for name in part.measures}
    uncovered = ("Robustness to changed inputs: no audit for it", "Groups other than sex, race, age: not declared")
    versions = {"python": "3.11.7", "rai": "0.1.0", "torch": "2.13.0"}
    run = Run("2026-11-20 18:40 UTC", "rai audit adult.pt --policy triage.toml", versions, {"performance": 1.2})
    return sealed(Record(identity(), law, sections, judge(law, made, absent, "binary"), uncovered, run))


def large(base: Record) -> Record:
    facets = [{"attribute": "sex × race × age", "group": f"group {i}"} for i in range(40)]
    made = [share("recall", 0.3 + 0.01 * i, 500 + i, **facet) for i, facet in enumerate(facets)]
    kinds = cycle([each for part in base.sections if part.evidence for each in part.evidence.exhibits])
    names = ("slices", "drift", "subgroups", "stability", "cost")
    more = [
        section(name, f"What of {name}?", made, tuple(next(kinds) for _ in range(5)), "As above.") for name in names
    ]
    return sealed(replace(base, sections=(*base.sections, *more)))


@pytest.fixture(scope="session")
def record() -> Record:
    """All exhibit shapes, all four verdicts, values that could not be measured."""
    return sample()


@pytest.fixture(scope="session")
def small_record(record: Record) -> Record:
    """The sample cut to one section that measured and one that did not."""
    kept = tuple(each for each in record.sections if each.name in {"data", "robustness"})
    return sealed(replace(record, sections=kept, findings=record.findings[:2] + record.findings[-1:]))


@pytest.fixture(scope="session")
def large_record(record: Record) -> Record:
    """As large as an audit of a table of census people: about 250 measurements and 40 exhibits."""
    return large(record)
