"""Evaluating in the window: a child process scores, the table fills in, and it is found again."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from core.evaluate.store.score_store import ScoreStore
from gui.background.tasks import BackgroundTasks
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.evaluation.evaluating import Evaluating
from gui.evaluation.files import EvaluationFiles
from gui.evaluation.panel import EvaluationPanel
from gui.evaluation.table_model import Column
from gui.jobs import JobKeeper
from gui.pictures.evaluated import Evaluation
from gui.settings import Settings
from gui.widgets.places import Places

FAKE = Path(__file__).with_name("fake_evaluate.py")
ROWS = 30
OFFSETS = {"base": 0.5, "one": 0.0, "two": 0.0, "better": -0.25}
SWING = 1 + 0.5 * np.sin(np.arange(ROWS))
"""As in the fake: the loss of a row is 3 + i / 10 + offset · SWING[i]."""

Open = Callable[[], SimpleNamespace]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models that have a config, weights that nobody reads, and an offset; and data."""
    for name, offset in OFFSETS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "llama"}')
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
        (tmp_path / name / "offset").write_text(str(offset))
    lines = (json.dumps({"text": f"Sample {number}."}) for number in range(ROWS))
    (tmp_path / "held-out.jsonl").write_text("\n".join(lines))
    monkeypatch.setenv("PARAMOSAIC_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def open_panel(qtbot: QtBot, folder: Path, settings: Settings) -> Iterator[Open]:
    """Opens a panel as a window does: base, one and two are the document's models."""
    opened: list[SimpleNamespace] = []

    def open_one() -> SimpleNamespace:
        panel, jobs = EvaluationPanel(), JobKeeper()
        tasks = BackgroundTasks(folder / "data" / "background", panel)
        tasks.command = [sys.executable, str(FAKE)]
        evaluating = Evaluating(panel, tasks, ScoreStore(folder / "data" / "scores"), jobs, panel)
        files = EvaluationFiles(panel, evaluating, Places(settings), panel)
        found = SimpleNamespace(
            panel=panel, tasks=tasks, evaluating=evaluating, jobs=jobs, files=files, evaluations=[]
        )
        evaluating.evaluation_changed.connect(found.evaluations.append)
        qtbot.addWidget(panel)
        panel.resize(900, 300)
        panel.show()
        models = tuple(ModelChoice(folder / name) for name in ("one", "two"))
        evaluating.set_setup(MergeSetup("linear", folder / "base", models, 2))
        evaluating.set_runs([])
        opened.append(found)
        tasks.follow()
        return found

    yield open_one
    for one in opened:
        one.jobs.stop_all()


def table(panel: EvaluationPanel, column: Column) -> dict[str, str]:
    """What stands in a column, by the name of the model."""
    model = panel.model
    rows = range(model.rowCount())
    names = [model.index(row, Column.MODEL).data().removeprefix("◆ ") for row in rows]
    return dict(zip(names, (model.index(row, column).data() for row in rows), strict=True))


def settle(qtbot: QtBot, one: SimpleNamespace) -> None:
    qtbot.waitUntil(lambda: not one.evaluating.running, timeout=20_000)
    qtbot.waitUntil(lambda: one.jobs.idle and not one.evaluating.looking)


def press_start(qtbot: QtBot, one: SimpleNamespace) -> None:
    qtbot.mouseClick(one.panel.start_button, Qt.MouseButton.LeftButton)


def test_models_are_scored_compared_and_known_the_next_time(
    qtbot: QtBot, folder: Path, open_panel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = open_panel()
    panel = one.panel
    assert not panel.start_button.isEnabled()
    assert panel.sentence.text().startswith("Choose a file with held-out samples")
    one.evaluating.set_data(folder / "held-out.jsonl")
    one.evaluating.add([folder / "better"])
    settle(qtbot, one)
    assert panel.facts.accessibleName() == "30 rows"
    press_start(qtbot, one)
    assert one.evaluating.running
    settle(qtbot, one)
    assert one.tasks.tasks[0].failure is None

    losses = {name: 3 + np.arange(ROWS) / 10 + by * SWING for name, by in OFFSETS.items()}
    assert table(panel, Column.LOSS) == {name: f"{loss.mean():.4f}" for name, loss in losses.items()}
    bits = {name: f"{loss.mean() * 8 / np.log(2) / 32:.4f}" for name, loss in losses.items()}
    assert table(panel, Column.OTHER) == bits
    assert table(panel, Column.VERDICT) == {
        "base": "hurts",
        "one": "reference",
        "two": "no difference shown",
        "better": "helps",
    }
    difference = losses["better"] - losses["one"]
    half = 2.0452296 * difference.std(ddof=1) / np.sqrt(ROWS)  # t with 29 degrees of freedom
    said = table(panel, Column.DIFFERENCE)["better"].replace("−", "-")
    numbers = [float(word.strip("()")) for word in said.split() if word != "to"]
    expected = [difference.mean(), difference.mean() - half, difference.mean() + half]
    assert numbers == pytest.approx(expected, abs=0.001)
    panel.select(folder / "better")
    assert panel.sentence.text().startswith("better, against one: helps on 30 samples")

    (*_, found) = one.evaluations
    assert isinstance(found, Evaluation)
    assert (found.reference, found.names) == (str(folder / "one"), tuple(OFFSETS))
    assert [comparison.name for comparison in found.comparisons] == ["base", "two", "better"]
    assert found.texts[3] == "Sample 3."
    assert found.scores[3].loss == pytest.approx(losses["better"])

    panel.copy_action.trigger()
    copied = list(csv.DictReader(io.StringIO(QGuiApplication.clipboard().text()), delimiter="\t"))
    assert [float(row["loss"]) for row in copied] == [loss.mean() for loss in losses.values()]
    assert [row["verdict"] for row in copied] == ["hurts", "", "no difference shown", "helps"]
    target = folder / "numbers.csv"
    monkeypatch.setattr("gui.evaluation.files.choose_table_to_save", lambda *_: target)
    panel.export_action.trigger()
    assert list(csv.DictReader(io.StringIO(target.read_text())))[3] == copied[3]

    again = open_panel()  # another window: it shows the last evaluation, and nothing is computed
    settle(qtbot, again)
    assert again.panel.data == folder / "held-out.jsonl"
    assert len(again.tasks.tasks) == 1
    qtbot.waitUntil(lambda: table(again.panel, Column.VERDICT) == table(panel, Column.VERDICT))
    (folder / "two" / "model.safetensors").write_bytes(b"trained further")
    again.evaluating.set_data(folder / "held-out.jsonl")
    settle(qtbot, again)
    assert table(again.panel, Column.LOSS)["two"] == "–"  # it is another model now
    again.panel.reference_chosen.emit(folder / "base")
    settle(qtbot, again)
    assert table(again.panel, Column.VERDICT)["one"] == "helps"


def test_what_is_unticked_at_the_next_start_is_compared_no_more(
    qtbot: QtBot, folder: Path, open_panel: Open
) -> None:
    one = open_panel()
    panel = one.panel
    one.evaluating.set_data(folder / "held-out.jsonl")
    one.evaluating.add([folder / "better"])
    settle(qtbot, one)
    press_start(qtbot, one)
    settle(qtbot, one)
    row = panel.model.number_of(folder / "two")
    panel.model.setData(
        panel.model.index(row, Column.MODEL), Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole
    )
    with qtbot.waitSignal(one.evaluating.started):
        press_start(qtbot, one)
    settle(qtbot, one)
    verdicts = table(panel, Column.VERDICT)
    assert verdicts == {"base": "hurts", "one": "reference", "two": "", "better": "helps"}
    assert table(panel, Column.LOSS)["two"] != "–"
    (*_, found) = one.evaluations
    assert [(other.name, other.compared) for other in found.comparisons] == [("base", 2), ("better", 2)]


def test_it_is_found_again_and_one_that_fails_takes_nothing_from_the_others(
    qtbot: QtBot, folder: Path, open_panel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO", str(folder / "go"))
    (folder / "two" / "broken").write_text("two: no tokenizer is in the folder")
    one = open_panel()
    one.evaluating.set_data(folder / "held-out.jsonl")
    settle(qtbot, one)
    one.panel.settings.limit.setText("20")
    press_start(qtbot, one)
    assert not one.panel.data_field.isEnabled()
    other = open_panel()
    assert other.evaluating.running
    assert other.panel.data == folder / "held-out.jsonl"
    assert other.panel.settings.choices().limit == 20
    for number in (0, 1):
        (folder / f"go-{number}").touch()
    for window in (one, other):
        panel = window.panel
        qtbot.waitUntil(
            lambda panel=panel: (
                table(panel, Column.VERDICT) == {"base": "hurts", "one": "reference", "two": "scoring"}
            ),
            timeout=20_000,
        )
        assert panel.sentence.text() == "two: scoring, about 1.0 s left"
    (folder / "go-2").touch()
    for window in (one, other):
        settle(qtbot, window)
        assert window.panel.message.text == "two: no tokenizer is in the folder. Leave it out."
        assert table(window.panel, Column.VERDICT) == {"base": "hurts", "one": "reference", "two": ""}
        assert window.panel.start_button.isEnabled()


def test_it_is_stopped_and_what_is_scored_is_kept(
    qtbot: QtBot, folder: Path, open_panel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO", str(folder / "go"))
    (folder / "go-0").touch()
    one = open_panel()
    panel = one.panel
    one.evaluating.set_data(folder / "held-out.jsonl")
    row = panel.model.index(2, Column.MODEL)
    assert panel.model.setData(row, Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole)
    assert not panel.model.setData(
        panel.model.index(1, Column.MODEL), Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole
    )  # the reference is always evaluated
    settle(qtbot, one)
    press_start(qtbot, one)
    qtbot.waitUntil(lambda: table(panel, Column.LOSS)["one"] != "–", timeout=20_000)
    assert table(panel, Column.VERDICT) == {"base": "scoring", "one": "reference", "two": ""}
    press_start(qtbot, one)
    settle(qtbot, one)
    assert one.tasks.tasks[0].state == "cancelled"
    assert panel.message.text == "Stopped. What is scored is kept; Start goes on with the rest."
    assert table(panel, Column.LOSS)["one"] == f"{(3 + np.arange(ROWS) / 10).mean():.4f}"
    assert table(panel, Column.VERDICT) == {"base": "", "one": "reference", "two": ""}


def test_the_newest_evaluation_is_shown_the_next_time(qtbot: QtBot, folder: Path, open_panel: Open) -> None:
    one, newer = open_panel(), folder / "newer.jsonl"
    newer.write_text((folder / "held-out.jsonl").read_text())
    for number, data in enumerate((folder / "held-out.jsonl", newer)):
        one.evaluating.set_data(data)
        settle(qtbot, one)
        press_start(qtbot, one)
        settle(qtbot, one)
        qtbot.wait(1100 * (1 - number))  # they are told apart by the second in which they began
    again = open_panel()
    settle(qtbot, again)
    assert again.panel.data == newer


def test_a_note_is_a_remark_and_no_warning(
    qtbot: QtBot, folder: Path, open_panel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NOTE", "the best single model: 0.0004 is the luck of choosing")
    one = open_panel()
    noted: list[tuple[str, str]] = []
    one.evaluating.noted.connect(lambda text, kind: noted.append((text, kind)))
    one.evaluating.set_data(folder / "held-out.jsonl")
    settle(qtbot, one)
    press_start(qtbot, one)
    settle(qtbot, one)
    assert ("The best single model: 0.0004 is the luck of choosing.", "info") in noted
    assert {kind for _, kind in noted} == {"info"}


def test_an_answer_begins_on_a_line_of_its_own(qtbot: QtBot, folder: Path, open_panel: Open) -> None:
    rows = ({"prompt": f"Is {number} a number?", "response": "Yes."} for number in range(ROWS))
    (folder / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    one = open_panel()
    one.evaluating.set_data(folder / "asked.jsonl")
    settle(qtbot, one)
    press_start(qtbot, one)
    settle(qtbot, one)
    assert one.evaluations[-1].texts[3] == "Is 3 a number?\nYes."
