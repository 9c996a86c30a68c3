"""The report a person holds: JSON both ways, no raw rows, numbers equal to the field's own."""

import json
from pathlib import Path

import fairlearn.metrics as fl
import jsonschema
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, precision_score

import rai
from rai.errors import InputError
from rai.policy import Verdict
from rai.record import ExitCode, schema


def value(report: rai.Report, name: str, **facet: str) -> rai.Measurement:
    found = [each for each in report.record.measurements if each.name == name and dict(each.facet) == facet]
    assert len(found) == 1, f"{len(found)} measurements {name} {facet}"
    return found[0]


def test_json_there_and_back_is_byte_for_byte(people, tmp_path: Path) -> None:
    report = people.audit()
    path = report.save(tmp_path / "report.json", format="json")
    again = rai.Report.read(path)
    assert again == report
    assert again.to_json().encode() == path.read_bytes()


def test_the_json_meets_its_own_schema_and_holds_no_nan(people) -> None:
    text = people.audit().to_json()
    jsonschema.validate(json.loads(text), schema(), cls=jsonschema.Draft202012Validator)
    assert "NaN" not in text
    assert "Infinity" not in text
    assert text.isascii()


def test_an_altered_report_is_refused(people, tmp_path: Path) -> None:
    path = people.audit().save(tmp_path / "report.json", format="json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"verdict": "unsure"', '"verdict": "pass"', 1), encoding="utf-8")
    with pytest.raises(InputError, match="was altered after it was written"):
        rai.Report.read(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("{", "not JSON"),
        ("[1]", "schema_version is None"),
        ('{"schema_version": "0"}', "schema_version is '0'"),
        ('{"schema_version": "1"}', "key identity is missing"),
    ],
)
def test_what_is_no_report_is_one_clear_line(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=expected) as caught:
        rai.Report.read(path)
    assert "\n" not in str(caught.value)


def test_every_gap_equals_fairlearn(people) -> None:
    report, decided = people.audit(), (people.scores >= 0.5).astype(int)
    y, sex = people.labels, people.groups["sex"]
    theirs = {
        "demographic_parity_difference": fl.demographic_parity_difference,
        "demographic_parity_ratio": fl.demographic_parity_ratio,
        "equalized_odds_difference": fl.equalized_odds_difference,
        "equalized_odds_ratio": fl.equalized_odds_ratio,
        "equal_opportunity_difference": fl.equal_opportunity_difference,
        "equal_opportunity_ratio": fl.equal_opportunity_ratio,
    }
    for name, function in theirs.items():
        ours = value(report, name, attribute="sex")
        assert ours.value == pytest.approx(function(y, decided, sensitive_features=sex), abs=1e-12), name
    crossed = people.groups["sex"] + " × " + people.groups["region"]
    for name, function in theirs.items():
        ours = value(report, name, attribute="sex × region")
        assert ours.value == pytest.approx(function(y, decided, sensitive_features=crossed), abs=1e-12), name


def test_every_group_rate_equals_fairlearn(people) -> None:
    report, decided = people.audit(), (people.scores >= 0.5).astype(int)
    metrics = {
        "selection_rate": fl.selection_rate,
        "true_positive_rate": fl.true_positive_rate,
        "false_positive_rate": fl.false_positive_rate,
        "false_negative_rate": fl.false_negative_rate,
        "precision": precision_score,
        "accuracy": accuracy_score,
    }
    frame = fl.MetricFrame(
        metrics=metrics, y_true=people.labels, y_pred=decided, sensitive_features=people.groups["region"]
    )
    for name in metrics:
        for region, expected in frame.by_group[name].items():
            ours = value(report, f"group_{name}", attribute="region", group=region)
            assert ours.value == pytest.approx(expected, abs=1e-12)
            assert ours.low is not None
            assert ours.high is not None
            assert ours.low <= expected <= ours.high


def test_a_perfect_predictor_with_a_group_without_positives_is_not_measured() -> None:
    labels = np.array([0, 1] * 100 + [0] * 20)
    group = np.array(["a"] * 100 + ["b"] * 100 + ["c"] * 20)
    assert fl.equalized_odds_difference(labels, labels, sensitive_features=group) == 1.0
    report = rai.audit_predictions(labels, labels.astype(float), sensitive_features={"g": group})
    found = value(report, "equalized_odds_difference", attribute="g")
    assert found.value is None
    assert found.reason == "no positives in group c"
    finding = next(each for each in report.findings if each.rule.measurement == "equalized_odds_difference")
    assert finding.verdict is Verdict.UNMEASURED


def test_no_raw_row_reaches_the_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3))
    rows[:, 0] = np.round(rng.uniform(1e6, 9e6, size=300), 3)
    frame = pd.DataFrame(rows, columns=["secret", "b", "c"])
    frame["sex"] = rng.choice(["f", "m"], size=300)
    labels = (frame["b"] > 0).astype(int)
    report = rai.audit(
        lambda X: 1 / (1 + np.exp(-X["b"])), frame[["secret", "b", "c"]], labels, sensitive_features=frame[["sex"]]
    )
    pages = report.to_json() + report.save_html(tmp_path / "r.html").read_text(encoding="utf-8")
    for number in frame["secret"]:
        assert f"{number}" not in pages
        assert f"{number:.1f}" not in pages


def test_small_groups_are_suppressed_everywhere(people) -> None:
    groups = people.groups["region"].to_numpy().copy()
    groups[:3] = "tiny"
    report = rai.audit_predictions(people.labels, people.scores, sensitive_features={"region": groups})
    for each in report.record.measurements:
        if each.facet.get("group") == "tiny":
            assert each.value is None
            assert each.rows not in (1, 2, 3, 4)
    assert [each.rows for each in report.record.identity.groups if each.group == "tiny"] == [None]


def test_the_frame_holds_every_measurement(people) -> None:
    report = people.audit()
    frame = report.to_frame()
    assert len(frame) == len(report.record.measurements)
    assert {"audit", "measurement", "attribute", "group", "value", "low", "high", "rows"} <= set(frame.columns)


def test_raise_for_verdict_names_the_rules_that_decided(people) -> None:
    report = people.audit()
    assert report.exit_code is not ExitCode.PASS
    with pytest.raises(rai.VerdictError, match="FAIR-0"):
        report.raise_for_verdict()


def test_the_notebook_fragment_is_small_and_inert(people) -> None:
    html = people.audit()._repr_html_()
    assert len(html) < 50_000
    assert "<script" not in html
    assert "<html" not in html


def test_an_unknown_option_names_the_known_ones(people) -> None:
    with pytest.raises(InputError, match="no option is named 'treshold'.*threshold"):
        people.audit(treshold=0.4)


def test_a_reference_with_texts_is_compared_text_by_text() -> None:
    rng = np.random.default_rng(0)
    test = pd.DataFrame({"city": rng.choice(["b", "c"], 200), "x": rng.normal(size=200)})
    labels = np.array([0, 1] * 100)
    copied, fresh = test[:50], pd.DataFrame({"city": rng.choice(["a", "b"], 50), "x": rng.normal(size=50)})
    reference = (pd.concat([copied, fresh]), np.array([0, 1] * 50))
    report = rai.audit(lambda X: np.full(len(X), 0.5), test, labels, reference=reference, policy="default")
    assert value(report, "overlap_share").value == 50 / 200


def test_neither_frames_nor_model_are_changed() -> None:
    import torch

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=100), "z": rng.normal(size=100)}, index=range(7, 107))
    people = pd.DataFrame({"sex": rng.choice(["f", "m"], 100)}, index=frame.index)
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)).train()
    before = frame.copy(), people.copy(), {name: each.clone() for name, each in model.state_dict().items()}
    rai.audit(model, frame, pd.Series([0, 1] * 50, index=frame.index), sensitive_features=people)
    pd.testing.assert_frame_equal(frame, before[0])
    pd.testing.assert_frame_equal(people, before[1])
    assert model.training
    assert all(torch.equal(each, before[2][name]) for name, each in model.state_dict().items())


def test_polars_and_pandas_give_the_same_report() -> None:
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300), "city": rng.choice(["a", "b"], 300)})
    sex = pd.DataFrame({"sex": rng.choice(["f", "m"], 300)})
    labels = (frame["x"] > 0).astype(int)

    def model(X: object) -> np.ndarray:
        return 1 / (1 + np.exp(-np.asarray(X["x"])))  # type: ignore[index]

    reports = [
        rai.audit(model, frame, labels, sensitive_features=sex),
        rai.audit(
            model,
            polars.from_pandas(frame),
            polars.Series(labels.to_list()),
            sensitive_features=polars.from_pandas(sex),
        ),
    ]
    assert reports[0].record.digest == reports[1].record.digest


def test_an_estimator_is_audited_as_its_own_predictions_are() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    rows, sex = rng.normal(size=(400, 3)).astype(np.float32), rng.choice(["f", "m"], 400)
    labels = (rows[:, 0] + rng.normal(size=400) > 0).astype(int)
    model = LogisticRegression().fit(rows, labels)
    whole = rai.audit(model, rows, labels, sensitive_features={"sex": sex})
    scores = rai.audit_predictions(labels, model.predict_proba(rows)[:, 1], sensitive_features={"sex": sex})
    for name in ("accuracy", "roc_auc", "log_loss"):
        assert value(whole, name).value == pytest.approx(value(scores, name).value, abs=1e-12)


def test_named_decisions_are_taken_too(people) -> None:
    names = np.array(["no", "yes"])
    given = rai.audit_predictions(names[people.labels], names[(people.scores >= 0.5).astype(int)])
    assert value(given, "accuracy").value == pytest.approx(
        accuracy_score(people.labels, people.scores >= 0.5), abs=1e-12
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"head": "foo"}, "head: is 'foo'; expected one of logit"),
        ({"policy": Path("nowhere.toml")}, "nowhere.toml: no such file"),
        ({"metrics": {"accuracy": accuracy_score}}, "metrics.accuracy: rai itself measures 'accuracy'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(people, options: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        people.audit(**options)
