"""What is read next is told to the system once, however many workers read, and read whole by any of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.checkpoint.files import ReadFile
from core.checkpoint.headers import read_header
from core.helpers import Helpers
from core.sources.files import OpenInputs, ReadAhead
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
