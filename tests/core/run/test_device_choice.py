"""What a merge says of the device that it runs on, and what becomes of a card that does not work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_merges import MAY_DIFFER, Story, contents, make_inputs

from core import Cancelled, MergePlan, devices, table
from core.cancel import CancelToken
from core.checkpoint.record_file import RECORD_NAME
from core.devices import CPU, Device
from core.plan import choice as choice_module
from core.plan.choice import Choice
from core.plan.estimate import Work

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
    given_up: set[str] = set()
    monkeypatch.setattr(devices, "give_up", given_up.update)
    monkeypatch.setattr(devices, "known_devices", lambda: [] if given_up else [CARD])

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
    assert again.device_why == NONE


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
