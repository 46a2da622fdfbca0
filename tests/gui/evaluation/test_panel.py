"""The panel without a process: what is listed, dropped, refused and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QStyle
from pytestqt.qtbot import QtBot

from core import load_recipe
from core.data.rows import DataSet
from core.evaluate.store.score_store import ScoreStore
from core.evaluate.verdict.comparison import Comparison, decimals_of, difference_text
from core.runs.history import HistoryEntry
from gui.background.tasks import BackgroundTasks
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.evaluation.candidates import candidates, default_reference
from gui.evaluation.evaluating import Evaluating
from gui.evaluation.figures import ResultRow
from gui.evaluation.listing import Listing
from gui.evaluation.look_job import Known
from gui.evaluation.panel import EvaluationPanel
from gui.evaluation.request import Choices, Request
from gui.evaluation.rows import result_rows
from gui.evaluation.table_model import Column
from gui.jobs import JobKeeper
from gui.widgets.contrast import contrast
from gui.widgets.theme import palette

BASE, ONE, TWO = Path("/models/base"), Path("/models/one"), Path("/models/two")
SETUP = MergeSetup("linear", BASE, (ModelChoice(ONE), ModelChoice(TWO), ModelChoice(Path("/no"))), 2)


@pytest.fixture
def runs(models: Path, tmp_path: Path) -> list[HistoryEntry]:
    """Newest first."""
    entry = HistoryEntry.begin(load_recipe(models / "recipe.yaml"), tmp_path / "newest")
    return [replace(entry, status="done"), replace(entry, status="done", out=tmp_path / "older")]


@pytest.fixture
def opened(qtbot: QtBot, tmp_path: Path) -> Iterator[SimpleNamespace]:
    panel, jobs = EvaluationPanel(), JobKeeper()
    tasks = BackgroundTasks(tmp_path / "background", panel)
    evaluating = Evaluating(panel, tasks, ScoreStore(tmp_path / "scores"), jobs, panel)
    qtbot.addWidget(panel)
    panel.resize(530, 220)
    panel.show()
    evaluating.set_setup(SETUP)
    yield SimpleNamespace(panel=panel, evaluating=evaluating, jobs=jobs)
    jobs.stop_all()


def names(panel: EvaluationPanel) -> list[str]:
    return [panel.model.index(row, Column.MODEL).data() for row in range(panel.model.rowCount())]


def settle(qtbot: QtBot, opened: SimpleNamespace) -> None:
    qtbot.waitUntil(lambda: opened.jobs.idle and not opened.evaluating.looking)


def test_the_models_of_the_document_and_the_last_merge_are_listed(runs: list[HistoryEntry]) -> None:
    of_others, runs = runs[0], [replace(one, recipe_data={"base_model": str(BASE)}) for one in runs]
    listed = candidates(SETUP, [of_others, *runs], [Path("/models/other"), runs[1].out])
    assert [(one.path, one.role, one.number) for one in listed] == [
        (BASE, "base", None),
        (ONE, "sub-model", 0),
        (TWO, "sub-model", 1),
        (runs[0].out, "merge", None),
        (Path("/models/other"), "folder", None),
        (runs[1].out, "merge", None),
    ]
    assert [one.path for one in candidates(SETUP, [of_others])] == [BASE, ONE, TWO]
    assert [one.path for one in candidates(MergeSetup.empty(SETUP), [of_others])] == [of_others.out]
    assert default_reference(listed) == ONE  # a merge is to be better than what it is made of
    assert default_reference(listed[:1]) == BASE
    assert default_reference([]) is None


def test_an_adapter_is_evaluated_on_the_base() -> None:
    listed = candidates(SETUP, [], adapters=[TWO])
    assert [str(one.path) for one in listed] == [str(BASE), str(ONE), f"{BASE}+{TWO}"]


@pytest.mark.parametrize(
    "choices",
    [Choices(), Choices(512, 100, "bfloat16", True, True, "cuda:1", 8), Choices(device="cpu", limit=1)],
)
def test_a_request_is_read_back_from_its_arguments(choices: Choices) -> None:
    request = Request(Path("/data/a=b --x.jsonl"), (ONE, Path("/models/base+/models/x")), ONE, choices)
    progress = ["--progress", "/x", "--background", "--json"]
    assert Request.read(request.arguments()) == request
    assert Request.read(request.arguments()[1:]) is None  # without its reference
    assert Request.read(["train", *progress]) is None


def comparison(difference: float, low: float, high: float) -> Comparison:
    return Comparison(
        name="two",
        reference="one",
        n=100,
        clusters=None,
        measure="loss",
        difference=difference,
        low=low,
        high=high,
        p=0.1,
        p_holm=0.2,
        verdict="no difference shown",
        samples_needed=1900,
    )


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((-0.0291, -0.033, -0.0252), "−0.0291 (−0.0330 to −0.0252)"),
        ((0.00151, 0.0005, 0.0025), "+0.0015 (+0.0005 to +0.0025)"),
        ((0.0, 0.0, 0.0), "0.0000 (0.0000 to 0.0000)"),
        ((0.31, -2.0, 2.62), "+0.31 (−2.00 to +2.62)"),
        ((0.000001, -0.0000004, 0.0000024), "+0.000001 (0.000000 to +0.000002)"),
        ((0.5, float("-inf"), float("inf")), "+0.50"),
        ((float("nan"), float("-inf"), float("inf")), ""),
    ],
)
def test_differences_have_the_decimals_that_mean_something(
    numbers: tuple[float, float, float], text: str
) -> None:
    assert difference_text(comparison(*numbers)) == text


def test_differences_of_one_column_have_the_same_decimals() -> None:
    both = [comparison(0.31, -2.0, 2.62), None, comparison(-0.0291, -0.033, -0.0252)]
    decimals = decimals_of(both)
    assert difference_text(both[0], decimals, interval=False) == "+0.3100"


def test_files_are_data_and_folders_are_models(
    qtbot: QtBot, opened: SimpleNamespace, tmp_path: Path, drop: Callable[..., None]
) -> None:
    panel = opened.panel
    (tmp_path / "mine").mkdir()
    (tmp_path / "data.jsonl").write_text(json.dumps({"text": "One."}) + "\n")
    drop(panel, tmp_path / "mine", tmp_path / "data.jsonl")
    settle(qtbot, opened)
    assert panel.data == tmp_path / "data.jsonl"
    assert names(panel) == ["◆ base", "one", "two", "mine"]
    assert panel.selected.candidate.path == tmp_path / "mine"
    assert panel.start_button.isEnabled()
    panel.remove_action.trigger()
    assert names(panel) == ["◆ base", "one", "two"]
    panel.select(ONE)
    assert not panel.remove_action.isEnabled()  # it belongs to the document


@pytest.mark.parametrize(
    ("content", "said"),
    [('{"text": "One."}\n{"words": "Two."}\n', "line 2"), ('{"text": "One."}\n{', "line 2")],
)
def test_data_that_cannot_be_used_are_refused_where_one_looks(
    qtbot: QtBot, opened: SimpleNamespace, tmp_path: Path, content: str, said: str
) -> None:
    panel, data = opened.panel, tmp_path / "data.jsonl"
    data.write_text(content)
    opened.evaluating.set_data(data)
    settle(qtbot, opened)
    assert said in panel.message.text
    assert "--" not in panel.message.text
    assert "line 2" not in panel.sentence.text()  # it is said once
    assert not panel.start_button.isEnabled()
    panel.settings.skip_bad_rows.click()
    settle(qtbot, opened)
    assert panel.message.text == ""
    assert panel.start_button.isEnabled()
    assert panel.facts.toolTip()  # which says what was left out


def test_bad_rows_are_skipped_where_it_is_said_that_there_are_any(
    qtbot: QtBot, opened: SimpleNamespace, tmp_path: Path
) -> None:
    panel, data = opened.panel, tmp_path / "data.jsonl"
    data.write_text('{"text": "One."}\n{"words": "Two."}\n')
    opened.evaluating.set_data(data)
    settle(qtbot, opened)
    (button,) = (one for one in panel.message.findChildren(QPushButton) if one.text() == "Skip bad rows")
    button.click()
    settle(qtbot, opened)
    assert panel.settings.skip_bad_rows.isChecked()
    assert not panel.message.isVisible()
    assert panel.start_button.isEnabled()


def show_compared(panel: EvaluationPanel, **changes: object) -> None:
    found = replace(comparison(-0.0014, -0.0031, -0.0003), compared=9, **changes)
    candidate = candidates(SETUP, [])[2]
    panel.show_rows([ResultRow(candidate, "two", True, comparison=found)])
    panel.select(TWO)


def test_a_verdict_is_read_whole_or_ends_in_an_ellipsis(opened: SimpleNamespace) -> None:
    panel = opened.panel
    panel.resize(700, 400)
    show_compared(panel)
    whole = panel.selected.comparison.sentence
    assert panel.sentence.text() == whole
    panel.resize(530, 400)
    assert panel.sentence.text() == whole
    show_compared(panel, notes=("What else is to be known of it, said at length.",) * 9)
    assert panel.sentence.text().endswith("…")
    assert panel.sentence.toolTip() == panel.selected.comparison.sentence


def test_an_interval_beside_zero_without_a_verdict_says_why(opened: SimpleNamespace) -> None:
    show_compared(opened.panel)
    tip = opened.panel.model.index(0, Column.VERDICT).data(Qt.ItemDataRole.ToolTipRole)
    assert "one of 9 may by chance" in tip


def test_what_is_selected_is_marked_elsewhere_and_the_other_way_round(
    qtbot: QtBot, opened: SimpleNamespace
) -> None:
    panel = opened.panel
    with qtbot.waitSignal(panel.marked) as told:
        panel.select(TWO)
    assert told.args == [frozenset({"two"})]
    panel.show_marked(frozenset({"one"}))
    assert panel.selected.candidate.path == ONE
    panel.show_marked(frozenset({"one", "two"}))
    assert panel.selected is None


def test_a_number_that_cannot_be_taken_is_said_and_nothing_starts(
    qtbot: QtBot, opened: SimpleNamespace, tmp_path: Path
) -> None:
    panel, data = opened.panel, tmp_path / "data.jsonl"
    data.write_text('{"text": "One."}\n')
    opened.evaluating.set_data(data)
    settle(qtbot, opened)
    panel.settings.limit.setText("some")
    assert not panel.start_button.isEnabled()
    assert "number of rows" in panel.start_button.toolTip()
    panel.settings.limit.setText("1")
    settle(qtbot, opened)
    assert panel.start_button.isEnabled()


def test_the_box_of_a_model_that_is_not_ticked_is_seen_on_a_dark_ground(opened: SimpleNamespace) -> None:
    panel = opened.panel
    panel.setPalette(palette(dark=True))
    panel.table.clearSelection()
    panel.model.setData(panel.model.index(0, Column.MODEL), Qt.CheckState.Unchecked, Qt.CheckStateRole)
    cell = panel.table.visualRect(panel.model.index(0, Column.MODEL))
    cell.setWidth(panel.style().pixelMetric(QStyle.PixelMetric.PM_IndicatorWidth) + 3)
    image = panel.table.viewport().grab(cell).toImage()
    ground = image.pixelColor(image.width() // 2, 1)
    seen = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    assert max(contrast(colour, ground) for colour in seen) >= 3


def test_what_has_no_room_is_said_elsewhere(qtbot: QtBot, opened: SimpleNamespace) -> None:
    panel = opened.panel
    assert panel.table.isColumnHidden(Column.OTHER)
    assert (
        panel.model.headerData(Column.DIFFERENCE, panel.table.horizontalHeader().orientation())
        == "Difference"
    )
    bar = panel.table.horizontalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() == 0)
    assert panel.sentence.isVisible()
    panel.resize(530, 130)
    qtbot.waitUntil(lambda: not panel.sentence.isVisible())
    panel.resize(1200, 220)
    qtbot.waitUntil(lambda: not panel.table.isColumnHidden(Column.OTHER))
    assert not panel.model.compact


def test_a_file_that_is_typed_counts_without_return(
    qtbot: QtBot, opened: SimpleNamespace, tmp_path: Path
) -> None:
    panel = opened.panel
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"text": "One."}) + "\n")
    qtbot.keyClicks(panel.data_field, str(path)[:-3])
    qtbot.wait(450)
    assert not panel.start_button.isEnabled()  # the beginning of a name is no file
    assert not panel.message.isVisible()
    qtbot.keyClicks(panel.data_field, str(path)[-3:])
    qtbot.waitUntil(lambda: panel.start_button.isEnabled())
    settle(qtbot, opened)
    assert panel.data == path
    assert panel.facts.accessibleName() == "1 row"


def test_what_was_evaluated_before_gives_way_to_another_family() -> None:
    old = Path("/old/one"), Path("/old/base"), Path("/old/two")
    listing = Listing()
    listing.set_setup(MergeSetup.empty(SETUP), ())
    older = Path("/older/one"), Path("/older/two")
    for models in (older, old):
        listing.take(Request(Path("/data.jsonl"), models, models[0], Choices()))
    assert listing.evaluated == listing.paths == old
    listing.set_setup(SETUP, (), keep=True)  # while it runs
    assert set(old) < set(listing.paths)
    assert listing.reference == old[0]
    listing.set_setup(SETUP, ())
    assert listing.paths == (BASE, ONE, TWO)
    assert listing.reference == ONE
    assert all(map(listing.is_ticked, listing.paths))


def test_what_was_evaluated_before_stays_with_its_own_family() -> None:
    listing = Listing()
    listing.set_setup(MergeSetup.empty(SETUP), ())
    listing.take(Request(Path("/data.jsonl"), (TWO, ONE, Path("/merged")), TWO, Choices()))
    listing.set_setup(SETUP, ())
    assert listing.paths == (BASE, ONE, TWO, Path("/merged"))
    assert listing.reference == TWO


def test_what_is_not_ticked_at_the_start_takes_no_part_in_the_comparison() -> None:
    listing = Listing()
    listing.set_setup(SETUP, ())
    assert listing.compared == (BASE, ONE, TWO)
    listing.tick(TWO, False)
    assert listing.compared == (BASE, ONE, TWO)  # until it is started
    listing.hold(Request(Path("/data.jsonl"), listing.evaluated, ONE, Choices()))
    assert listing.compared == (BASE, ONE)
    known = Known(DataSet.__new__(DataSet), comparisons={BASE: comparison(0, 0, 0), TWO: comparison(0, 0, 0)})
    rows = result_rows(listing, None, known)
    assert [row.verdict for row in rows] == ["no difference shown", "reference", ""]
    listing.tick(TWO, True)
    listing.hold(Request(Path("/data.jsonl"), listing.evaluated, ONE, Choices()))
    assert listing.compared == (BASE, ONE, TWO)


def test_a_merge_that_is_evaluated_stays_listed_beside_the_next_one(runs: list[HistoryEntry]) -> None:
    newest, older = [replace(one, recipe_data={"base_model": str(BASE)}) for one in runs]
    listing = Listing()
    listing.set_setup(SETUP, ())
    listing.set_runs([older])
    listing.hold(Request(Path("/data.jsonl"), listing.evaluated, ONE, Choices()))
    listing.set_runs([newest, older])
    assert listing.paths == (BASE, ONE, TWO, newest.out, older.out)
    listing.set_setup(replace(SETUP, models=SETUP.models[:1], k=1), ())
    assert listing.paths == (BASE, ONE, newest.out, older.out)
