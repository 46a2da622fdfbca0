"""How long it takes until a merge can begin: only what this process has not done yet."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.devices import CPU, Device
from core.plan import start_up
from core.plan.start_up import start_s

CARD = Device("cuda:0", "Card", "cuda")
KERNELS, TORCH_ONLY = ["linear"], ["arcee_fusion"]
AWAKE = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True))
ASLEEP = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: False))
HALF = SimpleNamespace()
"""What another thread imports just now."""


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What is imported: nothing at first. All that can be compiled was compiled before."""
    modules: dict[str, Any] = {}
    monkeypatch.setattr(start_up, "sys", SimpleNamespace(modules=modules))
    monkeypatch.setattr(start_up, "_numba_has_compiled", lambda: True)
    monkeypatch.setattr("core.table.has_triton", lambda: True)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    (tmp_path / "a kernel").touch()
    return modules


@pytest.mark.parametrize(
    ("device", "methods", "imported", "expected"),
    [
        (CPU, KERNELS, {}, 0.5),
        (CPU, KERNELS, {"numba": 1}, 0.0),
        (CPU, TORCH_ONLY, {"numba": 1}, 2.0),
        (CPU, TORCH_ONLY, {"numba": 1, "torch": ASLEEP}, 0.0),
        (CARD, KERNELS, {}, 0.5 + 2.0 + 0.8 + 0.2 + 0.05),
        (CARD, KERNELS, {"numba": 1, "torch": ASLEEP}, 0.8 + 0.2 + 0.05),
        (CARD, KERNELS, {"numba": 1, "torch": HALF}, 0.8 + 0.2 + 0.05),
        (CARD, KERNELS, {"numba": 1, "torch": AWAKE}, 0.2 + 0.05),
        (CARD, KERNELS, {"numba": 1, "torch": AWAKE, "core.kernels.gpu.launch": 1}, 0.05),
        (CARD, TORCH_ONLY, {"numba": 1, "torch": AWAKE}, 0.05),
    ],
)
def test_what_is_left_to_do(
    modules: dict[str, Any], device: Device, methods: list[str], imported: dict[str, Any], expected: float
) -> None:
    modules |= imported
    assert start_s(device, methods) == pytest.approx(expected)


def test_a_process_that_makes_the_kernels_ready_anyway_does_not_wait_for_them() -> None:
    assert start_s(CPU, KERNELS, warms_up=True) == 0
    assert start_s(CPU, TORCH_ONLY, warms_up=True) == pytest.approx(2.0)


def test_what_was_never_compiled_takes_longer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = [start_s(device, KERNELS) for device in (CPU, CARD)]
    monkeypatch.setattr(start_up, "_numba_has_compiled", lambda: False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "not there"))
    cpu, card = (start_s(device, KERNELS) for device in (CPU, CARD))
    assert cpu == pytest.approx(before[0] + 3.5)
    assert card == pytest.approx(before[1] + 3.5 + 4.8)
