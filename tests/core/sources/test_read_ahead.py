"""What is read next is told to the system once, however many workers read, and read whole by any of them."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from core.checkpoint.files import ReadFile
from core.checkpoint.headers import read_header
from core.helpers import Helpers
from core.sources import rows
from core.sources.ahead import WINDOW_BYTES, ColdPages, ReadAhead
from core.sources.files import OpenInputs
from core.sources.source import FileRange

ELEMENTS = 8 * 1024**2
MIB = 1024**2


@pytest.fixture
def stored(tmp_path: Path):
    from safetensors.numpy import save_file

    words = np.random.default_rng(1).integers(0, 2**16, ELEMENTS, dtype=np.uint16)
    save_file({"w": words.view(np.float16)}, tmp_path / "model.safetensors")
    header = read_header(tmp_path / "model.safetensors")
    return header, FileRange(header.tensors[0]), words


def test_workers_side_by_side_tell_of_each_byte_once(stored, monkeypatch: pytest.MonkeyPatch) -> None:
    header, source, words = stored
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(ReadFile, "will_need", lambda self, offset, size: told.append((offset, size)))
    ahead = ReadAhead()
    workers = [OpenInputs({header.path: header}, ahead=ahead) for _ in range(16)]
    buffers = [[memoryview(bytearray(MIB // 2))] for _ in workers]
    step = MIB // 4  # elements
    for at in range(ELEMENTS // step):
        number = (7 * at) % 16
        workers[number].read((source,), at * step, buffers[number])
        assert bytes(buffers[number][0]) == words[at * step : (at + 1) * step].tobytes()
        assert told[-1][0] + told[-1][1] >= min(2 * (at + 1) * step, 2 * ELEMENTS)
    for worker in workers:
        worker.close()
    ends = [offset + size for offset, size in told]
    assert [offset for offset, _ in told[1:]] == ends[:-1]  # one behind the other: nothing twice
    assert told[0][0] == 0
    assert ends[-1] >= 2 * ELEMENTS


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_chunk_is_shared_among_helpers_and_read_whole(stored, count: int) -> None:
    header, source, words = stored
    helpers = Helpers(count)
    inputs = OpenInputs({header.path: header}, helpers=helpers)
    sources = (source, source, source)
    for first, elements in ((0, 3 * MIB), (5, 1_234_567), (ELEMENTS - 17, 17), (4096, 3 * MIB)):
        buffers = [memoryview(bytearray(2 * elements)) for _ in sources]
        inputs.read(sources, first, buffers)
        assert all(bytes(b) == words[first : first + elements].tobytes() for b in buffers)
    inputs.close()
    helpers.close()


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (2, 0, 3, 1), (3, 0, 1, 2)])
def test_a_file_in_another_order_is_fetched_ahead_too(
    stored, order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    header, source, _ = stored
    told: list[int] = []
    monkeypatch.setattr(
        ReadFile, "will_need", lambda self, offset, size: told.extend(range(offset, offset + size, MIB))
    )
    worker = OpenInputs({header.path: header}, ahead=ReadAhead())
    buffers = [memoryview(bytearray(MIB))]
    for quarter in order:
        for at in range(4 * quarter, 4 * quarter + 4):
            worker.read((source,), at * MIB // 2, buffers)
            assert at * MIB in told
    worker.close()
    assert len(told) == len(set(told))


def test_what_is_read_long_after_is_told_again(stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.sources.ahead._REMEMBERED", 3)
    header, source, _ = stored
    told: list[int] = []
    monkeypatch.setattr(ReadFile, "will_need", lambda self, offset, size: told.append(offset))
    worker = OpenInputs({header.path: header}, ahead=ReadAhead())
    for at in (0, 8, 15, 0):
        worker.read((source,), at * MIB // 2, [memoryview(bytearray(MIB))])
    worker.close()
    assert told.count(0) == 2


def test_pages_that_are_being_read_stay(stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cold is let go of when it was read, but not under a worker that is behind."""
    header, source, words = stored
    dropped: list[int] = []
    monkeypatch.setattr(ReadFile, "will_need", lambda *_: None)
    monkeypatch.setattr(ReadFile, "is_cold", lambda *_: True)
    monkeypatch.setattr(ReadFile, "drop", lambda self, offset, size: dropped.append(offset // WINDOW_BYTES))
    is_reading, may_go_on, read = threading.Event(), threading.Event(), rows.fill_table

    def slowly(table: np.ndarray) -> int:
        if threading.current_thread() is slow:
            is_reading.set()
            assert may_go_on.wait(20)
        return read(table)

    monkeypatch.setattr(rows, "fill_table", slowly)
    pages, ahead = ColdPages(), ReadAhead()
    behind, before = (OpenInputs({header.path: header}, pages, ahead=ahead) for _ in range(2))
    buffer = [memoryview(bytearray(WINDOW_BYTES))]
    slow = threading.Thread(target=behind.read, args=((source,), MIB // 2, buffer))
    slow.start()
    assert is_reading.wait(20)
    for window in range(4):
        before.read((source,), window * WINDOW_BYTES // 2, [memoryview(bytearray(WINDOW_BYTES))])
    assert dropped == [2, 3]  # the slow one is in the first and the second
    may_go_on.set()
    slow.join()
    assert sorted(dropped) == [0, 1, 2, 3]
    assert bytes(buffer[0]) == words[MIB // 2 : MIB // 2 + WINDOW_BYTES // 2].tobytes()
    before.close()
    assert sorted(dropped) == [0, 1, 2, 3]
    behind.close()  # nobody has it open: a few bytes of the header's size are left at its end
    assert 4 in dropped
