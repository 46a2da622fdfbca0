"""A device is kept busy: chunks are read and written while it computes others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core import devices as core_devices
from core import run_merge, table
from core.checkpoint.files import WriteFile
from core.devices import Device
from core.kernels.interface import Counts, MapJob, Merged, Workspace
from core.plan.merge_plan import MergePlan
from core.plan.planning import plan_merge
from core.recipe.parsing import parse_recipe
from core.sources.files import OpenInputs

T = TypeVar("T")

CARD = Device("cuda:0", "made up", "cuda")
CHUNKS = 24
READ_S, COMPUTE_S, WRITE_S = 0.006, 0.012, 0.006


class Busy:
    """Something that does one thing at a time, and how long it was at it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self.seconds = 0.0
        self.first_s = self.last_s = 0.0

    def work(self, seconds: float, call: Callable[..., T], *arguments: object) -> T:
        """What `call` returns, after so many seconds more than it takes."""
        with self._turn:
            begun = time.perf_counter()
            self.first_s = self.first_s or begun
            time.sleep(seconds)
            result = call(*arguments)
            self.last_s = time.perf_counter()
            self.seconds += self.last_s - begun
        return result


class FakeCard:
    """Takes chunks in their order and computes one at a time, while its caller goes on."""

    def __init__(self, compute_s: float = COMPUTE_S) -> None:
        self.busy = Busy()
        self.stream = ThreadPoolExecutor(1)
        self.compute_s = compute_s
        self.chunks = 0

    def workspace(self, device: Device = core_devices.CPU) -> Workspace:
        return _OnCard(table_workspace(), self) if device.kind == "cuda" else table_workspace()


table_workspace = table.workspace


class _OnCard:
    def __init__(self, host: Workspace, card: FakeCard) -> None:
        self._host, self._card = host, card
        self.begin, self.fold = host.begin, host.fold

    def run(self, job: MapJob, first_element: int, inner: slice | None = None) -> Merged:
        def compute() -> Merged:
            self._card.chunks += 1
            return self._card.busy.work(self._card.compute_s, self._host.run, job, first_element, inner)

        coming: Future[Merged] = self._card.stream.submit(compute)
        out = np.empty(self._elements(job) * job.out_dtype.itemsize, np.uint8)
        counts = Counts.zeros(job)

        def wait() -> None:
            merged = coming.result()
            out[:] = np.frombuffer(merged.data, np.uint8)
            counts.add(merged.counts)

        return Merged(out.data, counts, wait)

    def _elements(self, job: MapJob) -> int:
        return self._host._buffers.rows[0].size // job.input_dtypes[0].itemsize  # type: ignore[attr-defined]


@pytest.fixture
def plan(tmp_path: Path) -> MergePlan:
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(CHUNKS * 128, 1024, generator=generator).bfloat16()  # a piece a chunk
    for name in ("base", "a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        moved = base if name == "base" else torch.where(torch.rand(base.shape) < 0.3, base * 1.5, base)
        save_file({"w": moved}, tmp_path / name / "model.safetensors")
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(tmp_path / "base"),
        "models": [{"model": str(tmp_path / name)} for name in "ab"],
        "parameters": {"resamples": 2},
    }
    return plan_merge(parse_recipe(recipe, tmp_path))


def test_stages_overlap_and_the_bytes_are_those_of_the_cpu(
    plan: MergePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cpu = run_merge(plan, tmp_path / "cpu", device="cpu")
    card, disk, writer = FakeCard(), Busy(), Busy()
    read, write = OpenInputs.read, WriteFile.write_at
    chunk_bytes = 3 * 128 * 1024 * 2

    def slow_read(self: OpenInputs, *arguments: object) -> None:
        disk.work(READ_S, read, self, *arguments)

    def slow_write(self: WriteFile, data: memoryview, offset: int) -> None:
        writer.work(WRITE_S, write, self, data, offset)

    monkeypatch.setattr(OpenInputs, "read", slow_read)
    monkeypatch.setattr(WriteFile, "write_at", slow_write)
    monkeypatch.setattr(core_devices, "choose_devices", lambda _: [CARD])
    monkeypatch.setattr(table, "workspace", card.workspace)
    monkeypatch.setattr(table, "compile_for", lambda *_: None)
    for attempt in range(3):  # on a busy machine a thread may be woken late
        card.busy, disk, writer = Busy(), Busy(), Busy()
        out = tmp_path / f"card-{attempt}"
        record = run_merge(plan, out, device="cuda", chunk_bytes=chunk_bytes)
        assert card.busy.seconds > CHUNKS * COMPUTE_S
        assert disk.seconds + writer.seconds > 0.7 * CHUNKS * COMPUTE_S  # one after the other is far longer
        assert record.tensors == on_cpu.tensors
        merged = [load_file(at / "model.safetensors")["w"] for at in (tmp_path / "cpu", out)]
        assert torch.equal(*merged)
        over = (writer.last_s - disk.first_s) / card.busy.seconds
        if over <= 1.15:
            break
    card.stream.shutdown()
    assert over <= 1.15


def test_several_cards_take_chunks_from_one_queue(
    plan: MergePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is three times as slow gets about a third of what the other gets, and nobody waits for it."""
    on_cpu = run_merge(plan, tmp_path / "cpu", device="cpu")
    cards = {"cuda:0": FakeCard(), "cuda:1": FakeCard(3 * COMPUTE_S)}
    chosen = [Device(name, "made up", "cuda") for name in cards]
    monkeypatch.setattr(core_devices, "_cuda_devices", lambda: chosen)
    monkeypatch.setattr(
        table, "workspace", lambda device=core_devices.CPU: cards[device.name].workspace(device)
    )
    monkeypatch.setattr(table, "compile_for", lambda *_: None)
    released: list[Device] = []
    monkeypatch.setattr(core_devices, "release", released.extend)
    record = run_merge(plan, tmp_path / "cards", device="cuda:0,cuda:1", chunk_bytes=3 * 128 * 1024 * 2)
    assert released == chosen
    for card in cards.values():
        card.stream.shutdown()

    assert record.tensors == on_cpu.tensors
    fast, slow = (card.chunks for card in cards.values())
    assert fast + slow == CHUNKS
    assert 0.5 * CHUNKS < fast < 0.9 * CHUNKS
