"""What a deployment writes down is read again as it was: rounds, sites' own rows, and what sites tell of themselves."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rai.errors import InputError
from rai.ledger import Privacy
from rai.subject import Groups
from rai.train.batches import Rows
from rai.train.federated.book import Sheet
from rai.train.federated.facts import (
    DistantSites,
    Facts,
    distant,
    facts_of,
    from_text,
    known,
    levels_of,
    read_facts,
    to_text,
    write_facts,
)
from rai.train.federated.own_rows import holds_parts, read_parts, save_parts
from rai.train.federated.round_files import Told, read_round, write_round
from rai.train.federated.site import Evaluated
from rai.train.given import Parts

PROMISE = Privacy("record", 1.5, 1e-5, 1.0, 1.0, 0.1, 10, 8.0, "PLD")


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def sheet() -> Sheet:
    return Sheet(
        2,
        {"w": array(1.0)},
        {"w": array(0.1), "a/b": array(1e-30, 3)},
        (0, 1, 2),
        examples={0: 5, 1: 7},
        losses={0: 0.1 + 0.2},
        norms={0: 1e-17, 1: math.inf},
        excluded={2: "it did not reply; »quoted«"},
        updates={0: {"w": array(7), "a/b": array(8, 9)}},
        weights={0: 5.0, 1: 7.0},
        evaluations={1: Evaluated(0.5, None, 3, {"sex": {"F": (1, 0, 0, 2)}}, 3.0, decided=True)},
        bytes_down=10,
        bytes_up=20,
        seconds=1.25,
    )


def test_a_round_is_read_as_it_was_written(tmp_path: Path) -> None:
    wrote = sheet()
    write_round(tmp_path, wrote, updates=True)
    found = read_round(tmp_path, 2, wrote.start)
    assert found is not None
    assert [getattr(found, name) for name in Told.__dataclass_fields__] == [
        getattr(wrote, name) for name in Told.__dataclass_fields__
    ]
    assert {name: each.tobytes() for name, each in found.end.items()} == {
        name: each.tobytes() for name, each in wrote.end.items()
    }
    assert {name: each.tolist() for name, each in found.updates[0].items()} == {"w": [7.0], "a/b": [8.0, 9.0]}
    assert set(found.updates) == {0}


def test_updates_are_written_only_where_they_are_needed(tmp_path: Path) -> None:
    write_round(tmp_path, sheet(), updates=False)
    found = read_round(tmp_path, 2, {})
    assert found is not None
    assert found.updates == {}


def test_a_round_that_is_not_there_yet_is_none_and_a_strange_file_is_named(tmp_path: Path) -> None:
    assert read_round(tmp_path, 1, {}) is None
    (tmp_path / "round-00001.npz").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="is no round"):
        read_round(tmp_path, 1, {})


def rows(count: int) -> Rows:
    groups = {
        "sex": Groups("sex", ("F", "M"), np.arange(count) % 3 - 1),
        "a/b": Groups("a/b", ("»",), np.zeros(count, dtype=np.int64)),
    }
    return Rows(torch.randn(count, 3), torch.arange(count) % 2, "multiclass", groups)


@pytest.mark.parametrize("held", [None, 4])
def test_a_site_reads_its_own_rows_bit_for_bit(tmp_path: Path, held: int | None) -> None:
    parts = Parts(rows(6), None if held is None else rows(held))
    save_parts(tmp_path / "own.npz", parts)
    found = read_parts(tmp_path / "own.npz", "multiclass")
    assert found.train.fingerprint.sha256 == parts.train.fingerprint.sha256
    assert (found.held is None) == (held is None)
    assert found.train.inputs.dtype == torch.float32
    assert [(each.levels, each.codes.tolist()) for each in found.train.groups.values()] == [
        (each.levels, each.codes.tolist()) for each in parts.train.groups.values()
    ]


def test_other_files_hold_no_tensors_of_ours(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 2)))
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    save_parts(tmp_path / "own.npz", Parts(rows(2), None))
    assert [holds_parts(tmp_path / name) for name in ("images.npz", "rows.csv", "none.npz", "own.npz")] == [
        False,
        False,
        False,
        True,
    ]
    with pytest.raises(InputError, match="holds no rows of a site"):
        read_parts(tmp_path / "images.npz", "binary")


def test_facts_are_counts_and_names_alone() -> None:
    found = facts_of(1, "south", Parts(rows(6), rows(3)), PROMISE)
    assert found == Facts(1, "south", 6, 3, {"0": 5, "1": 4}, {"sex": ("F", "M"), "a/b": ("»",)}, PROMISE)
    assert from_text(to_text(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"number": -1, "name": "a", "train": 1, "held": 0}',
        '{"number": 0, "name": "a\\u202e", "train": 1, "held": 0}',
        '{"number": 0, "name": "a", "train": 1, "held": 0, "rows": [1]}',
    ],
)
def test_what_is_no_account_of_a_site_is_not_taken_for_one(text: str) -> None:
    assert from_text(text) is None


def test_distant_sites_are_what_they_tell(tmp_path: Path) -> None:
    told = (Facts(0, "north", 6, 2, {"0": 8}, {"sex": ("M",)}), Facts(1, "south", 3, 0, {}, {"sex": ("F", "M")}))
    write_facts(tmp_path, told)
    assert read_facts(tmp_path) == told
    found = known(distant(("a", "b"), {}, "binary"), told)
    assert isinstance(found, DistantSites)
    assert (found.names, found.task, found.fingerprint.rows) == (("north", "south"), "binary", 11)
    assert [found.rows(0), found.rows(1), found.classes(0)] == [8, 3, {"0": 8}]
    assert levels_of(told) == found.attributes == {"sex": ("M", "F")}
    with pytest.raises(InputError, match="does not say who the sites are"):
        read_facts(tmp_path / "elsewhere")
