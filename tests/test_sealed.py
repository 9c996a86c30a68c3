"""Sealed files: their bytes stay what they were, and no byte of them can change unseen."""

import hashlib

import pytest

from rai.errors import InputError
from rai.sealed import digest_of, read_sealed, sealed, unsealed

CONTENT = {"b": [1, 0.5], "a": "é"}
CANONICAL = b'{"a":"\\u00e9","b":[1,0.5]}'
WRITTEN = b'{\n "b": [\n  1,\n  0.5\n ],\n "a": "\\u00e9",\n "seal": "%s"\n}\n'


def test_a_file_is_what_earlier_versions_wrote():
    assert sealed(CONTENT).encode() == WRITTEN % hashlib.sha256(CANONICAL).hexdigest().encode()


def test_a_seal_of_another_name_holds_what_the_file_does_not_repeat():
    assert sealed({"b": 1}, seal="sha256", a=2) == f'{{\n "b": 1,\n "sha256": "{digest_of({"a": 2, "b": 1})}"\n}}\n'
    written = sealed({"b": 1}, seal="sha256", a=2).encode()
    assert unsealed(written, seal="sha256", a=2) == {"b": 1}
    assert unsealed(written, seal="sha256", a=3) is None


def test_what_was_written_is_read_and_any_other_byte_is_not():
    written = sealed(CONTENT).encode()
    assert unsealed(written) == CONTENT
    for place in range(len(written)):
        assert unsealed(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]) is None, place
        assert unsealed(written[:place]) is None, place


@pytest.mark.parametrize("other", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"a": 1}\n'])
def test_what_is_no_sealed_file_says_nothing(other):
    assert unsealed(other) is None


def test_a_changed_file_and_one_that_cannot_be_read_are_named_with_what_to_do(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(sealed(CONTENT).encode() + b" ")
    with pytest.raises(InputError, match=r"a\.json.*seal does not match.*look again"):
        read_sealed(path, do="look again")
    with pytest.raises(InputError, match=r"cannot be read.*look again"):
        read_sealed(tmp_path, do="look again")
