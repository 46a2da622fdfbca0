"""The panel that shows what is known of a merge before it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from core import CancelToken
from core.plan.estimate import Throughput, TimeEstimate
from gui.document.merge_setup import MergeSetup
from gui.preflight.panel import PreflightPanel
from gui.preflight.preflight import look_ahead
from gui.preflight.report import PlanReport, Problem

MakeSetup = Callable[..., MergeSetup]


def report_on(setup: MergeSetup) -> PlanReport:
    return look_ahead(setup, Throughput(), CancelToken())


@pytest.fixture
def panel(qtbot: QtBot) -> PreflightPanel:
    panel = PreflightPanel()
    qtbot.addWidget(panel)
    panel.setFixedWidth(396)
    panel.show()
    return panel


def error(message: str = "Choose the base model.", target: str = "base") -> Problem:
    return Problem(message, None, target)


def press(qtbot: QtBot, panel: PreflightPanel) -> None:
    qtbot.mouseClick(panel.merge_button, Qt.MouseButton.LeftButton)


def texts(panel: PreflightPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel) if label.isVisible()]


def test_nothing_can_be_merged_before_the_first_report(panel: PreflightPanel) -> None:
    assert not panel.merge_button.isEnabled()
    assert not panel.cancel_button.isEnabled()
    assert not panel.ledger_button.isEnabled()


def test_the_numbers_are_shown(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    report = replace(
        report_on(make_setup()),
        bytes_to_read=10_300_000_000,
        bytes_of_a_pass=10_300_000_000,
        bytes_to_write=936_000_000,
        memory_bytes=250_000_000,
        free_disk_bytes=63_000_000_000,
        parameters=468_000_000,
        estimate=TimeEstimate(8.2, 3, 1, 0.2, learned=True),
    )
    panel.show_report(report)
    assert "Reads 10.3 GB, writes 936 MB, about 8 s" in texts(panel)
    assert "Memory 250 MB, disk 63 GB free, 8 tensors" in texts(panel)
    panel.show_report(replace(report, bytes_to_read=30_900_000_000, passes=3))
    assert "Reads 3 × 10.3 GB, writes 936 MB, about 8 s" in texts(panel)
    assert "8 tensors merged" in panel._needs.toolTip()
    assert "468 M parameters" in panel._needs.toolTip()


def test_merge_is_pressed_when_all_is_well(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.show_report(report_on(make_setup()))
    assert panel.reason is None
    with qtbot.waitSignal(panel.merge_requested):
        press(qtbot, panel)


def test_an_error_keeps_merge_from_being_pressed_and_is_said(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    problem = error()
    panel.show_report(PlanReport(make_setup(), errors=(problem,)))
    assert not panel.merge_button.isEnabled()
    assert panel.reason == panel.merge_button.toolTip() == "Choose the base model."
    assert panel.problems.texts == ["Choose the base model."]
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.wish_merge()
    with qtbot.waitSignal(panel.show_requested) as emitted:
        qtbot.mouseClick(panel.problems.links[0], Qt.MouseButton.LeftButton)
    assert emitted.args == [problem]


def test_show_me_is_reached_by_keyboard(qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup) -> None:
    warning = error("It has no tokenizer.")
    panel.show_report(replace(report_on(make_setup()), warnings=(warning,)))
    panel.activateWindow()
    panel.ledger_button.setFocus()
    qtbot.keyClick(panel.ledger_button, Qt.Key.Key_Tab)
    assert panel.problems.links[0].hasFocus()
    with qtbot.waitSignal(panel.show_requested) as emitted:
        qtbot.keyClick(panel.problems.links[0], Qt.Key.Key_Space)
    assert emitted.args == [warning]
    qtbot.keyClick(panel.problems.links[0], Qt.Key.Key_Tab)
    assert panel.merge_button.hasFocus()


def test_the_focus_stays_at_the_buttons(qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup) -> None:
    panel.show_report(report_on(make_setup()))
    panel.activateWindow()
    panel.merge_button.setFocus()
    panel.setup_changed()
    qtbot.keyClick(panel.merge_button, Qt.Key.Key_Space)  # waits for the check
    assert panel.cancel_button.hasFocus()
    qtbot.keyClick(panel.cancel_button, Qt.Key.Key_Space)
    assert panel.merge_button.hasFocus()
    panel.set_merging(True)
    assert panel.cancel_button.hasFocus()
    panel.show_cancelling()
    assert panel.focusWidget() is None  # nothing else is pressed by mistake


def test_a_problem_without_a_place_has_no_way_to_it(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    panel.show_report(PlanReport(make_setup(), errors=(error(target=""),)))
    assert panel.problems.links == []


def test_warnings_do_not_stand_in_the_way(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    panel.show_report(replace(report_on(make_setup()), warnings=(error("It has no tokenizer."),)))
    assert panel.problems.texts == ["It has no tokenizer."]
    assert panel.merge_button.isEnabled()


def test_many_long_warnings_are_counted_and_all_can_be_read(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    report = report_on(make_setup())
    panel.show_report(replace(report, warnings=(error("It has no tokenizer."),)))
    qtbot.wait(1)
    low = panel.sizeHint().height()
    text = (
        "run-{} has rope_theta 10,000 where /models/of_a/very_long_path has 500,000: " + "its weights " * 20
    )
    many = tuple(Problem(text.format(number), "Merge others." * 5, "models") for number in range(14))
    panel.show_report(replace(report, warnings=many))
    qtbot.wait(1)
    assert "14 warnings" in texts(panel)
    assert panel.merge_button.isEnabled()
    assert panel.sizeHint().height() < low + 100
    shown = panel.problems
    visible = shown.viewport().rect()
    for link, problem in zip(shown.links, many, strict=True):
        row = link.parentWidget()
        assert row is not None
        assert row.mapTo(shown.viewport(), row.rect().topLeft()).x() == 0
        assert row.width() <= visible.width()
        for label in row.findChildren(QLabel):
            assert label.height() >= label.heightForWidth(label.width()), problem.message
    shown.verticalScrollBar().setValue(shown.verticalScrollBar().maximum())
    bottom = shown.links[-1].parentWidget()
    assert bottom is not None
    assert bottom.mapTo(shown.viewport(), bottom.rect().bottomLeft()).y() < visible.height()


def test_errors_come_before_warnings(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    report = PlanReport(make_setup(), errors=(error("Wrong."),), warnings=(error("Odd."),))
    panel.show_report(report)
    assert panel.problems.texts == ["Wrong.", "Odd."]


def test_merge_waits_for_the_check_of_a_newer_set_up(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    panel.setup_changed()
    panel.show_checking()
    assert not panel.checked
    with qtbot.assertNotEmitted(panel.merge_requested):
        press(qtbot, panel)
    assert "Waiting for the check…" in texts(panel)
    assert not panel.merge_button.isEnabled()
    with qtbot.waitSignal(panel.merge_requested):
        panel.show_report(report)
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.show_report(report)


def test_a_wish_that_turns_out_wrong_is_not_carried_out(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    panel.show_checking()
    press(qtbot, panel)
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.show_report(replace(report, errors=(error(),)))
        panel.show_report(report)


@pytest.mark.parametrize("withdraw", ["change", "cancel"])
def test_a_wish_can_be_withdrawn(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup, withdraw: str
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    panel.show_checking()
    press(qtbot, panel)
    with qtbot.assertNotEmitted(panel.merge_requested), qtbot.assertNotEmitted(panel.cancel_requested):
        if withdraw == "change":
            panel.setup_changed()
        else:
            qtbot.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
        panel.show_report(report)
    assert panel.merge_button.isEnabled()


def test_a_wish_may_come_before_any_report(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.wish_merge()
    with qtbot.waitSignal(panel.merge_requested):
        panel.show_report(report_on(make_setup()))


def test_only_a_slow_check_is_talked_about(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.show_report(report_on(make_setup()))
    panel.setup_changed()
    panel.show_checking()
    before = texts(panel)
    assert "Checking…" not in before
    qtbot.waitUntil(lambda: "Checking…" in texts(panel), timeout=2000)
    assert [text for text in texts(panel) if text != "Checking…"] == [text for text in before if text]
    panel.show_report(report_on(make_setup()))
    assert "Checking…" not in texts(panel)


def test_while_a_merge_runs_it_can_only_be_cancelled(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    panel.show_report(report_on(make_setup()))
    panel.set_merging(True)
    assert not panel.merge_button.isEnabled()
    with qtbot.assertNotEmitted(panel.merge_requested):
        panel.wish_merge()
    with qtbot.waitSignal(panel.cancel_requested):
        qtbot.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
    assert panel.cancel_button.isEnabled()  # the user is asked first
    panel.show_cancelling()
    panel.set_merging(True)
    assert not panel.cancel_button.isEnabled()
    assert "Cancelling…" in texts(panel)
    panel.set_merging(False)
    assert panel.merge_button.isEnabled()


def test_the_usual_problem_moves_nothing(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    heights = set()
    good = report_on(make_setup())
    for report in (good, PlanReport(make_setup(), errors=(error(),)), replace(good, warnings=(error(),))):
        panel.show_report(report)
        heights.add(panel.sizeHint().height())
    assert len(heights) == 1


def test_many_problems_scroll(panel: PreflightPanel, make_setup: MakeSetup) -> None:
    problems = tuple(error(f"Tensor 'model.layers.{at}.mlp.up_proj.weight' is missing.") for at in range(40))
    panel.show_report(PlanReport(make_setup(), errors=problems))
    assert len(panel.problems.texts) == 40
    assert panel.sizeHint().height() < 450
    assert panel.problems.verticalScrollBar().maximum() > 0
    assert all(
        link.visibleRegion().boundingRect().width() == link.width() for link in panel.problems.links[:1]
    )


def test_the_ledger_opens_beside_the_window_and_follows_the_reports(
    qtbot: QtBot, panel: PreflightPanel, make_setup: MakeSetup
) -> None:
    report = report_on(make_setup())
    panel.show_report(report)
    qtbot.mouseClick(panel.ledger_button, Qt.MouseButton.LeftButton)
    assert panel.ledger is not None
    assert panel.ledger.isVisible()
    assert not panel.ledger.isModal()
    assert panel.ledger.model.rowCount() == 8
    panel.show_report(replace(report, ledger=report.ledger[:3]))
    assert panel.ledger.model.rowCount() == 3
    panel.ledger.close()
