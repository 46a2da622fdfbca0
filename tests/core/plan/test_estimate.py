"""How long a merge will take, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import core.plan.cold_files
import core.plan.estimate
import core.plan.work
from core import MergePlan, parse_recipe, plan_merge
from core.checkpoint.files import ReadFile
from core.devices import Device
from core.plan.cold_files import cold_files
from core.plan.estimate import Throughput, Work, measured_core
from core.plan.pace import Pace
from core.plan.work import work_of

ELEMENTS = 1000
BASICS = Work(
    "linear", thread_s=4, serial_s=0.5, threads=2, cold_bytes=3e9, written_bytes=2 * 10**9, dirty_bytes=10**9
)
MACHINE = Throughput(core=2, disk_read_bytes_per_s=1e9, disk_write_bytes_per_s=0.5e9)


def make_plan(folder: Path, **changes: Any) -> MergePlan:
    """base, m1 and m2 with one float16 tensor of 1,000 elements each."""
    for name in ("base", "m1", "m2"):
        (folder / name).mkdir(exist_ok=True)
        save_file({"w": np.zeros((10, 100), np.float16)}, folder / name / "model.safetensors")
    recipe = {"base_model": "base", "models": [{"model": "m1"}, {"model": "m2"}], "dtype": "bfloat16"}
    return plan_merge(parse_recipe(recipe | changes, folder))


def test_parts_that_overlap_count_once() -> None:
    estimate = MACHINE.estimate(BASICS)
    assert (estimate.compute_s, estimate.read_s, estimate.write_s, estimate.sync_s) == (5, 3, 2, 2)
    assert estimate.seconds == pytest.approx(0.02 + 5 + 2)
    assert estimate.bound_by == "computing"


@pytest.mark.parametrize(
    ("work", "bound_by", "seconds"),
    [
        (replace(BASICS, cold_bytes=9e9), "reading", 0.02 + 9 + 2),
        (replace(BASICS, written_bytes=5 * 10**9), "writing", 0.02 + 8 + 2),
        (replace(BASICS, written_bytes=4 * 10**9, dirty_bytes=4 * 10**9), "writing", 0.02 + 5 + 8),
        (replace(BASICS, cold_bytes=9e9, disk_read_bytes_per_s=3e9), "computing", 0.02 + 5 + 2),
    ],
)
def test_the_slowest_part_counts(work: Work, bound_by: str, seconds: float) -> None:
    estimate = MACHINE.estimate(work)
    assert estimate.bound_by == bound_by
    assert estimate.seconds == pytest.approx(seconds)


def test_the_first_merge_by_a_method_sets_its_pace() -> None:
    work = Work("linear", thread_s=1, serial_s=0, threads=1, cold_bytes=0, written_bytes=0, dirty_bytes=0)
    learned = Throughput().updated(2 * 1.02, work)
    assert learned.kinds == {"linear": Pace(pytest.approx(2), 1)}
    assert learned.estimate(work).learned
    assert not learned.estimate(replace(work, kind="parameter_selection")).learned


def test_the_first_merges_move_the_pace_by_no_more_than_twice() -> None:
    work = Work("linear", thread_s=1, serial_s=0, threads=1, cold_bytes=0, written_bytes=0, dirty_bytes=0)
    assert Throughput().updated(30.0, work).kinds["linear"].measured == pytest.approx(2)
    again = Throughput(kinds={"linear": Pace(2.0, 1)})
    assert again.updated(1.02, work).kinds["linear"].measured == pytest.approx(2 * 1.02 / 2.02)


def test_later_merges_move_the_pace_a_little_and_never_far() -> None:
    work = Work("linear", thread_s=1, serial_s=0, threads=1, cold_bytes=0, written_bytes=0, dirty_bytes=0)
    learned = Throughput(kinds={"linear": Pace(2.0, 2)})
    assert learned.updated(1.3 * 2.02, work).kinds == {"linear": Pace(pytest.approx(2 * 1.3**0.4), 3)}
    assert learned.updated(3 * 2.02, work).kinds == {"linear": Pace(pytest.approx(2 * 3**0.4), 1)}
    assert learned.updated(5000.0, work).kinds == {"linear": Pace(pytest.approx(2 * 10**0.4), 1)}


def test_the_parts_that_took_longest_take_the_blame() -> None:
    work = Work("linear", 0.25, 0, 1, cold_bytes=0, written_bytes=10**9, dirty_bytes=10**9)
    before = Throughput(disk_write_bytes_per_s=1e9)
    learned = before.updated(16 * 1.27, work)
    assert learned.disk_write_bytes_per_s == pytest.approx(1e9 / 2)  # 16, bounded
    assert learned.kinds["linear"].measured == pytest.approx(2**0.25)
    assert learned.disk_read_bytes_per_s == before.disk_read_bytes_per_s


def test_a_disk_that_was_measured_is_not_guessed_from_merges() -> None:
    work = Work("linear", 0.1, 0, 1, cold_bytes=1e9, written_bytes=0, dirty_bytes=0)
    guessed = Throughput().updated(3.0, work)
    measured = Throughput().updated(3.0, replace(work, disk_read_bytes_per_s=1e9))
    assert guessed.disk_read_bytes_per_s < Throughput().disk_read_bytes_per_s / 1.9
    assert measured.disk_read_bytes_per_s == Throughput().disk_read_bytes_per_s


def test_one_merge_on_a_machine_three_times_as_slow_is_enough() -> None:
    for work in (
        BASICS,
        replace(BASICS, cold_bytes=9e9),
        replace(BASICS, thread_s=40),
        replace(BASICS, thread_s=1),
    ):
        slow = 3 * (MACHINE.estimate(work).seconds - 0.02) + 0.02
        assert 0.5 < MACHINE.updated(slow, work).estimate(work).seconds / slow < 2


def test_json_keeps_everything() -> None:
    machine = Throughput(1.5, 1e8, 2e8, {"linear": Pace(0.7, 3, 5), "linear on cuda": Pace(1.25, 1)})
    assert Throughput.from_json(machine.to_json()) == machine
    assert Throughput.from_json(Throughput().to_json()) == Throughput()


def test_what_earlier_versions_wrote_is_read() -> None:
    """A number a kind; and 1 for cores that were not measured."""
    earlier = {"core": 1.0, "disk_read_bytes_per_s": 1e8, "disk_write_bytes_per_s": 2e8}
    read = Throughput.from_json(json.dumps(earlier | {"kinds": {"linear": 0.7}}))
    assert (read.core, read.disk_read_bytes_per_s) == (None, 1e8)
    assert read.kinds["linear"].now == pytest.approx(0.7)
    assert Throughput.from_json(json.dumps(earlier | {"core": 1.5, "kinds": {}})).core == 1.5


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        "null",
        json.dumps({"core": 1}),
        Throughput(core=1.5).to_json().replace("1.5,", "-1.5,"),
        Throughput().to_json().replace("{}", '{"linear": Infinity}'),
        Throughput().to_json().replace("{}", '{"linear": {"measured": 1, "merges": -1, "idle": 0}}'),
        Throughput().to_json().replace("{}", '{"linear": {"measured": 1}}'),
        Throughput().to_json().replace("{}", '{"linear": []}'),
    ],
)
def test_json_that_makes_no_sense_gives_the_defaults(text: str | None) -> None:
    assert Throughput.from_json(text) == Throughput()


def test_work_of_an_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.plan.work, "begin_with", lambda: 4)
    plan = make_plan(tmp_path, merge_method="linear")
    work = work_of(plan, threads=8)
    assert (work.kind, work.threads) == ("linear", 4)
    assert plan.bytes_to_read == 2 * 2 * ELEMENTS
    moving = 0.05e-9 * (4 * ELEMENTS + 4 * plan.bytes_to_write)
    converting, averaging = 2 * 2.6e-9 * ELEMENTS, 2 * 0.1e-9 * ELEMENTS
    assert work.thread_s == pytest.approx(moving + converting + averaging)
    assert work.serial_s == pytest.approx(0.0001)  # one chunk
    assert work.written_bytes == work.dirty_bytes == plan.bytes_to_write


def test_each_draw_costs_the_same(tmp_path: Path) -> None:
    seconds = [
        work_of(make_plan(tmp_path, merge_method="parameter_selection", parameters={"resamples": n})).thread_s
        for n in (0, 1, 9)
    ]
    assert seconds[1] - seconds[0] == pytest.approx(0.27e-9 * ELEMENTS)
    assert seconds[2] - seconds[0] == pytest.approx(9 * 0.27e-9 * ELEMENTS)


def test_a_gpu_is_another_kind_of_work(tmp_path: Path) -> None:
    work = work_of(make_plan(tmp_path, merge_method="linear"), Device("cuda:0", "A card", "cuda"), 1)
    assert work.kind == "linear on cuda"
    assert work.thread_s < work_of(make_plan(tmp_path, merge_method="linear")).thread_s


@pytest.mark.parametrize(("cold", "share"), [((), 0.0), (("m1",), 0.5), (("m1", "m2"), 1.0), (None, 1.0)])
def test_what_is_in_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cold: tuple[str, ...] | None, share: float
) -> None:
    """None: the system does not say."""

    def is_cold(file: ReadFile, offset: int, size: int) -> bool:
        return cold is not None and (offset > file.size_bytes or file.path.parent.name in cold)

    monkeypatch.setattr(ReadFile, "is_cold", is_cold)
    work = work_of(make_plan(tmp_path, merge_method="linear"))
    assert work.cold_bytes == share * 4 * ELEMENTS
    assert work.disk_read_bytes_per_s is None  # far too small to measure anything


def test_the_disk_of_cold_files_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReadFile, "is_cold", lambda *_: True)
    monkeypatch.setattr(core.plan.cold_files, "_PROBE_BYTES", 2000)
    monkeypatch.setattr(core.plan.cold_files, "_speeds", {})
    ticks = count(0, 0.001)
    monkeypatch.setattr(core.plan.cold_files, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    plan = make_plan(tmp_path, merge_method="linear")
    assert work_of(plan).disk_read_bytes_per_s is None  # nobody asked for it
    speed = cold_files(plan, measure=True).disk_read_bytes_per_s
    assert speed is not None
    assert speed == cold_files(plan, measure=True).disk_read_bytes_per_s
    assert speed == work_of(plan).disk_read_bytes_per_s
    assert 500 <= round(speed * 0.002) <= 2000  # what was left of the file, in two ticks


def test_calibration_compares_a_chunk_with_what_it_should_take(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(0, 0.03)
    monkeypatch.setattr(core.plan.estimate, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert measured_core() == pytest.approx(0.03 / (2**18 * 1.9e-9))


def test_a_core_that_is_measured_late_leaves_what_merges_have_shown() -> None:
    card = replace(BASICS, kind="linear on cuda", device_s=9.0)
    machine = Throughput(kinds={"linear": Pace(2.0, 3), "linear on cuda": Pace(0.5, 3)})
    known = machine.with_core(2.5)
    assert known.core == 2.5
    for work in (BASICS, card):
        assert known.estimate(work).seconds == pytest.approx(machine.estimate(work).seconds)
    other = replace(BASICS, kind="slerp")
    assert known.estimate(other).compute_s == pytest.approx(2.5 * machine.estimate(other).compute_s)
