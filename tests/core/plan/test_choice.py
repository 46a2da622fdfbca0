"""What "auto" means: the device that is expected to be done first, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from core import DeviceError, MergePlan, devices, parse_recipe, plan_merge
from core.checkpoint.files import ReadFile
from core.devices import CPU, Device
from core.plan import choice as choice_module
from core.plan import cold_files as cold
from core.plan.choice import choose
from core.plan.cold_files import ColdFiles
from core.plan.estimate import Throughput, Work
from core.plan.pace import Pace

CARD = Device("cuda:0", "Fast Card", "cuda", bus_bytes_per_s=55e9)
OLD = Device("cuda:1", "Old Card", "cuda", bus_bytes_per_s=6e9)
NONE = "cpu: there is no graphics card here that torch can use with CUDA"
OVER = "cpu: the merge would be over before the card is ready"
FIRST = "cuda:0: it is expected to be done before the CPU"
NO_FASTER = "cpu: a graphics card would not be faster"
NOT_IN_TIME = "cpu: a graphics card would be faster, but not by the time that it takes to get ready"
NO_PROMISE = "cpu: this method does not promise the same bytes on a graphics card"

Costs = dict[str, tuple[float, float]]
"""Seconds of one thread, and until it can begin, by the device."""


def make_plan(folder: Path, method: str = "parameter_selection", **changes: Any) -> MergePlan:
    for name in ("base", "m1", "m2"):
        (folder / name).mkdir(exist_ok=True)
        save_file({"w": np.zeros((10, 100), np.float16)}, folder / name / "model.safetensors")
    recipe = {"merge_method": method, "base_model": "base", "models": [{"model": "m1"}, {"model": "m2"}]}
    return plan_merge(parse_recipe(recipe | changes, folder))


@pytest.fixture
def plan(tmp_path: Path) -> MergePlan:
    return make_plan(tmp_path)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """The devices that are known beside the CPU: none, unless a test adds some."""
    known: list[Device] = []
    monkeypatch.setattr(devices, "known_devices", lambda: list(known))
    return known


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    """What each device would have to do, in place of what the plan says."""
    costs: Costs = {"cpu": (1.0, 0.0), "cuda:0": (0.5, 0.0), "cuda:1": (0.8, 0.0)}

    def work(plan: MergePlan, device: Device, *_: object, **__: object) -> Work:
        method = plan.recipe.method.name
        kind = method if device == CPU else f"{method} on {device.kind}"
        thread_s, start_s = costs[device.name]
        return Work(kind, thread_s, 0.0, 1, 0.0, 0, 0, start_s=start_s)

    monkeypatch.setattr(choice_module, "work_of", work)
    return costs


@pytest.mark.parametrize(
    ("cards", "cpu", "card", "why"),
    [
        ([], (90.0, 0.5), (0.1, 0.0), NONE),
        ([CARD], (0.02, 0.5), (0.001, 3.0), OVER),
        ([CARD], (2.8, 0.5), (0.1, 3.5), OVER),
        ([CARD], (4.0, 0.5), (1.5, 3.1), NOT_IN_TIME),
        ([CARD], (8.0, 0.5), (2.0, 3.0), FIRST),
        ([CARD], (1.0, 0.0), (0.5, 0.0), FIRST),  # it is awake already
        ([CARD], (1.0, 0.0), (0.96, 0.0), NO_FASTER),
        ([CARD], (1.0, 0.0), (0.94, 0.0), FIRST),
        ([CARD], (1.0, 0.0), (1.5, 0.0), NO_FASTER),
        ([OLD, CARD], (1.0, 0.0), (0.5, 0.0), FIRST),
        ([Device("mps", "Apple GPU", "mps")], (1.0, 0.0), (0.5, 0.0), NONE),
    ],
)
def test_the_fastest(
    plan: MergePlan,
    known: list[Device],
    costs: Costs,
    cards: Sequence[Device],
    cpu: tuple[float, float],
    card: tuple[float, float],
    why: str,
) -> None:
    known += cards
    costs |= {"cpu": cpu, "cuda:0": card, "mps": card}
    choice = choose(plan)
    assert choice.why == why
    assert choice.devices == (CARD if why.startswith("cuda") else CPU,)
    assert [entry.device.name for entry in choice.expected] == ["cpu", *(device.name for device in cards)]
    assert choice.fastest == choice.chosen


@pytest.mark.parametrize("method", ["linear", "parameter_selection"])
def test_what_is_the_same_everywhere_may_take_a_card(
    tmp_path: Path, known: list[Device], costs: Costs, method: str
) -> None:
    known.append(CARD)
    assert choose(make_plan(tmp_path, method)).devices == (CARD,)


@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "della", "sce"])
def test_a_method_without_a_kernel_for_cards_stays_on_the_cpu_unless_a_card_is_named(
    tmp_path: Path, known: list[Device], costs: Costs, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    known.append(CARD)
    monkeypatch.setattr(devices, "choose_devices", lambda _: [CARD])
    plan = make_plan(tmp_path, method)
    assert choose(plan).why == "cpu: this method has no kernel for a graphics card"
    assert choose(plan, "cuda").devices == (CARD,)


def test_a_method_that_promises_its_bytes_on_one_device_stays_on_the_cpu_unless_a_card_is_named(
    tmp_path: Path, known: list[Device], costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.append(CARD)
    monkeypatch.setattr(devices, "choose_devices", lambda _: [CARD])
    plan = make_plan(tmp_path, "slerp", models=[{"model": "m1"}], parameters={"t": 0.5})
    assert choose(plan).why == NO_PROMISE
    asked = choose(plan, "cuda")
    assert (asked.why, asked.devices, asked.fastest.device) == ("cuda:0: it was asked for", (CARD,), CPU)


def test_a_merge_takes_no_card_that_one_before_it_would_not_take(
    tmp_path: Path, plan: MergePlan, known: list[Device], costs: Costs
) -> None:
    known.append(CARD)
    before = make_plan(tmp_path, "slerp", models=[{"model": "m1"}], parameters={"t": 0.5})
    assert choose(plan).why == FIRST
    assert choose(replace(plan, stages=(("before", before),))).why == NO_PROMISE


def test_a_named_device_is_what_it_runs_on_whatever_it_costs(
    plan: MergePlan, known: list[Device], costs: Costs
) -> None:
    known.append(CARD)
    choice = choose(plan, "cpu")
    assert (choice.sentence, choice.devices) == ("cpu: it was asked for", (CPU,))
    assert choice.fastest.device == CARD  # which is what the list of devices says
    with pytest.raises(DeviceError, match="is not known"):
        choose(plan, "gpu")


def test_where_nothing_can_be_known_without_torch_that_is_said(
    plan: MergePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "known_devices", lambda: None)
    choice = choose(plan)
    assert choice.devices == (CPU,)
    assert "cannot be told without asking for one; name one as the device (--device cuda)" in choice.why


def test_the_figures_are_for_people_and_not_for_records(
    plan: MergePlan, known: list[Device], costs: Costs
) -> None:
    known.append(CARD)
    costs |= {"cpu": (1.08, 0.0), "cuda:0": (0.58, 0.0)}
    choice = choose(plan)
    assert choice.sentence == "cuda:0: about 0.6 s, the CPU takes about 1.1 s"
    assert not any(letter.isdigit() for letter in choice.why.removeprefix("cuda:0"))


def test_what_was_learned_decides(plan: MergePlan, known: list[Device], costs: Costs) -> None:
    """A card that turned out slow is not taken again, and one that turned out fast is."""
    known.append(CARD)
    assert choose(plan).devices == (CARD,)
    machine = Throughput()
    for _ in range(5):  # whatever is tried, a card takes 3 s here and the CPU 1 s
        chosen = choose(plan, throughput=machine).chosen
        machine = machine.updated(1.0 if chosen.device == CPU else 3.0, chosen.work)
    assert choose(plan, throughput=machine).why == NO_FASTER
    costs["cpu"], costs["cuda:0"] = (1.0, 0.0), (1.2, 0.0)
    fast = Throughput(kinds={"parameter_selection on cuda": Pace(0.2, 3)})
    assert choose(plan, throughput=fast).devices == (CARD,)


def test_it_does_not_flap(plan: MergePlan, known: list[Device], costs: Costs) -> None:
    """Both are as fast; each merge takes a little more or less than the last."""
    known.append(CARD)
    costs |= {"cpu": (1.0, 0.0), "cuda:0": (1.0, 0.0)}
    machine, chosen = Throughput(), []
    for number in range(20):
        choice = choose(plan, throughput=machine)
        chosen.append(choice.chosen.device)
        machine = machine.updated(1.0 + 0.04 * (-1) ** number, choice.chosen.work)
    assert chosen == [CPU] * 20


@pytest.mark.parametrize("measures", [False, True])
def test_weights_are_read_only_where_the_disk_is_to_be_measured(
    plan: MergePlan, known: list[Device], monkeypatch: pytest.MonkeyPatch, measures: bool
) -> None:
    """Of files that are not in memory."""
    touched: list[str] = []
    monkeypatch.setattr(cold, "_PROBE_BYTES", 2000)
    monkeypatch.setattr(cold, "_speeds", {})
    monkeypatch.setattr(ReadFile, "is_cold", lambda *_: True)
    for name in ("read_into", "will_need", "drop"):
        monkeypatch.setattr(ReadFile, name, lambda *_, name=name: touched.append(name))
    choice = choose(plan, measures_disk=measures)
    assert choice.chosen.work.cold_bytes == plan.bytes_to_read
    assert bool(touched) == measures


def test_without_a_card_in_its_place_is_the_cpu(plan: MergePlan, known: list[Device], costs: Costs) -> None:
    known.append(CARD)
    instead = choose(plan).on_cpu_instead()
    assert (instead.devices, instead.why) == ((CPU,), "cpu: cuda:0 could not be used")
    assert not instead.is_automatic_card


def test_large_merges_take_a_card_and_small_ones_do_not(
    tmp_path: Path, known: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the constants of the program, in a process that has imported nothing yet; files in memory."""
    known.append(CARD)
    monkeypatch.setattr(choice_module, "cold_files", lambda *_, **__: ColdFiles(0.0, None))
    monkeypatch.setattr("core.plan.start_up._numba_has_compiled", lambda: True)
    monkeypatch.setattr("core.plan.start_up._triton_has_compiled", lambda: True)
    monkeypatch.setattr("core.plan.start_up.sys", SimpleNamespace(modules={}))
    monkeypatch.setattr("core.table.has_triton", lambda: True)
    monkeypatch.setattr("core.plan.work.has_triton", lambda: True)
    monkeypatch.setattr("core.plan.work.begin_with", lambda: 8)
    small = make_plan(tmp_path)
    assert choose(small).why == OVER
    machine = Throughput(core=2.5)  # the machine with 16 virtual cores of the table in tests/bench
    assert choose(_enlarged(small, 468e6), throughput=machine).devices == (CPU,)
    large = choose(_enlarged(small, 8e9), throughput=machine)
    assert large.devices == (CARD,)


def _enlarged(plan: MergePlan, parameters: float) -> MergePlan:
    """The same with so many parameters, in 200 tensors, of ten sub-models."""
    tensor = plan.tensors[0]
    assert tensor.job is not None
    job = replace(tensor.job, model_dtypes=tensor.job.model_dtypes[:1] * 10, draws=5)
    shape = (int(parameters) // 200 // 100, 100)
    many = replace(
        tensor,
        output=replace(tensor.output, shape=shape),
        models=tuple(_Enlarged(tensor.models[0], shape) for _ in range(10)),  # type: ignore[arg-type]
        base=None,
        job=job,
    )
    return replace(plan, tensors=(many,) * 200)


class _Enlarged:
    """A source with more elements."""

    row, scratch, terms = 1, 0, 0

    def __init__(self, source: Any, shape: tuple[int, int]) -> None:
        self.dtype, self.stored = source.dtype, ()
        self.bytes_to_read = shape[0] * shape[1] * source.dtype.itemsize
        self.row, self.scratch, self.kept_bytes = source.row, source.scratch, source.kept_bytes
        self.terms = source.terms
