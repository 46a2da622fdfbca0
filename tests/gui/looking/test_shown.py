"""The numbers of a merge are shown as those of that merge, and of no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

import gui.run.merge_job
from core import RunRecord, read_record
from core.errors import OutputError
from core.runs.history import HistoryEntry
from core.units import share_text
from gui.window.window import MainWindow

MEASURED = "Measured on every parameter"


@pytest.fixture
def looked(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    """A window that has measured three sub-models, to be selected from with n = 4, seed 7."""
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    qtbot.waitUntil(lambda: window.pictures.source.text == MEASURED, timeout=30_000)
    return window


class Halt:
    """Once it is set, the next merge stops at its second chunk until it is let go."""

    def __init__(self) -> None:
        self._reached, self._released = threading.Event(), threading.Event()
        self._begun = 0
        self._released.set()

    def set(self) -> None:
        self._begun = 0
        self._reached.clear()
        self._released.clear()

    def wait(self, qtbot: QtBot, window: MainWindow, run: str) -> None:
        """Until the merge `run` stands still, and the pictures show what it has counted."""
        qtbot.waitUntil(self._reached.is_set)
        text = f"Being counted by the merge with {run}"
        qtbot.waitUntil(lambda: window.pictures.source.text.startswith(text))

    def let_go(self, qtbot: QtBot, window: MainWindow) -> None:
        self._released.set()
        qtbot.waitUntil(lambda: not window.merging, timeout=30_000)
        settle(qtbot, window)

    def on_chunk(self) -> None:
        self._begun += 1
        if self._begun > 1:
            self._reached.set()
            assert self._released.wait(30)


@pytest.fixture
def halt(before_chunks: Callable[[Callable[[], None]], None]) -> Iterator[Halt]:
    halt = Halt()
    before_chunks(halt.on_chunk)
    yield halt
    halt._released.set()


def merge(qtbot: QtBot, window: MainWindow) -> RunRecord:
    """Merge what is in the fields; returns the record once the models are looked at again."""
    runs = window.log.text.count("Merged in")
    qtbot.waitUntil(lambda: window.preflight.checked)
    out = Path(window.setup().out)
    window.start_merge()
    qtbot.waitUntil(lambda: window.log.text.count("Merged in") > runs and not window.merging, timeout=30_000)
    settle(qtbot, window)
    return read_record(out)


def settle(qtbot: QtBot, window: MainWindow) -> None:
    """Wait until what is in the fields was checked and looked at."""
    qtbot.waitUntil(lambda: window.preflight.checked and not window.observer.looking, timeout=30_000)
    qtbot.waitUntil(lambda: window.idle, timeout=30_000)


def choose_method(window: MainWindow, name: str) -> None:
    box = window.recipe.method_box
    box.setCurrentIndex(box.findData(name))


def numbers(window: MainWindow) -> list[str]:
    """Every number of every picture and of the detail."""
    return [table.text() for picture in window.pictures.pictures for table in picture.tables()]


def words(window: MainWindow) -> str:
    """Everything that is written in the pictures, in the detail and below them."""
    texts = [window.pictures.source.text]
    for picture in window.pictures.pictures:
        picture.draw_now()
        texts += [picture.source, picture.accessibleDescription()]
        texts += [label.text() for label in picture.findChildren(QLabel)]
    rows = window.pictures.detail.table.model()
    texts += [
        rows.index(row, column).data() or ""
        for row in range(rows.rowCount())
        for column in range(rows.columnCount())
    ]
    return "\n".join(texts)


def left_text(record: RunRecord) -> str:
    """The share of the result that is as in the base, in words."""
    drawn = [tensor for tensor in record.tensors if tensor.zero_after_draw is not None]
    left = sum((tensor.zero_after_draw or (0,))[-1] for tensor in drawn)
    return share_text(left / sum(tensor.elements for tensor in drawn))


def taken_texts(record: RunRecord) -> list[str]:
    """The shares that the result has of each sub-model, in words."""
    drawn = [tensor.selected or () for tensor in record.tensors]
    elements = sum(tensor.elements for tensor in record.tensors)
    return [share_text(sum(counts) / elements) for counts in zip(*drawn, strict=True)]


def entries(qtbot: QtBot, window: MainWindow, runs: int) -> list[HistoryEntry]:
    """The runs of the history, newest first, as soon as there are so many and all are over."""
    rows = window.history.model

    def found() -> list[HistoryEntry]:
        return [rows.row(at).entry for at in range(rows.rowCount())]

    qtbot.waitUntil(lambda: len(found()) == runs and "running" not in {entry.status for entry in found()})
    return found()


def assert_shown(window: MainWindow, record: RunRecord, run: str) -> None:
    """The pictures show the numbers of `record`, named `run`."""
    said = words(window)
    assert window.pictures.source.text == (
        f"Counted by the merge with {run}; norms and cosines measured on every parameter"
    )
    assert window.pictures.provenance.sentence == ""
    assert all(text in said for text in taken_texts(record))
    summary = window.pictures.detail.accessibleDescription()
    assert f"merged with {run}: {left_text(record)} as in the base" in summary
    assert f"in the merge with {run}" in window.pictures.provenance.explanation.text()
    assert f"Dots: counted by the merge with {run}" in window.pictures.resampling.explanation.text()


def assert_nothing_merged(window: MainWindow) -> None:
    """No picture says anything of a merge that was."""
    said = words(window)
    assert window.pictures.source.text == MEASURED
    assert "merged with" not in said
    assert "ounted by the merge" not in said
    assert "in the merge with" not in said
    assert window.pictures.provenance.sentence
    assert window.pictures.provenance.tables() == []


def test_a_merge_that_counts_nothing_leaves_no_numbers_of_the_one_before(
    qtbot: QtBot, looked: MainWindow
) -> None:
    before = numbers(looked)
    record = merge(qtbot, looked)
    assert_shown(looked, record, "n = 4, seed 7")
    assert numbers(looked) != before
    choose_method(looked, "linear")
    merge(qtbot, looked)
    assert_nothing_merged(looked)
    assert numbers(looked) == before
    assert "“Weighted average” draws nothing" in looked.pictures.provenance.sentence
    choose_method(looked, "parameter_selection")  # it is not brought back: another merge was run since
    settle(qtbot, looked)
    assert_nothing_merged(looked)
    assert numbers(looked) == before


def test_the_pictures_go_by_the_method_of_the_recipe(qtbot: QtBot, looked: MainWindow) -> None:
    before = numbers(looked)
    record = merge(qtbot, looked)
    choose_method(looked, "linear")
    settle(qtbot, looked)
    assert_nothing_merged(looked)
    assert numbers(looked) == before
    choose_method(looked, "parameter_selection")
    settle(qtbot, looked)
    assert_shown(looked, record, "n = 4, seed 7")


def test_the_numbers_of_another_run_are_gone_as_soon_as_a_merge_begins(
    qtbot: QtBot, looked: MainWindow, halt: Halt
) -> None:
    before = numbers(looked)
    merge(qtbot, looked)
    assert numbers(looked) != before
    settle(qtbot, looked)
    looked.start_merge()
    assert looked.merging
    assert_nothing_merged(looked)
    assert numbers(looked) == before
    qtbot.waitUntil(lambda: not looked.merging, timeout=30_000)


def test_two_merges_with_another_seed_are_told_apart(qtbot: QtBot, looked: MainWindow, halt: Halt) -> None:
    first = merge(qtbot, looked)
    looked.recipe.set_seed(8)
    settle(qtbot, looked)
    assert_shown(looked, first, "n = 4, seed 7")  # nothing was merged with the seed in the fields
    halt.set()
    out = Path(looked.setup().out)
    looked.start_merge()
    halt.wait(qtbot, looked, "n = 4, seed 8")
    assert "seed 7" not in words(looked)
    halt.let_go(qtbot, looked)
    second = read_record(out)
    assert (left_text(first), taken_texts(first)) != (left_text(second), taken_texts(second))
    assert_shown(looked, second, "n = 4, seed 8")


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_what_a_merge_counted_before_it_broke_off_is_not_left_under_another_name(
    qtbot: QtBot, looked: MainWindow, halt: Halt, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    first = merge(qtbot, looked)
    counted = numbers(looked)
    looked.recipe.set_seed(8)
    looked.recipe.set_resamples(1)
    settle(qtbot, looked)
    if ending == "failed":
        run_merge = gui.run.merge_job.run_merge

        def fail(*arguments: object, **options: object) -> RunRecord:
            run_merge(*arguments, **options)  # type: ignore[arg-type]
            raise OutputError("the disk is gone")

        monkeypatch.setattr(gui.run.merge_job, "run_merge", fail)
    halt.set()
    looked.start_merge()
    halt.wait(qtbot, looked, "n = 1, seed 8")
    if ending == "cancelled":
        looked.merger.cancel(keep=False)
    halt.let_go(qtbot, looked)
    assert_shown(looked, first, "n = 4, seed 7")
    assert numbers(looked) == counted
    assert "seed 8" not in words(looked)


def test_a_first_merge_that_breaks_off_leaves_what_looking_found(
    qtbot: QtBot, looked: MainWindow, halt: Halt
) -> None:
    before = numbers(looked)
    halt.set()
    looked.start_merge()
    halt.wait(qtbot, looked, "n = 4, seed 7")
    looked.merger.cancel(keep=False)
    halt.let_go(qtbot, looked)
    assert_nothing_merged(looked)
    assert numbers(looked) == before


def test_a_run_that_is_opened_again_takes_the_place_of_the_last_one(qtbot: QtBot, looked: MainWindow) -> None:
    before = numbers(looked)
    first = merge(qtbot, looked)
    looked.recipe.set_seed(8)
    looked.recipe.set_resamples(2)
    second = merge(qtbot, looked)
    choose_method(looked, "linear")
    merge(qtbot, looked)
    average, later, earlier = entries(qtbot, looked, 3)
    looked.document.begin(looked.setup())  # nothing is lost
    for entry, record, run in ((earlier, first, "n = 4, seed 7"), (later, second, "n = 2, seed 8")):
        looked.reopen(entry)
        qtbot.waitUntil(lambda run=run: run in looked.pictures.source.text, timeout=30_000)
        settle(qtbot, looked)
        assert_shown(looked, record, run)
    looked.reopen(average)
    settle(qtbot, looked)
    assert_nothing_merged(looked)
    assert numbers(looked) == before


def test_a_recipe_that_is_changed_after_its_run_was_opened_again_has_no_numbers_of_it(
    qtbot: QtBot, looked: MainWindow
) -> None:
    record = merge(qtbot, looked)
    (entry,) = entries(qtbot, looked, 1)
    looked.reopen(entry)
    qtbot.waitUntil(lambda: "n = 4, seed 7" in looked.pictures.source.text, timeout=30_000)
    looked.recipe.set_seed(8)
    settle(qtbot, looked)
    assert_shown(looked, record, "n = 4, seed 7")
    looked.models.k_box.setValue(2)
    settle(qtbot, looked)
    assert_nothing_merged(looked)
    looked.models.k_box.setValue(3)
    choose_method(looked, "linear")
    settle(qtbot, looked)
    assert_nothing_merged(looked)


def test_a_recipe_that_is_changed_before_its_run_was_read_gets_no_numbers_of_it(
    qtbot: QtBot, looked: MainWindow
) -> None:
    merge(qtbot, looked)
    (entry,) = entries(qtbot, looked, 1)
    looked.reopen(entry)
    choose_method(looked, "linear")
    settle(qtbot, looked)
    assert_nothing_merged(looked)


def test_a_new_recipe_has_no_numbers_of_the_one_before(
    qtbot: QtBot, looked: MainWindow, models: Path, tmp_path: Path
) -> None:
    before = numbers(looked)
    merge(qtbot, looked)
    looked.document.begin(looked.setup())
    looked.new_recipe()
    qtbot.waitUntil(lambda: "Choose a base model" in looked.pictures.sentence)
    assert numbers(looked) == []
    assert looked.load_recipe(models / "recipe.yaml", tmp_path / "other")
    settle(qtbot, looked)
    qtbot.waitUntil(lambda: looked.pictures.source.text == MEASURED, timeout=30_000)
    assert_nothing_merged(looked)
    assert numbers(looked) == before
