"""The list of sub-models: who takes part, the order, the names, and what the item model says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.modeltest import ModelTester

from gui.document.merge_setup import ModelChoice
from gui.failure import Failure
from gui.models.known_models import KnownModels, State
from gui.models.sub_models import SubModels
from gui.models.summary import ModelSummary
from gui.models.table_model import ROWS_MIME_TYPE, Column, SubModelsModel
from gui.widgets.theme import model_colour

ROOT = QModelIndex()
MOVE = Qt.DropAction.MoveAction


def choices(names: str, *, without: str = "") -> list[ModelChoice]:
    """A model for each letter; those in `without` are not enabled."""
    return [ModelChoice(Path("/m", name), enabled=name not in without) for name in names]


def list_of(names: str, k: int, *, without: str = "") -> SubModels:
    models = SubModels(tuple(choices(names, without=without)))
    models.set_k(k)
    return models


def letters(model: SubModels | SubModelsModel) -> str:
    return "".join(choice.folder.name for choice in model.choices)


@pytest.fixture
def model(qapp: QApplication) -> SubModelsModel:
    """Rows a to e; all take part."""
    model = SubModelsModel(KnownModels())
    model.add(choices("abcde"))
    return model


@pytest.mark.parametrize(
    ("k", "without", "rows", "enabled", "after"),
    [
        (4, "", [1], False, 3),  # all took part: K follows
        (3, "b", [1], True, 4),
        (2, "", [3], False, 2),  # K is kept
        (2, "", [0], False, 2),
        (2, "d", [3], True, 2),
        (3, "", [0, 1, 2], False, 1),  # as far as there are enough
        (4, "", [0, 1, 2, 3], False, 0),
        (0, "abcd", [2], True, 1),
    ],
)
def test_k_follows_the_ticks_where_all_take_part(
    k: int, without: str, rows: list[int], enabled: bool, after: int
) -> None:
    models = list_of("abcd", k, without=without)
    models.enable(rows, enabled)
    assert models.k == after


@pytest.mark.parametrize(("k", "after_removal", "after_adding"), [(4, 3, 5), (3, 3, 3), (2, 2, 2)])
def test_k_follows_the_length_where_all_take_part(k: int, after_removal: int, after_adding: int) -> None:
    models = list_of("abcd", k)
    models.remove([0])
    assert models.k == after_removal
    models = list_of("abcd", k)
    models.put([*models.choices, ModelChoice(Path("/m/e"))])
    assert models.k == after_adding


@pytest.mark.parametrize(("asked", "k"), [(0, 1), (2, 2), (9, 3)])
def test_k_stays_within_the_enabled(asked: int, k: int) -> None:
    assert list_of("abcd", asked, without="b").k == k


def test_the_first_k_enabled_are_numbered() -> None:
    assert list_of("abcde", 3, without="b").numbers() == [0, None, 1, 2, None]


@pytest.mark.parametrize(
    ("rows", "before", "after"),
    [
        ([0], 3, "bcade"),
        ([3, 4], 1, "adebc"),
        ([0, 2, 4], 2, "baced"),  # they come to stand together
        ([1], 1, "abcde"),
        ([1], 2, "abcde"),
        ([0, 1], 5, "cdeab"),
    ],
)
def test_rows_are_gathered_where_they_are_dropped(
    model: SubModelsModel, rows: list[int], before: int, after: str
) -> None:
    kept = {row: QPersistentModelIndex(model.index(row, 0)) for row in range(5)}
    mime = model.mimeData([model.index(row, column) for row in rows for column in Column])
    assert mime.hasFormat(ROWS_MIME_TYPE)
    assert model.canDropMimeData(mime, MOVE, before, 0, ROOT)
    assert model.dropMimeData(mime, MOVE, before, 0, ROOT)
    assert letters(model) == after
    assert [kept[row].data() for row in range(5)] == list("abcde")  # a selection stays with its rows


def test_a_drop_below_the_rows_is_at_the_end(model: SubModelsModel) -> None:
    model.dropMimeData(model.mimeData([model.index(0, 0)]), MOVE, -1, -1, ROOT)
    assert letters(model) == "bcdea"


def test_chips_are_numbered_as_the_pictures_are(model: SubModelsModel) -> None:
    model.enable([1], False)
    model.set_k(3)
    chips = [model.index(row, Column.NAME).data(Qt.ItemDataRole.DecorationRole) for row in range(5)]
    middles = [chip.pixmap(32, 32).toImage().pixelColor(16, 16) for chip in chips]
    assert [middles[row] for row in (0, 2, 3)] == [model_colour(number) for number in range(3)]
    assert [middles[row].alpha() for row in (1, 4)] == [0, 0]


def test_folders_of_one_name_show_where_they_are(model: SubModelsModel) -> None:
    folders = [Path(f"/runs/{run}/checkpoint-100") for run in "ab"]
    model.replace_all([ModelChoice(folders[0])], 1)
    assert model.names == ["checkpoint-100"]
    model.add([ModelChoice(folders[1])])
    assert model.names == ["a/checkpoint-100", "b/checkpoint-100"]
    model.remove([0])
    assert model.names == ["checkpoint-100"]


def test_every_change_is_told_once(model: SubModelsModel) -> None:
    told: list[str] = []
    model.changed.connect(lambda: told.append(letters(model)))
    model.add(choices("fgh"))
    model.remove([0, 1, 4])
    model.move([3, 4], 0)
    model.enable([0, 1, 2], False)
    model.set_weight([0, 1], 0.5)
    model.set_k(2)
    model.set_k(2)
    model.replace_all(choices("xyz"), 2)
    assert told == ["abcdefgh", "cdfgh", "ghcdf", "ghcdf", "ghcdf", "xyz"]
    # K was 2 already: only two of the five are enabled.


def test_a_state_is_told_by_a_sign_a_word_and_a_reason() -> None:
    known = KnownModels()
    model = SubModelsModel(known)
    model.add(choices("abcde"))
    broken = ModelSummary(Path("/m/d"), "d", problem=Failure("It holds no model."))
    known.add(
        [*(ModelSummary(Path("/m", name), name, 1000, ("BF16", "F32"), 2000) for name in "abc"), broken]
    )
    known.reasons = {Path("/m/a"): None, Path("/m/b"): "Its vocabulary is larger."}
    column = [model.index(row, Column.STATE) for row in range(5)]
    assert [index.data() for index in column] == ["✓", "!", "", "!", "…"]
    words = [index.data(Qt.ItemDataRole.AccessibleTextRole) for index in column]
    assert words == [
        state.words for state in (State.FITS, State.PROBLEM, State.UNCHECKED, State.PROBLEM, State.READING)
    ]
    tips = [index.data(Qt.ItemDataRole.ToolTipRole) for index in column]
    assert all(tip.startswith(f"/m/{name}\n") for tip, name in zip(tips, "abcde", strict=True))
    assert "Its vocabulary is larger." in tips[1]
    assert "It holds no model." in tips[3]
    assert [model.index(0, c).data() for c in (Column.PARAMETERS, Column.TYPE, Column.SIZE)] == [
        "1 K",
        "bf16 +1",
        "2 kB",
    ]


def test_the_list_keeps_the_rules_of_item_models(qtmodeltester: ModelTester) -> None:
    model = SubModelsModel(KnownModels())
    qtmodeltester.check(model)
    model.add(choices("abcdefg"))
    model.set_k(2)
    model.move([0, 2], 5)
    model.remove([1, 2, 4])
    model.enable([0], False)
    model.set_folder(1, Path("/m/z"))
    assert letters(model) == "bzfg"
    model.replace_all(choices("xy"), 1)
    qtmodeltester.check(model)


def test_a_k_that_was_set_comes_back_when_there_are_enough_again() -> None:
    sub_models = SubModels()
    sub_models.put(ModelChoice(Path(f"/run-{number}")) for number in range(8))
    assert sub_models.k == 8
    sub_models.set_k(4)
    sub_models.enable(range(8), enabled=False)
    assert sub_models.k == 0
    sub_models.enable(range(8), enabled=True)
    assert sub_models.k == 4
    sub_models.set_k(8)
    sub_models.enable([0], enabled=False)
    sub_models.enable([0], enabled=True)
    assert sub_models.k == 8


def test_headings_stand_as_their_columns_do(qapp: object) -> None:
    model = SubModelsModel(KnownModels())
    model.add([ModelChoice(Path("/run-1"))])
    role = Qt.ItemDataRole.TextAlignmentRole
    for column in Column:
        heading = model.headerData(column.value, Qt.Orientation.Horizontal, role)
        assert heading == model.index(0, column).data(role)
    assert model.headerData(0, Qt.Orientation.Horizontal, role) & Qt.AlignmentFlag.AlignLeft
