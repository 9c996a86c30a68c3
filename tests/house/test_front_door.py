"""The public face: what `import rai` offers, and what it costs."""

import subprocess
import sys

import pytest

import rai

HEAVY = ("numpy", "torch", "pandas", "sklearn", "pydantic", "rich", "fairlearn")


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


def test_every_public_name_can_be_had() -> None:
    assert sorted(rai.HOMES) == sorted(rai.__all__) == dir(rai)
    for name in rai.__all__:
        assert getattr(rai, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        rai.nothing  # noqa: B018 - the access is the test


def test_import_rai_is_light() -> None:
    assert loaded_after("import rai") == set()


def test_help_and_list_load_nothing_heavy() -> None:
    for words in (["--help"], ["audit", "--help"], ["list"]):
        code = (
            f"from rai.cli import main\ntry:\n    main({words!r}, standalone_mode=False)\nexcept SystemExit:\n    pass"
        )
        assert loaded_after(code) == set(), words
