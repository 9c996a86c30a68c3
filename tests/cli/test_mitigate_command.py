"""rai mitigate, typed by a person: the files, the report with before and after, the exit codes, and what is refused."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rai

QUICK = ("--criterion", "demographic_parity", "--strengths", "1.0", "--seeds", 1)
HEAVY = "import sys; import rai.cli; print([each for each in ('torch', 'numpy', 'scipy') if each in sys.modules])"


@pytest.fixture
def unequal(loans: Path) -> Path:
    """The loans' model, for people of whom one sex has more income."""
    for name in ("train", "test"):
        file = loans / f"{name}.csv"
        frame = pd.read_csv(file)
        chance = 1 / (1 + np.exp(-(frame["income"] - 50) / 4))
        frame["sex"] = np.where(np.random.default_rng(5).random(len(frame)) < chance, "m", "f")
        frame.to_csv(file, index=False)
    return loans / "model.pt"


@pytest.fixture
def card_with(unequal: Path) -> Callable[[str, str], Path]:
    """Change the model's card."""

    def write(old: str, new: str) -> Path:
        file = unequal.with_suffix(".toml")
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        return unequal

    return write


def values(report: rai.Report) -> dict[str, float | None]:
    """The measurements of the mitigation section, the last one of each name."""
    section = next(each for each in report.sections if each.name == "mitigation")
    return {each.name: each.value for each in section.evidence.measurements}


def test_a_model_its_baseline_and_a_report_with_before_and_after(rai_command, unequal: Path, tmp_path: Path) -> None:
    done = rai_command("mitigate", unequal, *QUICK, "--at-most", 0.9, "--out", tmp_path / "made")
    assert done.code == 0, done.err
    assert "chosen: threshold 1, demographic parity difference" in done.out
    assert (tmp_path / "made" / "baseline.pt").read_bytes() == unequal.read_bytes()
    report = rai.Report.read(tmp_path / "here" / "reports" / "loans-mitigated" / "report.json")
    assert report.record.identity.name == "loans-mitigated"
    assert not any(section.crashed for section in report.sections)
    found = values(report)
    before, after = (found[f"demographic_parity_{when}"] for when in ("before", "after"))
    assert before is not None
    assert after is not None
    assert before > 0.35
    assert after < before / 2
    again = rai_command("audit", tmp_path / "made" / "model.pt", "--only", "mitigation", "--out", tmp_path / "again")
    assert again.code in (0, 1, 4), again.err
    assert values(rai.Report.read(tmp_path / "again" / "report.json")) == found


def test_exit_code_1_where_no_gap_is_small_enough(rai_command, unequal: Path, tmp_path: Path) -> None:
    done = rai_command("mitigate", unequal, "--strengths", "0.0", "--seeds", 1, "--at-most", 0, "--report", tmp_path)
    assert done.code == 1, done.err
    assert "no strength has a gap of at most 0 in the mean; the one with the smallest gap was taken" in done.out
    assert (unequal.parent / "mitigated" / "model.pt").exists()
    assert (tmp_path / "report.html").exists()


def test_ctrl_c_leaves_nothing(rai_command, unequal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rai.train.fair.afterwards.adjustable", stopped)
    done = rai_command("mitigate", unequal)
    assert (done.code, done.err) == (3, "rai: interrupted; the same command begins anew\n")
    assert not (unequal.parent / "mitigated").exists()


BAD_WORDS = {
    "unknown criterion": (("--criterion", "parity"), "Invalid value for '--criterion'"),
    "strengths that are no numbers": (("--strengths", "weak"), "--strengths: is 'weak'; expected numbers"),
    "a strength that is no share": (("--strengths", "2"), "fair.strength: is 2.0 for 'threshold'"),
    "unknown column": (("--sensitive", "age"), "there is no group 'age'; expected among sex"),
    "no such gap": (("--at-most", "nan"), "at_most: is nan; expected a gap from 0 to 1"),
    "no such policy": (("--policy", "nowhere.toml"), "nowhere.toml"),
    "no seeds": (("--seeds", "0"), "Invalid value for '--seeds'"),
}
BAD_CARDS = {
    "no network": ("[network]", "[data.bands]\n[other]", "key other is not a key rai knows"),
    "no reference": ('reference = "train.csv"\n', "", "names no reference rows with labels"),
    "no groups": ('sensitive = ["sex"]\n', "", "names no sensitive columns"),
}


@pytest.mark.parametrize("name", BAD_WORDS)
def test_a_wrong_word_is_one_line_and_code_2(rai_command, unequal: Path, name: str) -> None:
    words, said = BAD_WORDS[name]
    refused(rai_command("mitigate", unequal, *words), said)
    assert not (unequal.parent / "mitigated").exists()


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_card_that_says_too_little_is_one_line_and_code_2(rai_command, card_with, name: str) -> None:
    old, new, said = BAD_CARDS[name]
    refused(rai_command("mitigate", card_with(old, new)), said)


def test_a_card_without_a_network_is_one_line_and_code_2(rai_command, card_with) -> None:
    network = '[network]\nkind = "mlp"\narguments = { inputs = 4, outputs = 1, hidden = [8] }\n'
    refused(rai_command("mitigate", card_with(network, "")), "key network is missing; name the network in [network]")


def test_a_folder_of_somebody_else_is_one_line_and_code_2(rai_command, unequal: Path, tmp_path: Path) -> None:
    refused(rai_command("mitigate", unequal, "--out", unequal.parent), "is the model's own folder")
    (tmp_path / "other").mkdir()
    shutil.copy(unequal, tmp_path / "other" / "model.pt")
    refused(rai_command("mitigate", unequal, "--out", tmp_path / "other"), "holds a model.pt that rai mitigate did not")
    refused(rai_command("mitigate", tmp_path / "none.pt"), "no such file")
    refused(rai_command("mitigate"), "Missing argument 'MODEL'")


def refused(done: object, said: str) -> None:
    assert (done.code, done.out) == (2, "")  # type: ignore[attr-defined]
    assert said in done.err  # type: ignore[attr-defined]
    assert done.err.startswith("rai: ")  # type: ignore[attr-defined]
    assert done.err.count("\n") == 1  # type: ignore[attr-defined]


def test_help_needs_no_heavy_package() -> None:
    loaded = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
