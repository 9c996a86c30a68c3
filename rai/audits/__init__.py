"""The audits: one question a file or folder, found by its name; others' by the entry point group `rai.audits`."""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from rai.errors import InputError, plain

if TYPE_CHECKING:  # listing the audits must import no numpy
    from rai.evidence import Evidence
    from rai.subject import Subject

GROUP = "rai.audits"
NEEDS = MappingProxyType(
    {
        "labels": "true labels (name the target column)",
        "groups": "groups of people (name the sensitive columns)",
        "reference": "reference rows, usually the training data (name the file)",
        "probabilities": "class probabilities; this is a regression model",
        "values": "a regression model",
        "features": "the features; only predictions were given",
        "metrics": "a metric of your own (name one under [metrics] in rai.toml)",
        "ledger": "the ledger of its training (train with rai train, place ledger.json beside the model, or in Python "
        "pass ledger=)",
        "mitigation": "a model before mitigation to compare with (name it as baseline in the card), or a ledger that "
        "holds a trade-off curve (rai mitigate writes both)",
        "federation": "the ledger of a training by several sites (train with a [federated] table in the recipe, or "
        "with rai.train.fit_federated, and keep ledger.json beside the model or pass ledger=)",
    }
)
"""What an audit may need of a subject, and how a person is asked for it."""


@dataclass(frozen=True)
class Audit:
    """One question put to a subject, what it needs, and the names of the measurements it makes."""

    name: str
    question: str
    needs: tuple[str, ...]
    measures: tuple[str, ...]
    measure: Callable[[Subject], Evidence]


@dataclass(frozen=True)
class Listing:
    """An audit as read from its source text, nothing imported."""

    name: str
    question: str
    needs: tuple[str, ...]
    measures: tuple[str, ...]


def listings() -> tuple[Listing, ...]:
    """Name, question, needs and measurements of rai's own audits, read without importing them."""
    return tuple(_listing(name, path) for name, path in _places().items())


def strangers() -> tuple[EntryPoint, ...]:
    """Audits that other installed packages offer."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda each: each.name))


def find(only: Iterable[str] = ()) -> tuple[Audit, ...]:
    """Load every audit, or those named in `only`.

    Two audits of one name, or one that cannot be loaded, raise `InputError`: nobody may shadow or drop an audit.
    """
    names = [*_places()] + [each.name for each in strangers()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"two audits are named {twice[0]!r}", do="uninstall the package that shadows it")
    wanted = list(only)
    for name in wanted:
        if name not in names:
            raise InputError(f"no audit is named {name!r}", expected=f"one of {', '.join(sorted(names))}")
    loaded = [_ours(name) for name in _places()] + [_theirs(each) for each in strangers()]
    return tuple(each for each in loaded if not wanted or each.name in wanted)


def unmet(needs: Iterable[str], subject: Subject) -> str:
    """What the subject lacks first of all that is needed, in words that ask for it; "" when nothing is lacking."""
    return next((NEEDS[need] for need in needs if not _has(subject, need)), "")


def _has(subject: Subject, need: str) -> bool:
    regression = subject.card.task == "regression"
    return {
        "labels": subject.data.labels is not None,
        "groups": bool(subject.data.groups),
        "reference": subject.reference is not None,
        "probabilities": not regression,
        "values": regression,
        "features": bool(subject.data.features.shape[1]),
        "metrics": bool(subject.metrics),
        "ledger": subject.ledger is not None,
        "mitigation": _mitigated(subject),
        "federation": subject.ledger is not None and subject.ledger.federation is not None,
    }[need]


def _mitigated(subject: Subject) -> bool:
    told = None if subject.ledger is None else subject.ledger.mitigation
    return subject.baseline is not None or (told is not None and bool(told.trials))


def _places() -> dict[str, Path]:
    """The source text of each audit by its name: a file, or a folder's `__init__.py`."""
    here = Path(__file__).parent
    found = {path.stem: path for path in here.glob("*.py")} | {
        path.parent.name: path for path in here.glob("*/__init__.py")
    }
    return {name: found[name] for name in sorted(found) if not name.startswith("_")}


def _listing(name: str, path: Path) -> Listing:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    values = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in {"NEEDS", "MEASURES"}
    }
    return Listing(name, _first_line(ast.get_docstring(tree)), values["NEEDS"], values["MEASURES"])


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _ours(name: str) -> Audit:
    return _audit(name, importlib.import_module(f"{__name__}.{name}"))


def _theirs(point: EntryPoint) -> Audit:
    try:
        return _audit(point.name, point.load())
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
        raise InputError(
            f"cannot be loaded ({type(error).__name__}: {plain(error)})",
            where=f"audit {point.name} from {point.value}",
            do="mend or uninstall that package; an audit is never dropped silently",
        ) from None


def _audit(name: str, module: ModuleType | Any) -> Audit:
    needs, measures = tuple(module.NEEDS), tuple(module.MEASURES)
    for need in needs:
        if need not in NEEDS:
            raise ValueError(f"needs {need!r}, which is none of {', '.join(NEEDS)}")
    return Audit(name, _first_line(module.__doc__), needs, measures, module.measure)
