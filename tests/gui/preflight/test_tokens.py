"""Vocabularies that differ, before the merge: a line, and a table of the tokens that change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QItemSelectionModel, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot
from token_models import EMBEDDING, Model

from core import CancelToken
from core.plan.estimate import Throughput
from core.recipe.tokenizer_section import TokenizerSection
from core.recipe.tokenizer_section import TokenRow as SectionRow
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.preflight.panel import PreflightPanel
from gui.preflight.preflight import look_ahead
from gui.preflight.report import PlanReport, TokenRow, TokensReport
from gui.preflight.tokens import TokensDialog
from gui.preflight.tokens_model import Column, TokensModel

MakeSetup = Callable[..., MergeSetup]
WORDS = [f"w{number}" for number in range(40)]


def report_on(setup: MergeSetup) -> PlanReport:
    return look_ahead(setup, Throughput(), CancelToken())


@pytest.fixture
def differing(make_setup: MakeSetup, tmp_path: Path) -> MergeSetup:
    """A set-up of a base, a model that added two tokens, and one that sorted its tokens anew."""
    base = Model.make(tmp_path / "base", WORDS, seed=0, names=(EMBEDDING,))
    one = Model.make(tmp_path / "one", [*WORDS, "<a>", "<b>"], seed=1, near=base, names=(EMBEDDING,))
    two = Model.make(tmp_path / "two", sorted(WORDS), seed=2, near=base, names=(EMBEDDING,))
    models = tuple(ModelChoice(model.folder) for model in (one, two))
    return make_setup(base=base.folder, models=models, k=2, vocab="union")


@pytest.fixture
def panel(qtbot: QtBot) -> PreflightPanel:
    panel = PreflightPanel()
    qtbot.addWidget(panel)
    panel.setFixedWidth(396)
    panel.show()
    return panel


def cells(dialog: TokensDialog) -> list[tuple[str, ...]]:
    model = dialog.table.model()
    return [tuple(model.index(row, column).data() for column in Column) for row in range(model.rowCount())]


def test_the_line_and_the_table_say_whose_rows_the_tokens_get(
    qtbot: QtBot, panel: PreflightPanel, differing: MergeSetup, make_setup: MakeSetup
) -> None:
    report = report_on(differing)
    assert not report.errors
    panel.show_report(report)
    moved = sum(word != other for word, other in zip(WORDS, sorted(WORDS), strict=True))
    assert any(
        label.text() == f"Tokens: 42 rows, 2 tokens added, {moved} moved"
        for label in panel.findChildren(QLabel)
        if label.isVisible()
    )
    qtbot.mouseClick(panel.tokens_button, Qt.MouseButton.LeftButton)
    dialog = panel.tokens
    assert dialog is not None
    assert dialog.isVisible()
    assert dialog.sizes_text == "The result has 42 rows of tokens. The models have: one 42, two 40, base 40."
    assert cells(dialog)[:3] == [
        ("<a>", "40", "added", "from one 40"),
        ("<b>", "41", "added", "from one 41"),
        ("w2", "2", "moved", f"from one 2 and two {sorted(WORDS).index('w2')}"),
    ]
    assert dialog.count_text == f"{moved + 2} tokens"
    qtbot.keyClicks(dialog.search_field, "ADDED <b>")
    assert [row[0] for row in cells(dialog)] == ["<b>"]
    assert dialog.count_text == f"1 of {moved + 2}"
    # Another recipe: the line goes, and the table that is open is empty.
    panel.show_report(report_on(make_setup()))
    assert not panel.tokens_button.isVisible()
    assert not cells(dialog)


def test_the_line_stays_while_a_report_has_no_plan(panel: PreflightPanel, differing: MergeSetup) -> None:
    panel.show_report(report_on(differing))
    panel.show_report(PlanReport(differing, errors=report_on(replace(differing, base=None)).errors))
    assert panel.tokens_button.isVisible()


def test_a_base_alone_leaves_tokens_out(differing: MergeSetup) -> None:
    report = report_on(replace(differing, vocab="base"))
    assert report.tokens is not None
    assert report.tokens.summary.startswith("40 rows, 2 tokens left out, ")
    assert report.tokens.rows[0] == TokenRow("<a>", None, "left out", "in one 40")


def test_what_is_said_of_vocabularies_leads_to_the_field_of_tokens(differing: MergeSetup) -> None:
    added = replace(differing, models=differing.models[:1], k=1, vocab=None)
    targets = {one.target: one.message for one in report_on(added).warnings if "vocabular" in one.message}
    assert list(targets) == ["vocab"]
    assert targets["vocab"].startswith("The vocabularies differ and are united: the result has 42 rows")


def test_tokenizers_that_do_not_go_together_are_a_problem_that_says_what_to_write(
    differing: MergeSetup,
) -> None:
    models = (*differing.models, ModelChoice(differing.models[0].folder.parent / "base"))
    report = report_on(replace(differing, vocab=None, models=models[:2]))
    (problem,) = report.errors
    assert problem.hint is not None
    assert "choose Of all models for Tokens under Precision and device" in problem.hint
    assert report_on(replace(differing, models=models[:2])).errors == ()  # which is the field of `vocab`


def test_many_tokens_are_shown_up_to_some(qtbot: QtBot) -> None:
    dialog = TokensDialog()
    qtbot.addWidget(dialog)
    rows = tuple(TokenRow(f"t{number}", number, "moved", "from a") for number in range(3))
    dialog.set_report(TokensReport("", "", rows, 12_003))
    assert dialog.count_text == "3 tokens, and 12\u202f000 more"


def test_tokens_are_copied_as_lines(qtbot: QtBot) -> None:
    dialog = TokensDialog()
    qtbot.addWidget(dialog)
    rows = (
        TokenRow("<a>", 1_003, "added", "from a 1"),
        TokenRow("b\tc\n\u202ed\x07", None, "left out", "in a 2"),
        TokenRow("e", 5, "moved", "from a 3"),
    )
    dialog.set_report(TokensReport("", "", rows, 3))
    with qtbot.waitActive(dialog):
        dialog.show()
    dialog.table.setFocus()
    dialog.table.selectRow(0)
    dialog.table.selectionModel().select(
        dialog.model.index(1, 0),
        QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows,
    )
    QTest.keyClick(dialog.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text().split("\n") == [
        "<a>\t1\u202f003\tadded\tfrom a 1",
        "b\\tc\\n\\u202ed\\x07\t\tleft out\tin a 2",
    ]


def test_rows_that_are_given_to_several_are_said_once(differing: MergeSetup) -> None:
    one = differing.models[0].folder
    asked = TokenizerSection((SectionRow("<b>", one, "<a>", force=True),))
    report = report_on(replace(differing, vocab=None, tokenizer=asked))
    assert report.tokens is not None
    assert next(row.origin for row in report.tokens.rows if row.token == "<b>") == "from one 40"


def test_the_model_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    model = TokensModel()
    qtmodeltester.check(model)
    model.set_rows([TokenRow("<a>", 3, "added", "from a"), TokenRow("b\nc", None, "left out", "in a")])
    model.set_search("a")
    qtmodeltester.check(model)


def test_without_room_for_a_line_there_is_a_button_beside_the_other(
    qtbot: QtBot, panel: PreflightPanel, differing: MergeSetup, make_setup: MakeSetup
) -> None:
    def height(report: PlanReport) -> int:
        panel.show_report(report)
        qtbot.wait(1)  # layouts hear later of what was shown in them
        return panel.minimumSizeHint().height()

    panel.set_room(spacing=4, headings=False, problem_lines=5)
    assert height(report_on(differing)) == height(report_on(make_setup()))
    assert not panel.tokens_button.isVisible()
    panel.show_report(report_on(differing))
    qtbot.wait(1)
    assert panel.tokens_button.mapTo(panel, QPoint()).y() == panel.ledger_button.mapTo(panel, QPoint()).y()
    qtbot.mouseClick(panel.tokens_button, Qt.MouseButton.LeftButton)
    assert panel.tokens is not None
    assert panel.tokens.isVisible()
    panel.set_room(spacing=8, headings=True, problem_lines=5)
    assert panel.tokens_button.text() == "Show…"
