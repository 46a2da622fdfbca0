"""What a merge says of the device that it runs on, and what becomes of a card that does not work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_merges import MAY_DIFFER, Story, contents, make_inputs

from core import Cancelled, DeviceError, MergeError, MergePlan, devices, table
from core.cancel import CancelToken
from core.checkpoint.record_file import RECORD_NAME
from core.devices import CPU, Device
from core.plan import choice as choice_module
from core.plan.choice import Choice
from core.plan.estimate import Work
from core.run.verify import verify_output

CARD = Device("cuda:0", "Fast Card", "cuda")
NONE = "cpu: there is no graphics card here that torch can use with CUDA"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "inputs"
    make_inputs(folder)
    return folder


@pytest.fixture
def story(inputs: Path, tmp_path: Path) -> Story:
    return Story(inputs, tmp_path / "work")


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "known_devices", list)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that is expected to be ten times as fast as the CPU, until it is given up."""
    monkeypatch.setattr(devices, "_given_up", {})
    monkeypatch.setattr(devices, "_known", {"found": [CARD]})

    def work(plan: MergePlan, device: Device, *_: object, **__: object) -> Work:
        return Work(device.kind, 1.0 if device == CPU else 0.1, 0.0, 1, 0.0, 0, 0)

    monkeypatch.setattr(choice_module, "work_of", work)


def fails(*_: object) -> Any:
    raise RuntimeError("CUDA driver error")


def fails_on_cards(compile_for: Callable[..., None]) -> Callable[..., None]:
    """As `compile_for`, and fails on any device but the CPU."""

    def compile_or_fail(chosen: Any, jobs: Any) -> None:
        (compile_for if list(chosen) == [CPU] else fails)(chosen, jobs)

    return compile_or_fail


@pytest.mark.usefixtures("no_card")
def test_the_record_says_why(story: Story) -> None:
    choices: list[Choice] = []
    record = story.run(on_choice=choices.append)
    assert (record.device, record.device_why) == ("cpu", NONE)
    assert story.record().device_why == NONE
    assert [choice.sentence for choice in choices] == [NONE]
    assert json.loads((story.out / RECORD_NAME).read_bytes())["device_why"] == NONE


@pytest.mark.usefixtures("no_card")
def test_a_listener_that_fails_leaves_nothing_behind(story: Story) -> None:
    with pytest.raises(RuntimeError):
        story.run(on_choice=fails)
    assert story.names() == []


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("trouble", ["no kernels", "kernels that fail", "a driver that fails"])
def test_the_cpu_takes_the_place_of_a_card_that_does_not_work(
    story: Story, tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    on_cpu = Story(inputs, tmp_path / "on-cpu")
    on_cpu.run(device="cpu")
    trials = {
        "no kernels": lambda _: False,
        "kernels that fail": fails,
        "a driver that fails": lambda _: True,
    }
    monkeypatch.setattr(table, "runs_kernels", trials[trouble])
    monkeypatch.setattr(table, "compile_for", fails_on_cards(table.compile_for))
    notes: list[str] = []
    choices: list[Choice] = []
    record = story.run(on_note=notes.append, on_choice=choices.append)
    assert (record.device, record.device_why) == ("cpu", "cpu: cuda:0 could not be used")
    said = [note for note in notes if "cuda:0" in note]
    assert said == ["cuda:0 (Fast Card) does not work here: merging on the CPU instead"]
    assert [choice.devices for choice in choices] == [(CARD,), (CPU,)]
    assert record.tensors == on_cpu.record().tensors
    again = story.run(overwrite=True)  # and it is not tried twice in one process
    assert again.device_why == "cpu: cuda:0 did not work a short while ago"


@pytest.mark.usefixtures("card")
def test_a_card_that_works_is_taken_without_a_word(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    token = CancelToken()
    compiled: list[Any] = []

    def compiles(chosen: Any, _: object) -> None:
        compiled.extend(chosen)
        token.cancel()

    monkeypatch.setattr(table, "runs_kernels", lambda _: True)
    monkeypatch.setattr(table, "compile_for", compiles)
    monkeypatch.setattr(table, "workspace", fails)
    notes: list[str] = []
    choices: list[Choice] = []
    with pytest.raises((Cancelled, RuntimeError)):
        story.run(cancel=token, on_note=notes.append, on_choice=choices.append)
    assert (compiled, notes) == ([CARD], [])
    assert [choice.sentence for choice in choices] == ["cuda:0: about 0.1 s, the CPU takes about 1.0 s"]


@pytest.mark.usefixtures("card")
def test_a_card_that_is_named_is_not_replaced(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "choose_devices", lambda _: [CARD])
    monkeypatch.setattr(table, "compile_for", fails_on_cards(table.compile_for))
    with pytest.raises(RuntimeError, match="CUDA driver error"):
        story.run(device="cuda")


@pytest.mark.usefixtures("card")
def test_a_merge_that_is_cancelled_meanwhile_is_cancelled(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled(_: str) -> bool:
        raise Cancelled

    monkeypatch.setattr(table, "runs_kernels", cancelled)
    with pytest.raises(Cancelled):
        story.run()
    assert story.names() == []


def test_a_resumed_merge_says_what_the_one_before_it_said(
    story: Story, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has been learned in between: its record is that of a merge that nothing interrupted."""
    slow = ["the merge would be over before the card is ready", "a graphics card would not be faster"]
    monkeypatch.setattr(choice_module, "_fastest", lambda _, __, expected: (expected[0], slow[0]))
    whole = Story(inputs, tmp_path / "whole")
    whole.run()
    story.cut_off(80)
    monkeypatch.setattr(choice_module, "_fastest", lambda _, __, expected: (expected[0], slow[1]))
    story.run(resume=True)
    before, after = (json.loads(contents(one.out)[RECORD_NAME]) for one in (whole, story))
    assert {name for name in before if before[name] != after[name]} <= set(MAY_DIFFER)
    assert after["device_why"] == f"cpu: {slow[0]}"


class FailingCard:
    """In the place of `table.workspace`: a card that computes as the CPU, and fails at its chunk `at`."""

    def __init__(self, at: int, error: Exception) -> None:
        self.at, self.error = at, error
        self.on_card = self.on_cpu = 0
        self.compiles = False
        self._workspace = table.workspace

    def __call__(self, device: Device = CPU, *rest: Any) -> Any:
        space = self._workspace(CPU, *rest)
        ran = space.run

        def run(*job: Any) -> Any:
            self.on_cpu += device == CPU and not self.compiles
            if device != CPU:
                self.on_card += 1
                if self.on_card > self.at:
                    raise self.error
            return ran(*job)

        space.run = run
        return space


OUT_OF_MEMORY = DeviceError(
    "the device cuda:0 has not enough free memory for 4096 elements", hint="use the CPU"
)
FAILURES = [
    RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be"),
    OUT_OF_MEMORY,
]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Exception], FailingCard]:
    def make(at: int, error: Exception) -> FailingCard:
        made = FailingCard(at, error)
        compile_for = table.compile_for

        def compiles(_: object, jobs: Any) -> None:
            made.compiles = True
            compile_for([CPU], jobs)
            made.compiles = False

        monkeypatch.setattr(table, "runs_kernels", lambda _: True)
        monkeypatch.setattr(table, "compile_for", compiles)
        monkeypatch.setattr(table, "workspace", made)
        return made

    return make


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("error", FAILURES)
@pytest.mark.parametrize("at", [0, 1, 5])
@pytest.mark.parametrize("method", ["parameter_selection", "linear"])
def test_a_card_that_fails_in_the_middle_leaves_the_rest_to_the_cpu(
    inputs: Path,
    tmp_path: Path,
    failing: Callable[[int, Exception], FailingCard],
    method: str,
    at: int,
    error: Exception,
) -> None:
    on_cpu = Story(inputs, tmp_path / "on-cpu", method)
    chunks = failing(0, error)
    on_cpu.run(device="cpu")
    chunks.on_card, chunks.at, whole, chunks.on_cpu = 0, at, chunks.on_cpu, 0
    notes: list[str] = []
    choices: list[Choice] = []
    told: list[str] = []
    shares: list[float] = []
    story = Story(inputs, tmp_path / "work", method)
    record = story.run(
        on_note=notes.append,
        on_choice=choices.append,
        on_tensor=lambda tensor: told.append(tensor.name),
        progress=lambda progress: shares.append(progress.fraction),
    )
    assert record.tensors == on_cpu.record().tensors
    assert {name: data for name, data in contents(story.out).items() if name.endswith(".safetensors")} == {
        name: data for name, data in contents(on_cpu.out).items() if name.endswith(".safetensors")
    }
    verify_output(story.out)  # which raises where a digest is wrong
    assert chunks.on_cpu == whole - at  # what the card had done is not done again
    assert record.bytes_read == on_cpu.record().bytes_read
    assert record.device == "cuda:0 (Fast Card), cpu"
    assert record.device_why == "cpu: cuda:0 failed in the middle of the merge"
    (said,) = [note for note in notes if "cuda:0" in note]
    first_line = str(error).splitlines()[0]
    assert said == f"cuda:0 (Fast Card) failed ({first_line}): going on with the CPU"
    assert [choice.is_whole for choice in choices] == [True, False]
    assert sorted(told) == sorted(tensor.name for tensor in record.tensors)
    assert shares == sorted(shares)
    assert story.names() == ["out"]


@pytest.mark.usefixtures("card")
def test_threads_and_a_card_that_fails(
    inputs: Path, story: Story, tmp_path: Path, failing: Callable[[int, Exception], FailingCard]
) -> None:
    on_cpu = Story(inputs, tmp_path / "on-cpu")
    failing(3, FAILURES[0])
    on_cpu.run(device="cpu")
    record = story.run(executor=None, threads=2)
    assert record.tensors == on_cpu.record().tensors


@pytest.mark.usefixtures("card")
def test_what_is_no_device_s_fault_stops_the_merge(
    story: Story, failing: Callable[[int, Exception], FailingCard]
) -> None:
    chunks = failing(1, MergeError("a file is broken"))
    with pytest.raises(MergeError, match="a file is broken"):
        story.run()
    assert chunks.on_cpu == 0
    chunks.at = 100

    def refuses(_: object) -> None:
        raise RuntimeError("the listener")

    with pytest.raises(RuntimeError, match="the listener"):
        story.run(on_tensor=refuses)
    assert chunks.on_cpu == 0
    assert story.names() == []


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("error", FAILURES)
def test_a_card_that_is_named_and_fails_is_an_error(
    story: Story,
    failing: Callable[[int, Exception], FailingCard],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    chunks = failing(1, error)
    monkeypatch.setattr(devices, "choose_devices", lambda _: [CARD])
    with pytest.raises(DeviceError, match="cuda:0") as caught:
        story.run(device="cuda")
    assert chunks.on_cpu == 0
    assert caught.value.hint == "use the CPU"
