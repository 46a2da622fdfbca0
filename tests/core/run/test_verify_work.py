"""What a check and a resume cost: work in proportion to the tensors and parts, counted and not timed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
import xxhash

from core.checkpoint.headers import encode_header, read_header_again
from core.digest import TensorDigest, piece_digests
from core.dtypes import DTYPES
from core.errors import VerificationError
from core.run.passes import Done
from core.run.record import FileRecord, InputRecord, RunRecord, TensorRecord
from core.run.resuming import restore
from core.run.verify import verify_output
from core.run.work import Chunk

T = TypeVar("T")


def calls_of(action: Callable[..., T], *arguments: Any) -> tuple[int, T]:
    """How many calls of Python code an action takes, in all threads and with the steps of generators, and
    what it returns.
    """
    count = 0

    def on_event(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    threading.setprofile(on_event)
    sys.setprofile(on_event)
    try:
        result = action(*arguments)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return count, result


def write_output(folder: Path, tensors: int, files: int = 1) -> Path:
    """An output of so many tensors of one number each, with its record."""
    folder.mkdir()
    recorded, listed = [], []
    for at in range(files):
        header, data = {}, b""
        for number in range(at, tensors, files):
            name, content = f"layers.{number}.weight", number.to_bytes(4, "little")
            header[name] = DTYPES["F32"], (1,), len(data), len(data) + 4
            data += content
            digest = TensorDigest(4)
            digest.add(piece_digests(memoryview(content)), 0)
            whole = digest.hexdigest()
            recorded.append(
                TensorRecord(name, (1,), "F32", "merged", 1, None, None, None, None, (0, None), whole)
            )
        path, content = folder / f"model-{at}.safetensors", encode_header(header) + data
        path.write_bytes(content)
        whole = xxhash.xxh3_128(content).hexdigest()
        listed.append(FileRecord(path.name, len(content), whole, read_header_again(path).digest))
    record = RunRecord(
        recipe={"merge_method": "linear", "models": [{"model": "a"}]},
        inputs=(InputRecord("a", "sub-model", ()),),
        software={},
        device="cpu",
        seconds=1.0,
        bytes_read=0,
        bytes_written=4 * tensors,
        tensors=tuple(recorded),
        run_id="run",
        files=tuple(listed),
    )
    (folder / "paramosaic.json").write_bytes(record.to_json())
    return folder


@pytest.mark.parametrize("files_of", [lambda tensors: 1, lambda tensors: tensors // 50], ids=["one", "many"])
def test_a_check_takes_as_much_as_there_are_tensors(tmp_path: Path, files_of: Callable[[int], int]) -> None:
    counts = []
    for tensors in (300, 3000):
        folder = write_output(tmp_path / str(tensors), tensors, files_of(tensors))
        count, report = calls_of(partial(verify_output, progress=lambda _: None), folder)
        assert (report.tensors, report.weights) == (tensors, ())
        counts.append(count)
    assert counts[0] > 300
    assert counts[1] < 13 * counts[0]


def test_a_check_that_finds_much_takes_as_much_as_it_finds(tmp_path: Path) -> None:
    counts = []
    for tensors in (300, 3000):
        folder = write_output(tmp_path / str(tensors), tensors)
        path = folder / "model-0.safetensors"
        content = bytearray(path.read_bytes())
        content[-4 * tensors :] = b"\xff" * (4 * tensors)
        path.write_bytes(content)
        count, found = calls_of(findings_of, folder)
        assert found == tensors
        counts.append(count)
    assert counts[1] < 13 * counts[0]


def findings_of(folder: Path) -> int:
    with pytest.raises(VerificationError) as raised:
        verify_output(folder)
    return len(raised.value.report.weights)


def test_a_resume_takes_as_much_as_there_are_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "core.run.resuming.done_of", lambda entry, _: Done(Chunk(0, entry["part"], entry["elements"]), 0)
    )
    plan: Any = SimpleNamespace(tensors=[SimpleNamespace(folds=0)])
    counts = []
    for parts in (300, 3000):
        entries = [{}, *({"part": 10 * (at * 7 % parts), "elements": 10} for at in range(parts))]
        count, restored = calls_of(restore, plan, entries)
        assert [part.chunk.first for part in restored.parts] == [10 * at for at in range(parts)]
        counts.append(count)
    assert counts[1] < 13 * counts[0]


def test_parts_that_overlap_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "core.run.resuming.done_of", lambda entry, _: Done(Chunk(0, entry["part"], entry["elements"]), 0)
    )
    plan: Any = SimpleNamespace(tensors=[SimpleNamespace(folds=0)])
    spans = [(10, 10), (30, 10), (15, 10), (25, 10), (5, 6), (0, 50), (12, 2), (20, 10), (0, 10), (10, 10)]
    restored = restore(plan, [{}, *({"part": first, "elements": many} for first, many in spans)])
    kept = [(part.chunk.first, part.chunk.elements) for part in restored.parts]
    assert kept == [(0, 10), (10, 10), (20, 10), (30, 10)]
