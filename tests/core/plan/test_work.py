"""What a merge has to do on a card: what overlaps counts once, and constants are those that were measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core import MergePlan, parse_recipe, plan_merge, table
from core.devices import Device
from core.dtypes import DTYPES
from core.methods import METHODS
from core.plan import work as work_module
from core.plan.estimate import Throughput, Work
from core.plan.work import work_of
from core.table import device_s, trial_job

CARD = Device("cuda:0", "Card", "cuda", bus_bytes_per_s=50e9)
ELEMENTS = 1 << 20
CROSSING = ELEMENTS * 2 * (3 + 1)
"""Bytes of two sub-models, the base and the result."""

COPIED_BYTES_PER_S = 4.1e12


@pytest.fixture
def plan(tmp_path: Path) -> MergePlan:
    for name in ("base", "m1", "m2"):
        (tmp_path / name).mkdir()
        save_file({"w": np.zeros((1024, 1024), np.float16)}, tmp_path / name / "model.safetensors")
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": "base",
        "models": [{"model": "m1"}, {"model": "m2"}],
    }
    return plan_merge(parse_recipe(recipe, tmp_path))


@pytest.fixture(autouse=True)
def triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "has_triton", lambda: True)
    monkeypatch.setattr(table, "has_triton", lambda: True)
    monkeypatch.setattr(work_module, "_SUBMITTED_S", 0.0)


@pytest.mark.parametrize(("bus", "expected"), [(50e9, CROSSING / 50e9), (None, CROSSING / 55e9)])
def test_a_slow_bus_is_what_counts(plan: MergePlan, bus: float | None, expected: float) -> None:
    assert work_of(plan, replace(CARD, bus_bytes_per_s=bus)).device_s == pytest.approx(expected)


def test_slow_kernels_are_what_counts(plan: MergePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "device_s", lambda _: 1e-6)
    assert work_of(plan, CARD).device_s == pytest.approx(1e-6 * ELEMENTS)


def test_submitting_many_chunks_is_what_counts(plan: MergePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "_SUBMITTED_S", 0.5)
    monkeypatch.setattr(work_module, "DEVICE_CHUNK_BYTES", CROSSING // 8)
    assert work_of(plan, CARD).device_s >= 4 * 0.5


def test_without_pinned_memory_nothing_overlaps(plan: MergePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "device_s", lambda _: 1e-6)
    for device in (Device("mps", "Apple GPU", "mps"), Device("xpu:0", "Arc", "xpu")):
        assert work_of(plan, device).device_s == pytest.approx(1e-6 * ELEMENTS + CROSSING / 6e9)
    assert work_of(plan, device).kind == "parameter_selection on xpu"


def test_a_card_computes_while_the_host_reads_and_writes() -> None:
    work = Work("a", thread_s=2, serial_s=0, threads=4, cold_bytes=0, written_bytes=0, dirty_bytes=0)
    machine = Throughput(core=2)
    assert machine.estimate(replace(work, device_s=0.7)).compute_s == 1  # the host's threads, twice as slow
    assert machine.estimate(replace(work, device_s=3)).compute_s == 3  # which are nothing to the card


def test_getting_ready_is_waited_for_and_not_learned() -> None:
    work = Work("a", thread_s=1, serial_s=0, threads=1, cold_bytes=0, written_bytes=0, dirty_bytes=0)
    slow = replace(work, start_s=3.0)
    quick, late = Throughput().estimate(work), Throughput().estimate(slow)
    assert (late.seconds, late.merge_s) == (pytest.approx(quick.seconds + 3), quick.merge_s)
    assert Throughput().updated(2.0, slow) == Throughput().updated(2.0, work)


@pytest.mark.parametrize(
    ("method", "resamples", "weights", "share"),
    [
        ("linear", None, [1.0] * 10, 0.86),
        ("parameter_selection", 0, [1.0] * 10, 0.47),
        ("parameter_selection", 1, [1.0] * 10, 0.45),
        ("parameter_selection", 4, [1.0] * 10, 0.36),
        ("parameter_selection", 9, [1.0] * 10, 0.27),
        ("parameter_selection", 4, [1.0, 2.0] * 5, 0.24),
    ],
)
def test_kernels_take_what_was_measured_beside_a_copy(
    method: str, resamples: int | None, weights: list[float], share: float
) -> None:
    values: dict[str, object] = {"weight": weights}
    if resamples is not None:
        values["resamples"] = resamples
    job = trial_job(METHODS[method], DTYPES["BF16"], 10, values)
    moved = 2 * (11 if METHODS[method].reads_base else 10) + 2
    assert moved / COPIED_BYTES_PER_S / device_s(job) == pytest.approx(share, rel=0.04)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_costs_something_on_a_card(method: str) -> None:
    job = trial_job(METHODS[method], DTYPES["BF16"], METHODS[method].most_models or 2)
    assert 0 < device_s(job) < table.element_s(job)
