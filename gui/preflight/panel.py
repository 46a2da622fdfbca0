"""Before you merge: what it will read, write and take, what stands in the way, and the button."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from core.devices import Device
from core.plan.estimate import TimeEstimate
from core.units import about_text, bytes_text, count_text, duration_text
from gui.document.merge_setup import MergeSetup
from gui.preflight.ledger import LedgerDialog
from gui.preflight.problem_list import ProblemList
from gui.preflight.report import PlanReport, TokensReport
from gui.preflight.tokens import TokensDialog
from gui.widgets.fields import show_focus
from gui.widgets.messages import ElidedLabel
from gui.widgets.plain import PlainLabel, tool_tip
from gui.widgets.theme import GRID, accent_button, heading, secondary
from gui.words import grouped, plural

__all__ = ["PreflightPanel"]

_SLOW_MS = 300
"""A check that takes longer is mentioned."""

_UNKNOWN = "–"

_Wish = Literal["merge", "resume"] | None
"""What begins as soon as a check has come out well."""

_FLOW_TIP = "Weights of the base and the sub-models that take part, and of the result."
_ROOM_TIP = "Memory for buffers, at most, whatever the size of the models; free space where the output goes."


class PreflightPanel(QWidget):
    """Shows a PlanReport. Merge can be pressed when the last report knows of no error.

    Pressed while a newer set-up is checked, Merge waits for that report, and starts if it is without errors.
    Going on with what an earlier merge left waits for a new report, too.

    Attributes:
        merge_button, cancel_button: start and stop.
        ledger_button: opens the ledger.
        problems: the errors and warnings.
        ledger: the dialog; None until it was opened.
        tokens_button, tokens: the same for the tokens of vocabularies that differ; out of sight for others.

    Signals:
        merge_requested(object): start the merge that the last report is about; carries the core.Leftover
            that is to be gone on with, or None.
        cancel_requested(): stop the merge that runs.
        show_requested(object): go to what a Problem is about.
        resume_requested(), removal_requested(object): as those of a ProblemList.
        free_name_requested(object), overwrite_requested(object), base_requested(object): as those of a
            ProblemList.
        wish_dropped(str): why a merge that waited for a check does not begin.
    """

    merge_requested = Signal(object)
    cancel_requested = Signal()
    show_requested = Signal(object)
    resume_requested = Signal()
    removal_requested = Signal(object)
    free_name_requested = Signal(object)
    overwrite_requested = Signal(object)
    base_requested = Signal(object)
    wish_dropped = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report: PlanReport | None = None
        self._stale = True
        self._wish: _Wish = None
        self._merging = False
        self._cancelling = False
        self._slow_check = False
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(_SLOW_MS)
        self._slow.timeout.connect(self._on_slow)
        self.ledger: LedgerDialog | None = None
        self._doing = PlainLabel()
        secondary(self._doing)
        self._measured: tuple[MergeSetup, float] | None = None
        self._flow, self._needs = (ElidedLabel(elide=Qt.TextElideMode.ElideRight) for _ in range(2))
        self._flow.setAccessibleDescription("What the merge reads and writes, and how long it takes")
        self._needs.setAccessibleDescription("What the merge needs, and what becomes of the tensors")
        self.ledger_button = QToolButton()
        self.ledger_button.setText("Show…")
        self.ledger_button.setAccessibleName("Show what happens to each tensor")
        self.ledger_button.setToolTip("What happens to each tensor")
        self.tokens: TokensDialog | None = None
        self.tokens_button = QToolButton()
        self.tokens_button.setText("Show…")
        self.tokens_button.setAccessibleName("Show whose row each token gets")
        self.tokens_button.setToolTip("Tokens that were added or moved, and whose rows they get")
        self._has_tokens, self._has_line_for_tokens = False, True
        self._of_tokens = ElidedLabel(elide=Qt.TextElideMode.ElideRight)
        self._of_tokens.setAccessibleDescription("How the vocabularies of the models become one")
        self.problems = ProblemList()
        self.merge_button = QPushButton("&Merge")
        self.cancel_button = QPushButton("Cancel")
        for button in (self.merge_button, self.cancel_button):
            button.setMinimumHeight(max(4 * GRID, button.fontMetrics().height() + 2 * GRID))
        accent_button(self.merge_button)
        self._lay_out()
        self.ledger_button.clicked.connect(self.show_ledger)
        self.tokens_button.clicked.connect(self.show_tokens)
        self.problems.show_requested.connect(self.show_requested)
        self.problems.resume_requested.connect(self.resume_requested)
        self.problems.removal_requested.connect(self.removal_requested)
        self.problems.free_name_requested.connect(self.free_name_requested)
        self.problems.overwrite_requested.connect(self.overwrite_requested)
        self.problems.base_requested.connect(self.base_requested)
        self.merge_button.clicked.connect(self.wish_merge)
        self.cancel_button.clicked.connect(self._on_cancel)
        self._update()

    @property
    def reason(self) -> str | None:
        """Why Merge cannot be pressed, as far as the last report says; None where nothing is in the way."""
        return self._report.errors[0].message if self._report is not None and self._report.errors else None

    @property
    def checked(self) -> bool:
        """Whether the last report is about what the fields say now."""
        return not self._stale

    # -- called by the window

    def setup_changed(self) -> None:
        """The last report is out of date, and so is a waiting merge of what it was about."""
        self._stale = True
        if self._wish:
            self._wish = None
            self.wish_dropped.emit("Not merged: the recipe was changed meanwhile")
        self._update()

    def show_checking(self) -> None:
        """A report is on its way; said in words when it takes long."""
        self._stale = True
        if not self._slow.isActive():
            self._slow.start()
        self._update()

    def show_report(self, report: PlanReport) -> None:
        """Show what was found about the set-up in the fields; starts the merge that waited for it."""
        self._slow.stop()
        self._report, self._stale, self._slow_check = report, False, False
        in_problems = any(link.hasFocus() for link in self.problems.links)
        wished, self._wish = self._wish, None
        self._show_facts(report)
        self._show_problems(report)
        self._set_dimmed(False)
        if self.ledger is not None:
            self.ledger.set_rows(report.ledger)
        self._show_tokens_of(report)
        self._update()
        if in_problems and not any(link.hasFocus() for link in self.problems.links):
            show_focus(self.problems.links[0] if self.problems.links else self.merge_button)
        if wished == "merge" and not report.errors:
            self.merge_requested.emit(None)
        elif wished == "resume" and report.can_resume:
            self.merge_requested.emit(report.left)
        elif wished:
            self.wish_dropped.emit(_why_not(report, wished))

    def set_merging(self, merging: bool) -> None:
        """Whether a merge runs; there is one at a time."""
        if merging != self._merging:
            self._merging, self._cancelling, self._wish = merging, False, None
            if self._report is not None:
                self._show_facts(self._report)
                if self._report.left is not None:
                    self._show_problems(self._report)
            self._update()

    def set_measured(self, setup: MergeSetup, seconds: float) -> None:
        """A merge of `setup` has taken so long; said in place of an estimate for one of the same work."""
        self._measured = setup, seconds
        if self._report is not None:
            self._show_facts(self._report)

    def set_room(self, *, spacing: int, headings: bool, problem_lines: int) -> None:
        """How much room there is: pixels between the parts, whether there is any for the heading, and lines
        of text for problems."""
        self._heading.setVisible(headings)
        self._has_line_for_tokens = headings
        self._place_tokens()
        self._lines.setSpacing(spacing)
        self.problems.set_lines(problem_lines)

    def show_cancelling(self) -> None:
        """The merge that runs was told to stop."""
        self._cancelling = True
        self._update()

    @Slot()
    def wish_merge(self) -> None:
        """Merge now, or as soon as the check of the set-up has come out well."""
        if self._merging:
            return
        if self._stale:
            self._wish = "merge"
            self._update()
        elif self._report is not None and not self._report.errors:
            self.merge_requested.emit(None)

    def wish_resume(self) -> None:
        """Go on with what an earlier merge left, once the next report says that nothing is in the way."""
        if not self._merging:
            self._wish = "resume"
            self._update()
            show_focus(self.cancel_button)  # what was pressed goes when it begins

    @Slot()
    def show_ledger(self) -> None:
        """Open the ledger, or bring it to the front."""
        if self.ledger is None:
            self.ledger = LedgerDialog(self)
            self.ledger.set_rows(self._report.ledger if self._report is not None else ())
        self.ledger.show()
        self.ledger.raise_()
        self.ledger.activateWindow()

    @Slot()
    def show_tokens(self) -> None:
        """Open the table of tokens, or bring it to the front."""
        if self.tokens is None:
            self.tokens = TokensDialog(self)
            self._show_tokens_of(self._report)
        self.tokens.show()
        self.tokens.raise_()
        self.tokens.activateWindow()

    def update_accent(self) -> None:
        """To be called when the palette changes."""
        accent_button(self.merge_button)
        self.problems.update_colours()
        self._order_tabs()

    # -- inside

    @Slot()
    def _on_slow(self) -> None:
        self._slow_check = True
        self._set_dimmed(True)
        self._update()

    @Slot()
    def _on_cancel(self) -> None:
        if self._wish:
            self._wish = None
            self._update()
        else:
            self.cancel_requested.emit()

    def _update(self) -> None:
        ready = self._report is not None and not self._report.errors
        self._enable(
            merge=ready and not self._merging and self._wish is None,
            cancel=self._wish is not None or (self._merging and not self._cancelling),
        )
        self.merge_button.setToolTip(tool_tip(self.reason or ""))
        self.ledger_button.setEnabled(self._report is not None and bool(self._report.ledger))
        self._doing.setText(self._doing_text())

    def _enable(self, *, merge: bool, cancel: bool) -> None:
        """A button that is disabled would pass its focus to whatever comes next: to the other one instead."""
        buttons = ((self.merge_button, merge), (self.cancel_button, cancel))
        for button, enabled in buttons:
            if enabled:
                button.setEnabled(True)
        for (button, enabled), (other, _) in (buttons, buttons[::-1]):
            if button.hasFocus() and not enabled:
                if other.isEnabled():
                    show_focus(other)
                else:
                    button.clearFocus()
            button.setEnabled(enabled)

    def _doing_text(self) -> str:
        if self._merging:
            return "Cancelling…" if self._cancelling else "Merging…"
        if self._wish:
            return "Waiting for the check…"
        if self._slow_check:
            return "Checking…"
        return _numbers_text(self._report) if self._report is not None else ""

    def _show_problems(self, report: PlanReport) -> None:
        errors, note = report.errors, "Ready."
        if self._merging and report.left is not None:  # which is what is merged
            errors, note = (), "Going on with the earlier merge."
        self.problems.show_problems(errors, report.warnings, note)
        self._order_tabs()

    def _show_facts(self, report: PlanReport) -> None:
        known = report.plan is not None
        reads = _reads_text(report) if known else _UNKNOWN
        writes = bytes_text(report.bytes_to_write) if known else _UNKNOWN
        memory = bytes_text(report.memory_bytes) if known else _UNKNOWN
        free = report.free_disk_bytes
        disk = f"{bytes_text(free)} free" if free is not None else _UNKNOWN
        flow, needs = [f"Reads {reads}", f"writes {writes}"], [f"Memory {memory}", f"disk {disk}"]
        flow_tip, needs_tip = [_FLOW_TIP, _passes_text(report)], [_ROOM_TIP]
        if not self._merging:  # while one runs, what is left of it is said where its progress is
            time, basis = self._time(report)
            flow.append(time)
            flow_tip.append(basis)
        if known:
            needs.append(plural(sum(report.actions.values()), "tensor"))
            needs_tip.append(
                f"{_ledger_text(report)}. The result has {count_text(report.parameters)} parameters."
            )
        self._flow.set_full_text(", ".join(filter(None, flow)), " ".join(filter(None, flow_tip)))
        self._needs.set_full_text(", ".join(needs), " ".join(needs_tip))

    def _show_tokens_of(self, report: PlanReport | None) -> None:
        """The line on tokens; it stays as it was while a report has no plan, so that nothing jumps."""
        if report is None or report.plan is None:
            return
        tokens = report.tokens or TokensReport()
        if self.tokens_button.hasFocus() and not tokens.summary:
            show_focus(self.ledger_button)
        self._has_tokens = bool(tokens.summary)
        self._place_tokens()
        self._of_tokens.set_full_text(f"Tokens: {tokens.summary}", tokens.sizes)
        if self.tokens is not None:
            self.tokens.set_report(tokens)

    def _place_tokens(self) -> None:
        """In a line of their own, or beside the other button where there is no room for another line."""
        own = self._has_line_for_tokens
        line = self._tokens_row if own else self._needs_row
        if line.indexOf(self.tokens_button) < 0:
            line.addWidget(self.tokens_button)
            self.tokens_button.setText("Show…" if own else "Tokens…")
        self.tokens_button.setVisible(self._has_tokens)
        self._tokens_line.setVisible(self._has_tokens and own)

    def _time(self, report: PlanReport) -> tuple[str, str]:
        """How long the merge takes, and where that is known from."""
        if self._measured is not None and _same_work(self._measured[0], report.setup):
            return f"{duration_text(self._measured[1])} last time", "As long as the same took before."
        if report.plan is None or report.estimate is None:
            return "", ""
        time, basis = about_text(report.estimate.seconds), _basis(report.estimate)
        if report.choice is None:
            return time, basis
        where = _place(report.choice.chosen.device)
        if len(report.choice.expected) > 1:  # with the CPU alone it goes without saying
            time = f"{time} on {where}"
        return time, f"{basis} On {where}: {report.choice.reason_now}."

    def _set_dimmed(self, dimmed: bool) -> None:
        role = QPalette.ColorRole.PlaceholderText if dimmed else QPalette.ColorRole.WindowText
        for label in (self._flow, self._needs, self._of_tokens):
            label.setForegroundRole(role)
        self.problems.set_dimmed(dimmed)

    def _order_tabs(self) -> None:
        """Rows that are new come last otherwise."""
        buttons = [
            self.ledger_button,
            self.tokens_button,
            *self.problems.links,
            self.merge_button,
            self.cancel_button,
        ]
        for before, after in pairwise(buttons):
            QWidget.setTabOrder(before, after)

    def _lay_out(self) -> None:
        flow, needs = QHBoxLayout(), QHBoxLayout()
        self._needs_row = needs
        flow.addWidget(self._flow, 1)
        flow.addWidget(self._doing)
        needs.addWidget(self._needs, 1)
        needs.addWidget(self.ledger_button)
        self._tokens_line = QWidget()
        of_tokens = self._tokens_row = QHBoxLayout(self._tokens_line)
        of_tokens.setContentsMargins(0, 0, 0, 0)
        of_tokens.addWidget(self._of_tokens, 1)
        of_tokens.addWidget(self.tokens_button)
        self._place_tokens()
        buttons = QHBoxLayout()
        buttons.addWidget(self.merge_button, 1)
        buttons.addWidget(self.cancel_button)
        facts = QVBoxLayout()
        facts.setSpacing(GRID // 2)
        facts.addLayout(flow)
        facts.addLayout(needs)
        facts.addWidget(self._tokens_line)
        self._heading = heading("Before you merge")
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._lines.setSpacing(GRID)
        self._lines.addWidget(self._heading)
        self._lines.addLayout(facts)
        self._lines.addWidget(self.problems)
        self._lines.addLayout(buttons)
        for line in (flow, needs, of_tokens, buttons):
            line.setSpacing(GRID)


def _why_not(report: PlanReport, wished: str) -> str:
    """Why a merge that was wished for does not begin."""
    if wished == "merge":
        return f"Not merged: {report.errors[0].message}"
    others = [problem.message for problem in report.errors if problem.left is None or problem.left.runs]
    return f"Not resumed: {others[0] if others else 'nothing of an earlier merge is left there'}"


def _place(device: Device) -> str:
    """ "the CPU", "cuda:0"."""
    return "the CPU" if device.kind == "cpu" else device.name


def _basis(estimate: TimeEstimate) -> str:
    """Where the number comes from, in words."""
    source = "merges on this machine" if estimate.learned else "what other machines do, until one ran here"
    return f"Most of it goes into {estimate.bound_by}. Estimated from {source}."


def _reads_text(report: PlanReport) -> str:
    """ "10.3 GB", "3 × 10.3 GB"."""
    times = f"{report.passes} × " if report.passes > 1 else ""
    return f"{times}{bytes_text(report.bytes_of_a_pass)}"


def _passes_text(report: PlanReport) -> str:
    """Why the inputs are read more than once; "" where they are not."""
    if report.passes == 1:
        return ""
    return (
        f"Each tensor is read up to {report.passes} times, one after the other and so mostly from memory: "
        f"{bytes_text(report.bytes_to_read)} in all."
    )


def _ledger_text(report: PlanReport) -> str:
    """ "73 tensors merged, 1 copied"."""
    (first, number), *others = report.actions.items() or [("merged", 0)]
    return ", ".join([f"{plural(number, 'tensor')} {first}", *(f"{grouped(n)} {do}" for do, n in others)])


def _same_work(one: MergeSetup, other: MergeSetup) -> bool:
    """Whether merges of the two take as long: another seed and another output change nothing."""
    one, other = (replace(setup, seed=None, out="", overwrite=False) for setup in (one, other))
    return one == other


def _numbers_text(report: PlanReport) -> str:
    """ "1 problem, 12 warnings", where the list may not have room for all; "" for a single one."""
    if len(report.errors) + len(report.warnings) < 2:
        return ""
    counted = ((len(report.errors), "problem"), (len(report.warnings), "warning"))
    return ", ".join(plural(count, noun) for count, noun in counted if count)
