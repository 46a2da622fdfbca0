"""The run record as a file: what it says of itself, and that nothing in it is more than a refusal."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_records import change_record, record_digest

from core import RunRecord, TensorRecord, VerificationError, read_record
from core.checkpoint.contents import read_listing
from core.deltas.findings import findings_of_record
from core.errors import OutputError
from core.kernels.interface import Values
from core.run.record import FileRecord, InputRecord

DATA = Path(__file__).parents[2] / "data" / "version-0.1"

MERGED = TensorRecord(
    name="model.layers.0.größe 😀 \x1b.weight",
    shape=(2, 3),
    dtype="BF16",
    action="merged",
    elements=6,
    zero_delta=(4, 5),
    changed_by=(3, 3, 0),
    zero_after_draw=(5, 4),
    selected=(3, 3),
    nonfinite=(0, 1, None),
    digest="0123456789abcdef" * 2,
    weights=(0.1 + 0.2, 1e-07),
    parameters=Values.of(resamples=1, t=(0.5, 1e22)),
)
COPIED = TensorRecord(
    "table", (), "I64", "copied", 1, None, None, None, None, (0, 0, None), "f" * 32, differs_in=("b",)
)
RECORD = RunRecord(
    recipe={"merge_method": "parameter_selection", "models": [{"model": "a"}, {"model": "b"}], "seed": 7},
    inputs=tuple(
        InputRecord(name, "sub-model", ({"name": "model.safetensors", "size": 3, "header_digest": "0" * 32},))
        for name in ("a", "b")
    ),
    software={"python": "3.11"},
    device="cpu",
    seconds=1.5,
    bytes_read=24,
    bytes_written=20,
    tensors=(MERGED, COPIED),
    run_id="20261127T010203-4f",
    started="2026-11-27T01:02:03.456+00:00",
    files=(
        FileRecord("README.md", 5, "1" * 32),
        FileRecord("additional_chat_templates/tool use.jinja", 0, "2" * 32),
        FileRecord("model.safetensors", 2**40, None, "3" * 32),
    ),
)


def written(folder: Path, record: RunRecord = RECORD) -> Path:
    (folder / "paramosaic.json").write_bytes(record.to_json())
    return folder


def test_it_reads_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(written(tmp_path)) == RECORD
    none = replace(RECORD, tensors=(), files=(), run_id=None, started=None)
    assert read_record(written(tmp_path, none)) == none


def test_its_layout(tmp_path: Path) -> None:
    text = RECORD.to_json().decode()
    data = json.loads(text)
    assert list(data)[:5] == ["schema_version", "run_id", "started", "record_digest", "files"]
    assert list(data)[-1] == "tensors"
    assert data["schema_version"] == 2
    assert data["files"][0] == {"name": "README.md", "size": 5, "digest": "1" * 32}
    assert data["files"][2]["header_digest"] == "3" * 32
    lines = text.split('  "tensors": [\n')[1].splitlines()
    assert [json.loads(line.rstrip(",")) for line in lines[:2]] == data["tensors"]
    assert lines[2:] == ["  ]", "}"]


def test_its_digest_is_what_the_contract_says() -> None:
    data = json.loads(RECORD.to_json())
    assert data["record_digest"] == record_digest(data)
    later = RECORD.recipe | {"zzz": 1}  # a name behind "tensors" in the alphabet
    data = json.loads(replace(RECORD, recipe=later, software={"zzz": "1"}).to_json())
    assert data["record_digest"] == record_digest(data)


def test_keys_of_a_later_version_are_passed_over_and_belong_to_the_digest(tmp_path: Path) -> None:
    change_record(written(tmp_path), lambda data: data.update(zzz=[1], aaa={"b": 1}))
    assert read_record(tmp_path) == RECORD
    path = tmp_path / "paramosaic.json"
    path.write_text(path.read_text().replace('"zzz": [1]', '"zzz": [2]'))
    with pytest.raises(VerificationError, match="was changed or damaged"):
        read_record(tmp_path)


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_another_layout_is_the_same_record(tmp_path: Path, indent: int | None) -> None:
    path = written(tmp_path) / "paramosaic.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=indent, sort_keys=indent == 4))
    assert read_record(tmp_path) == RECORD
    assert read_listing(tmp_path).files == {"paramosaic.json", *(file.name for file in RECORD.files)}


@pytest.mark.parametrize("every", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found(tmp_path: Path, every: int) -> None:
    path = written(tmp_path) / "paramosaic.json"
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), every):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(VerificationError) as caught:
            read_record(tmp_path)
        assert str(path) in caught.value.message


def test_an_edit_is_found(tmp_path: Path) -> None:
    path = written(tmp_path) / "paramosaic.json"
    for before, after in [
        ('"seed": 7', '"seed": 8'),
        ('"size": 5,', '"size": 6,'),
        ('"zero_delta": [4, 5]', '"zero_delta": [4, 4]'),
        ('"record_digest"', '"record_digesT"'),
    ]:
        path.write_text(RECORD.to_json().decode().replace(before, after))
        assert path.read_bytes() != RECORD.to_json()
        with pytest.raises(VerificationError, match="was changed or damaged"):
            read_record(tmp_path)


@pytest.mark.parametrize("name", ["selection", "rules", "average"])
def test_schema_1_lists_no_files_and_has_no_digest(name: str) -> None:
    record = read_record(DATA / "records" / name)
    assert (record.schema_version, record.run_id, record.started, record.files) == (1, None, None, ())


def test_a_later_schema(tmp_path: Path) -> None:
    change_record(written(tmp_path), lambda data: data.update(schema_version=3))
    with pytest.raises(VerificationError, match="of schema version 3, not 2") as caught:
        read_record(tmp_path)
    assert caught.value.hint == "update Paramosaic"


# -- nonsense ------------------------------------------------------------------------------------------------

NAMES = [
    "", ".", "..", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\\b", "C:x", "c:/x", "a\0b",
    "\ud800", "paramosaic.json", ".git/config", ".paramosaic/journal", "x" * 5000, 5, None, ["a"], {},
]  # fmt: skip


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", "x" * 65, "é", 5, ["a"]])
def test_a_run_id_that_is_no_part_of_a_file_name(tmp_path: Path, run_id: Any) -> None:
    change_record(written(tmp_path), lambda data: data.update(run_id=run_id))
    with pytest.raises(VerificationError, match="run_id is"):
        read_record(tmp_path)
    with pytest.raises(OutputError, match="run_id is"):
        read_listing(tmp_path)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_names_that_lead_elsewhere(tmp_path: Path, name: Any) -> None:
    path = written(tmp_path) / "paramosaic.json"
    data = json.loads(path.read_bytes())
    data["files"][0]["name"] = name
    if name != "\ud800":
        data["record_digest"] = record_digest(data)
    path.write_text(json.dumps(data))
    with pytest.raises(VerificationError, match="is not a run record"):
        read_record(tmp_path)
    with pytest.raises(OutputError, match="is not a run record"):
        read_listing(tmp_path)


VALUES = [
    None, True, False, 0, -1, 2**63, 10**400, 1.5, "", "x", "\u2028", [], {}, [[]], [{}], [None], {"a": {}},
    {"": 1}, [1, 2], ["a"], [1.5, True], [10**30],
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def used(record: RunRecord) -> None:
    """What the program does with a record that it has read."""
    _ = record.draws_equally
    findings_of_record(record)
    json.loads(record.to_json())


def at_place(data: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        data = data[key]
    data[place[-1]] = value


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_any_value_in_any_place(tmp_path: Path, every: int) -> None:
    path = written(tmp_path) / "paramosaic.json"
    whole = path.read_bytes()
    refused = longest = 0
    tried = list(itertools.product(places(json.loads(whole)), VALUES))[::every]
    for place, value in tried:
        data = json.loads(whole)
        if place:
            at_place(data, place, value)
        else:
            data = value
        if isinstance(data, dict):
            data["record_digest"] = record_digest(data)
        path.write_text(json.dumps(data))
        try:
            used(read_record(tmp_path))
        except VerificationError as error:
            refused += 1
            longest = max(longest, len(error.message) - len(str(path)))
    assert len(tried) / 2 < refused < len(tried)
    assert longest < 1000


@pytest.mark.parametrize("place", [("seconds",), ("tensors", 0, "weights", 0), ("recipe", "seed")])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1e5", "9" * 5000])
def test_numbers_that_are_none(tmp_path: Path, place: tuple[Any, ...], value: str) -> None:
    path = written(tmp_path) / "paramosaic.json"
    data = json.loads(path.read_bytes())
    at_place(data, place, "HERE")
    path.write_text(json.dumps(data).replace('"HERE"', value))
    with pytest.raises(VerificationError):
        read_record(tmp_path)


@settings(max_examples=150)
@given(st.data())
def test_torn_and_stitched_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "torn"
    folder.mkdir(exist_ok=True)
    whole = RECORD.to_json()
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(begin, min(len(whole), begin + 60)))
        other = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"\n", b'"tensors": [\n', b"}", b"1e5", b"\\u"])
        )
        whole = whole[:begin] + other + whole[end:]
    (folder / "paramosaic.json").write_bytes(whole)
    for read in (read_record, read_listing):
        try:
            read(folder)
        except (VerificationError, OutputError):
            continue


HEAD = RECORD.to_json().partition(b'  "tensors": [\n')[0] + b'  "tensors": [\n'
HOSTILE: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: bytes(100_000_000),
    "line ends": lambda: b"\n" * 100_000_000,
    "objects": lambda: b"[" + b"{}," * 30_000_000 + b"{}]",
    "lists": lambda: b'{"a": [' + b"[]," * 20_000_000 + b"[]]}",
    "nesting": lambda: b"[" * 20_000_000,
    "digits": lambda: b"1" * 20_000_000,
    "objects as tensors": lambda: HEAD + b"    {},\n" * 5_000_000,
    "lists in a tensor": lambda: HEAD + b"    [" + b"[]," * 20_000_000 + b"[]]\n  ]\n}\n",
    "a line without end": lambda: HEAD + b"    {" + b"x" * 100_000_000,
    "blank tensors": lambda: HEAD + b"\n" * 10_000_000,
    "a head without end": lambda: b'{\n  "a": "' + b"x" * 100_000_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_large_nonsense_is_refused_at_little_cost(tmp_path: Path, kind: str) -> None:
    content = HOSTILE[kind]()
    sound_head = content.startswith(HEAD)
    (tmp_path / "paramosaic.json").write_bytes(content)
    del content
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(VerificationError):
            read_record(tmp_path)
        if not sound_head:
            with pytest.raises(OutputError):
                read_listing(tmp_path)
        spent, peak = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < 4  # under tracemalloc
    assert peak < 250_000_000


def test_a_sparse_file_of_any_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "paramosaic.json").touch()
    os.truncate(tmp_path / "paramosaic.json", 2**40)
    with pytest.raises(VerificationError, match=re.escape("more than 1,000,000,000 bytes")):
        read_record(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="named pipes are POSIX's")
def test_a_pipe_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "paramosaic.json"
    os.mkfifo(path)
    with pytest.raises(VerificationError, match="is not a file but a named pipe"):
        read_record(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(VerificationError, match="is not a file but a folder"):
        read_record(tmp_path)
    with pytest.raises(OutputError, match="is not a file but a folder"):
        read_listing(tmp_path)


def test_the_head_of_a_large_record_is_read_without_its_tensors(tmp_path: Path) -> None:
    numbers = random.Random(1)
    many = [replace(MERGED, name=f"t{at}", digest=f"{numbers.getrandbits(128):032x}") for at in range(5000)]
    path = written(tmp_path, replace(RECORD, tensors=tuple(many))) / "paramosaic.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) // 2))
    assert read_listing(tmp_path).files == {"paramosaic.json", *(file.name for file in RECORD.files)}
    with pytest.raises(VerificationError):
        read_record(tmp_path)
