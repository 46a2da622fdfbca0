"""Headers of safetensors files: whatever the bytes are, a checked parse or a CheckpointError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.checkpoint.headers import MAX_HEADER_BYTES, ShardHeader, encode_header, read_header
from core.dtypes import DTYPES
from core.errors import CheckpointError

HEADER: dict[str, Any] = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]},
    "none": {"dtype": "I64", "shape": [0, 7], "data_offsets": [26, 26]},
    "c": {"dtype": "U8", "shape": [3], "data_offsets": [26, 29]},
}
DATA = bytes(range(29))


def _file(header: Any, data: bytes = DATA, *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


VALID = _file(HEADER)


def _changed(**values: Any) -> dict[str, Any]:
    """The header with other values in the entry of tensor a."""
    return {**HEADER, "a": {**HEADER["a"], **values}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers") / "model.safetensors"


def _read(place: Path, content: bytes) -> ShardHeader:
    place.write_bytes(content)
    return read_header(place)


def _check_sound(shard: ShardHeader, content: bytes) -> None:
    """Every tensor's bytes lie inside the file, one behind the other, from the header to the end."""
    assert shard.size_bytes == len(content)
    position = 8 + int.from_bytes(content[:8], "little")
    for tensor in shard.tensors:
        assert tensor.offset == position
        assert tensor.size_bytes == int(np.prod(tensor.shape, dtype=object)) * tensor.dtype.itemsize
        position += tensor.size_bytes
    assert position == len(content)


def _check_sound_or_refused(place: Path, content: bytes) -> None:
    refusal = None
    try:
        _check_sound(_read(place, content), content)
    except CheckpointError as error:
        refusal = error
    if refusal is not None:
        assert str(place) in refusal.message
        assert len(refusal.message) < 1000


def test_a_sound_file(place: Path) -> None:
    shard = _read(place, VALID)
    _check_sound(shard, VALID)
    assert [tensor.name for tensor in shard.tensors] == ["a", "b", "none", "c"]
    assert [tensor.shape for tensor in shard.tensors] == [(2, 3), (), (0, 7), (3,)]
    assert [tensor.dtype.name for tensor in shard.tensors] == ["F32", "BF16", "I64", "U8"]


def test_what_is_encoded_can_be_read(place: Path) -> None:
    entries = {"größe\n": (DTYPES["F16"], (2, 2), 0, 8), "x": (DTYPES["BOOL"], (), 8, 9)}
    header = encode_header(entries)
    assert len(header) % 8 == 0
    _check_sound(_read(place, header + bytes(9)), header + bytes(9))


def test_the_digest_is_of_the_header_alone(place: Path) -> None:
    digest = _read(place, VALID).digest
    assert _read(place, VALID[:-1] + b"\xff").digest == digest
    assert _read(place, _file({**HEADER, "__metadata__": {"format": "tf"}})).digest != digest


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "only 0 bytes"),
        (VALID[:7], "only 7 bytes"),
        (VALID[:8], "its header claims"),
        (VALID[:40], "its header claims"),
        (b"\xff" * 8 + VALID[8:], "claims 18,446,744,073,709,551,615 bytes"),
        (_file(b"", length=MAX_HEADER_BYTES + 1), f"claims {MAX_HEADER_BYTES + 1:,} bytes"),
        (_file(b"", length=MAX_HEADER_BYTES), f"claims {MAX_HEADER_BYTES:,} bytes and the file has"),
        (VALID[: -len(DATA)], "truncated: tensor 'a' ends at byte"),
        (VALID[:-1], "truncated: tensor 'c' ends at byte"),
        (VALID + b"x", "1 bytes at its end belong to no tensor"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 3\n", "pointer of Git LFS"),
        (b"version something else entirely", "is a text file and not a safetensors file"),
        (b"<!DOCTYPE html><html></html>", "is an HTML or XML page"),
    ],
)
def test_damaged_files(place: Path, content: bytes, problem: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        _read(place, content)
    assert problem in raised.value.message
    assert str(place) in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"", "not valid JSON"),
        (b"hello", "not valid JSON"),
        (b'{"\xff": 1}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (json.dumps(HEADER)[:-1].encode() + b', "a": 1}', "'a' stands twice"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"null", "not a JSON object"),
        ({**HEADER, "\ud800": HEADER["b"]}, r"the tensor name '\ud800' is not valid text"),
        ({**HEADER, "a": []}, "tensor 'a' is not an object"),
        ({**HEADER, "a": None}, "tensor 'a' is not an object"),
        (_changed(dtype=3), "tensor 'a' has no dtype"),
        (_changed(dtype=None), "tensor 'a' has no dtype"),
        (_changed(dtype="Q4_K"), "is stored as 'Q4_K', which Paramosaic cannot read"),
        *(
            (_changed(shape=shape), "the shape of tensor 'a' is not a list of sizes")
            for shape in (None, "2", 6, [2.0, 3], [True, 6], [-2, -3], [2**63, 1], [[2], 3], {"0": 2})
        ),
        (_changed(shape=[2**62] * 3), "where its shape and dtype need"),
        (_changed(shape=[2**62] * 65), "has 65 dimensions"),
        (_changed(shape=[1] * 100_000), "has 100,000 dimensions"),
        (_changed(shape=[6, 2]), "has 24 bytes where its shape and dtype need 48"),
        (_changed(dtype="F64"), "has 24 bytes where its shape and dtype need 48"),
        *(
            (_changed(data_offsets=offsets), "the data offsets of tensor 'a' are not two numbers")
            for offsets in (None, 0, [], [0], [0, 24, 24], ["0", "24"], [0.0, 24.0], [-1, 23], [0, 2**63])
        ),
        (_changed(data_offsets=[24, 0]), "has -24 bytes"),
        (_changed(data_offsets=[0, 23]), "has 23 bytes"),
        (_changed(data_offsets=[1, 25]), "overlaps another or leaves a gap"),
        (_changed(data_offsets=[2**62, 2**62 + 24]), "overlaps another or leaves a gap"),
        ({**HEADER, "d": HEADER["c"]}, "overlaps another or leaves a gap"),
        ({key: value for key, value in HEADER.items() if key != "b"}, "overlaps another or leaves a gap"),
        ({key: value for key, value in HEADER.items() if key != "c"}, "3 bytes at its end"),
        ({}, "29 bytes at its end"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes | str) else "",
)
def test_damaged_headers(place: Path, header: Any, problem: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        _read(place, _file(header))
    assert problem in raised.value.message
    assert str(place) in raised.value.message
    assert len(raised.value.message) < 1000


def _mutate(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    result = bytearray(content)
    for kind, at, piece in changes:
        at %= len(result) + 1
        if kind == "overwrite":
            result[at : at + len(piece)] = piece
        elif kind == "insert":
            result[at:at] = piece
        else:
            del result[at : at + len(piece)]
    return bytes(result)


_PIECES = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from([b"[", b"{", b'"', b"\\ud800", b"-", b"1e9", b"9" * 30, b"null", b"NaN", b":0,", b"\0"]),
)
_CHANGES = st.lists(
    st.tuples(st.sampled_from(["overwrite", "insert", "delete"]), st.integers(0, 400), _PIECES),
    min_size=1,
    max_size=6,
)


@given(_CHANGES, st.booleans())
@example([("delete", 0, VALID)], False)
def test_changed_bytes(place: Path, changes: list[tuple[str, int, bytes]], fits: bool) -> None:
    content = _mutate(VALID, changes)
    if fits:  # a length that is right lets the changes reach the parser
        text = _mutate(json.dumps(HEADER).encode(), changes)
        content = _file(text)
    _check_sound_or_refused(place, content)


_NUMBERS = st.one_of(
    st.integers(-2, 40), st.sampled_from([2**31, 2**62, 2**63 - 1, 2**63, 2**64, 10**4000]), st.booleans()
)
_JSON = st.recursive(
    st.one_of(st.none(), _NUMBERS, st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
_ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.one_of(st.sampled_from(["F32", "BF16", "U8", "F4"]), _JSON),
        "shape": st.one_of(st.lists(_NUMBERS, max_size=4), _JSON),
        "data_offsets": st.one_of(st.lists(_NUMBERS, max_size=3), _JSON),
    }
)


@given(
    st.dictionaries(st.sampled_from(["a", "b", "__metadata__", "\ud800"]), _ENTRIES | _JSON),
    st.binary(max_size=40),
)
def test_any_header(place: Path, header: dict[str, Any], data: bytes) -> None:
    content = _file(header, data)
    _check_sound_or_refused(place, content)
