"""What a workspace on a card holds goes when the workspace goes, and is given back to the system."""

from __future__ import annotations

import gc
import sys
import weakref
from types import SimpleNamespace

import pytest
import torch

from core import devices
from core.devices import CPU, Device
from core.dtypes import DTYPES
from core.kernels.gpu import memory
from core.kernels.gpu.memory import HostMemory
from core.kernels.gpu.workspace import GpuWorkspace


def test_a_workspace_goes_when_nobody_has_it() -> None:
    gc.disable()
    try:
        workspace = GpuWorkspace("cpu", {}, SimpleNamespace())  # type: ignore[arg-type]
        workspace.begin([DTYPES["BF16"]] * 3, 4096)
        gone = weakref.ref(workspace)
        del workspace
        assert gone() is None
    finally:
        gc.enable()


def test_a_buffer_that_was_outgrown_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    empty = torch.empty
    monkeypatch.setattr(memory, "release_pinned", lambda: said.append("given back"))
    monkeypatch.setattr(
        torch,
        "empty",
        lambda size, *, dtype, pin_memory=False: said.append(str(size)) or empty(size, dtype=dtype),
    )
    host = HostMemory(lambda: None, pinned=True)
    for size in (100, 90, 1000):
        assert host.take(0, size).numel() == size
    assert [word for word in said if word != "0"] == ["128", "given back", "1024"]


def test_a_merge_gives_back_what_torch_keeps_for_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[str] = []

    def refuse() -> None:
        raise RuntimeError("the card is gone")

    fake = SimpleNamespace(
        cuda=SimpleNamespace(empty_cache=lambda: emptied.append("cuda"), is_initialized=lambda: True),
        xpu=SimpleNamespace(empty_cache=refuse),
        _C=SimpleNamespace(_host_emptyCache=lambda: emptied.append("host")),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    devices.release([CPU])
    assert emptied == []
    devices.release([Device("xpu:0", "made up", "xpu"), Device("cuda:0", "made up", "cuda")])
    assert sorted(emptied) == ["cuda", "host"]
