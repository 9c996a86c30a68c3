"""The house holds: imports go strictly down, vendors stay behind their doors, files and functions stay small."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "rai"
FLOORS = {
    "__init__": 9,
    "__main__": 9,
    "cli": 8,
    "progress": 7,
    "training": 7,
    "run": 6,
    "explaining": 6,
    "draft": 6,
    "rehearsal": 6,
    "audits": 5,
    "report": 5,
    "intake": 5,
    "render": 4,
    "explainers": 4,
    "train": 4,
    "journal": 4,
    "models": 3,
    "data": 3,
    "record": 3,
    "explanation": 3,
    "subject": 2,
    "networks": 2,
    "policy": 2,
    "card": 1,
    "evidence": 1,
    "stats": 1,
    "config": 1,
    "methods": 1,
    "ledger": 1,
    "energy": 1,
    "errors": 0,
    "files": 0,
    "sealed": 0,
}
SAME_FLOOR = {("files", "errors"), ("sealed", "errors"), ("ledger", "card"), ("energy", "ledger")}
DOORS = {
    "torch": {"networks", "models", "data", "explainers", "train"},
    "torch.utils.tensorboard": {"train/monitor"},
    "tensorboard": {"train/monitor"},
    "wandb": {"train/monitor"},
    "opacus": {"train/private"},
    "dp_accounting": {"train/private"},
    "flwr": {"train/federated"},
    "optuna": {"train/search"},
    "codecarbon": {"energy"},
    "pynvml": {"energy"},
    "captum": {"explainers/gradients"},
    "shap": {"explainers/shap_methods", "explainers/attribution"},
    "lime": {"explainers/lime_original"},
    "PIL": {"data"},
    "tokenizers": {"data"},
    "transformers": {"models"},
    "matplotlib": {"explainers/attribution", "train/fair/frontier"},
    "onnxruntime": {"models"},
    "safetensors": {"models"},
    "fairlearn": {"audits/custom", "train/fair/reductions"},
    "sklearn": {"audits"},
    "pandas": {"data", "draft", "report", "train/fair/frontier"},
    "pyarrow": {"data"},
    "narwhals": {"data"},
    "jinja2": {"render"},
    "rich": {"render", "progress", "cli"},
    "click": {"cli"},
}


def files() -> list[Path]:
    return sorted(HOUSE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from {_origin(str(node.module), each.name) for each in node.names}


def _origin(package: str, name: str) -> str:
    """The module that `from package import name` reads: a module of that name, or the package itself."""
    place = HOUSE.parent.joinpath(*package.split("."), name)
    return f"{package}.{name}" if place.with_suffix(".py").exists() or place.is_dir() else package


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in files()} == set(FLOORS)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_go_strictly_down(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "rai" or len(parts) < 2 or parts[1] == here:
            continue
        down = FLOORS[parts[1]] < FLOORS[here]
        assert down or (here, parts[1]) in SAME_FLOOR, f"{here} (floor {FLOORS[here]}) imports {name}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_vendors_stay_behind_their_doors(path: Path) -> None:
    place = str(path.relative_to(HOUSE)).removesuffix(".py")
    for name in imports(path):
        vendor = max((each for each in DOORS if f"{name}.".startswith(f"{each}.")), key=len, default="")
        doors = DOORS.get(vendor)
        open_here = doors is None or any(place == door or place.startswith(f"{door}/") for door in doors)
        assert open_here, f"{place} imports {name}"


def test_no_circles_between_files_of_a_room() -> None:
    graph = {module(path): {name for name in imports(path) if name.startswith("rai.")} for path in files()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for target in graph.get(name, set()) - {name}:
            visit(target, (*trail, name))
        done.add(name)

    for name in graph:
        if name != "rai":
            visit(name, ())


def module(path: Path) -> str:
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def sizes() -> dict[str, int]:
    found = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = [each for each in node.body if not _docstring(each)]
                last = node.end_lineno or node.lineno
                found[f"{path.relative_to(HOUSE)}:{node.name}"] = last - body[0].lineno + 1 if body else 0
    return found


def _docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_functions_are_short() -> None:
    found = sizes()
    ranked = sorted(found.values())
    longest = max(found, key=lambda name: found[name])
    assert statistics.median(ranked) <= 6
    assert ranked[int(0.95 * len(ranked))] <= 25
    assert found[longest] <= 40, longest


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_only_unsafe_load_is_behind_the_flag() -> None:
    unsafe = [path.name for path in files() if "weights_only=False" in path.read_text(encoding="utf-8")]
    assert unsafe in ([], ["scripted.py"])


def test_reports_never_use_words_that_promise() -> None:
    banned = {"unbiased", "debiased", "compliant"}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _is_doc(node.value):
                words = {word.strip(".,:;()'\"").lower() for word in node.value.split()}
                assert not words & banned, f"{path}: {node.value!r}"


def _is_doc(text: str) -> bool:
    return "\n" in text
