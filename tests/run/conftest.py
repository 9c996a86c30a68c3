"""A small audit from memory, quick enough to repeat, and plug-in audits to try the loop with."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rai


@dataclass(frozen=True)
class People:
    """Labels, scores and groups of generated people."""

    labels: np.ndarray
    scores: np.ndarray
    groups: pd.DataFrame

    def audit(self, **options: object) -> rai.Report:
        """Audit the scores."""
        return rai.audit_predictions(self.labels, self.scores, sensitive_features=self.groups, **options)


@pytest.fixture(scope="session")
def people() -> People:
    rng = np.random.default_rng(7)
    labels = (rng.random(1200) < 0.4).astype(int)
    sex = rng.choice(["f", "m"], size=1200)
    region = rng.choice(["north", "south", "west"], size=1200, p=[0.5, 0.3, 0.2])
    scores = 1 / (1 + np.exp(-(2.0 * labels - 1.0 + rng.normal(size=1200) + 0.6 * (sex == "m"))))
    return People(labels, scores, pd.DataFrame({"sex": sex, "region": region}))


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Offer an audit under a name, written as the text of a module."""
    points: list[EntryPoint] = []
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("rai.audits.strangers", lambda: tuple(points))

    def offer(name: str, text: str) -> None:
        module = f"plugged_{tmp_path.name}_{name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        points.append(EntryPoint(name, module, "rai.audits"))

    return offer
