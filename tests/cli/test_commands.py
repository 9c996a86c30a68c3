"""The commands a person types, end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import rai

PASSING = """name = "easy"
version = "1"
source = "test"
[[rules]]
id = "A"
title = "Accuracy"
measurement = "accuracy"
at_least = 0.5
because = "a test"
"""


def test_audit_writes_the_report_and_says_where(rai_command, loans: Path) -> None:
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "--format", "html,json,md,junit")
    assert done.code in (0, 1, 4), done.err
    names = {"report.html", "report.json", "report.md", "junit.xml"}
    assert {path.name for path in (loans / "out").iterdir()} == names
    assert str(loans / "out" / "report.html") in done.out
    assert "fairness" in done.err
    report = rai.Report.read(loans / "out" / "report.json")
    assert report.record.identity.name == "loans"
    assert report.record.identity.data.rows == 600
    assert report.exit_code == done.code
    assert not any(section.crashed for section in report.sections)


def test_the_exit_code_never_depends_on_the_format(rai_command, loans: Path) -> None:
    codes = {
        rai_command("audit", loans / "model.pt", "--out", loans / name, "--format", name, "-q").code
        for name in ("html", "json", "md", "junit")
    }
    assert len(codes) == 1


def test_quiet_prints_nothing(rai_command, loans: Path) -> None:
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q")
    assert (done.out, done.err) == ("", "")


def test_the_same_command_twice_gives_the_same_page_but_for_the_run(rai_command, loans: Path) -> None:
    digests = []
    for name in ("a", "b"):
        rai_command("audit", loans / "model.pt", "--out", loans / name, "-q")
        digests.append(json.loads((loans / name / "report.json").read_text())["digest"])
    assert digests[0] == digests[1]


def test_only_runs_what_is_named_and_the_rest_is_unmeasured(rai_command, loans: Path) -> None:
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "--only", "performance", "-q")
    report = rai.Report.read(loans / "out" / "report.json")
    assert [section.name for section in report.sections] == ["performance"]
    assert done.code == 4
    assert any("the audit fairness was not run" in each.reason for each in report.findings)
    assert "fairness: not run" in report.record.not_covered


def test_flags_overrule_the_card(rai_command, loans: Path) -> None:
    test = loans / "test.csv"
    test.rename(loans / "elsewhere.csv")
    done = rai_command("audit", loans / "model.pt", "--data", loans / "elsewhere.csv", "--out", loans / "out", "-q")
    assert done.code != 2, done.err
    assert rai.Report.read(loans / "out" / "report.json").record.identity.data.name == "elsewhere.csv"


def test_judge_needs_neither_model_nor_data(rai_command, loans: Path) -> None:
    rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q")
    (loans / "easy.toml").write_text(PASSING, encoding="utf-8")
    for name in ("model.pt", "test.csv", "train.csv"):
        (loans / name).unlink()
    done = rai_command("judge", loans / "out" / "report.json", "--policy", loans / "easy.toml", "--out", loans / "new")
    assert done.code == 0, done.err
    assert rai.Report.read(loans / "new" / "report.json").passed


def test_render_draws_what_audit_drew(rai_command, loans: Path) -> None:
    rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q", "--format", "html,md,junit")
    for name, file in (("html", "report.html"), ("md", "report.md"), ("junit", "junit.xml"), ("json", "report.json")):
        done = rai_command("render", loans / "out" / "report.json", "--format", name)
        assert done.code == 0
        assert done.out == (loans / "out" / file).read_text(encoding="utf-8")


def test_list_and_schema(rai_command) -> None:
    listed = rai_command("list")
    for name in ("calibration", "data", "fairness", "performance", "default", "junit"):
        assert name in listed.out
    assert json.loads(rai_command("schema").out)["$schema"].endswith("2020-12/schema")


def test_init_then_audit_alone_works(rai_command, loans: Path) -> None:
    (loans / "model.toml").unlink()
    done = rai_command(
        "init", loans / "model.pt", "--data", loans / "test.csv", "--target", "repaid", "--sensitive", "sex"
    )
    assert done.code == 0, done.err
    assert "# guess" in (loans / "model.toml").read_text(encoding="utf-8")
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q")
    assert done.code in (0, 1, 4), done.err


def test_init_of_images_says_what_is_still_to_be_filled_in(rai_command, loans: Path) -> None:
    (loans / "model.toml").unlink()
    torch.save(torch.nn.Conv2d(1, 2, 3).state_dict(), loans / "model.pt")
    np.savez(loans / "test.npz", images=np.zeros((20, 5, 4)), y=np.arange(20) % 2)
    done = rai_command("init", loans / "model.pt", "--data", loans / "test.npz", "--target", "y")
    assert done.code == 0, done.err
    assert "size = [5, 4]" in (loans / "model.toml").read_text(encoding="utf-8")
    assert "rai audit cannot use this card yet: network.kind" in done.out


def test_init_does_not_write_over_a_card(rai_command, loans: Path) -> None:
    words = ("init", loans / "model.pt", "--data", loans / "test.csv", "--target", "repaid")
    before = (loans / "model.toml").read_bytes()
    done = rai_command(*words)
    assert done.code == 2
    assert "--force" in done.err
    assert (loans / "model.toml").read_bytes() == before


def test_flag_over_environment_over_file_over_default(rai_command, loans: Path, monkeypatch) -> None:
    def seed(*words: object) -> int:
        rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q", "--only", "performance", *words)
        return rai.Report.read(loans / "out" / "report.json").record.identity.seed

    assert seed() == 0
    Path("pyproject.toml").write_text("[tool.rai]\nseed = 1\n", encoding="utf-8")
    assert seed() == 1
    Path("rai.toml").write_text("seed = 2\n", encoding="utf-8")
    assert seed() == 2
    monkeypatch.setenv("RAI_SEED", "3")
    assert seed() == 3
    assert seed("--seed", 4) == 4


def test_the_owners_own_metric_gets_intervals_gaps_and_rules(rai_command, loans: Path) -> None:
    Path("rai.toml").write_text('[metrics]\nf2 = "sklearn.metrics:f1_score"\n', encoding="utf-8")
    rule = PASSING.replace('"accuracy"', '"f2_difference"').replace("at_least = 0.5", "at_most = 0.9")
    (loans / "law.toml").write_text(rule, encoding="utf-8")
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q", "--policy", loans / "law.toml")
    assert done.code == 0, done.err
    found = {each.name: each for each in rai.Report.read(loans / "out" / "report.json").record.measurements}
    assert found["f2"].value == pytest.approx(found["f1"].value, abs=1e-12)
    assert found["f2_difference"].low is not None


def test_help_starts_without_the_heavy_libraries() -> None:
    done = subprocess.run([sys.executable, "-m", "rai", "--help"], capture_output=True, text=True, check=True)
    assert "Exit codes" in done.stdout


def test_an_interrupt_is_one_line_and_no_verdict(rai_command, loans: Path, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rai.run.examine", interrupt)
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q")
    assert done.code == 3
    assert done.err.strip().count("\n") == 0
    assert "goes on where this one stopped" in done.err


def test_a_read_only_folder_is_one_line(rai_command, loans: Path) -> None:
    (loans / "out").write_text("a file, not a folder", encoding="utf-8")
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "-q")
    assert done.code == 2
    assert f"{loans / 'out'}: is a file, not a folder" in done.err
    assert done.err.strip().count("\n") == 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells only")
def test_the_module_runs_as_the_command_does(loans: Path) -> None:
    command = [sys.executable, "-m", "rai", "audit", str(loans / "nothing.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=loans)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "Traceback" not in done.stderr


def test_without_out_the_folder_is_named_after_the_model(rai_command, loans: Path) -> None:
    rai_command("audit", loans / "model.pt", "-q", "--only", "performance")
    assert sorted(path.name for path in Path("reports/loans").iterdir()) == ["report.html", "report.json"]


def test_formats_may_come_from_the_settings_file(rai_command, loans: Path) -> None:
    Path("rai.toml").write_text('format = ["md"]\nout = "here"\nonly = ["performance"]\n', encoding="utf-8")
    done = rai_command("audit", loans / "model.pt", "-q")
    assert done.code == 4, done.err
    assert sorted(path.name for path in Path("here").iterdir()) == ["report.json", "report.md"]
