"""The rules by layer: a table, what can be done with it, and what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction, QPalette
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.methods import METHODS, MethodSpec, ParameterValue
from gui.document.merge_setup import MergeSetup, Rule
from gui.document.parameter_texts import parameter_title, within_sentence
from gui.numbers import Unread
from gui.recipe.rules.rows import ruled_parameters
from gui.recipe.rules.table_model import Column, RulesModel
from gui.recipe.rules.table_view import RulesView
from gui.widgets.action_button import action_button
from gui.widgets.theme import GRID, quiet_label
from gui.words import grouped, plural

__all__ = ["RulesPanel"]


_MESSAGE_LINES = 2
"""Room for what is wrong with a rule."""


class RulesPanel(QWidget):
    """Where a parameter gets a different value for some tensors.

    Attributes:
        model: the rules.
        table: shows them; hidden while there are none.
        invitation: says what rules are for, while there are none.
        message_label: why what was typed is not taken, or else what is wrong with a rule, or good to know.
        others_label: that there are rules for parameters that the method does not have.
        add_button: appends a rule.
        add, edit, up, down, remove: the actions of the table.

    Args:
        method: says which parameters there are.
        plain_values: says what the method's form says, by name.

    Signals:
        changed(): the rules changed; once for each act of the user.
        found(): more, or something else, is known of what the rules do.
    """

    changed = Signal()
    found = Signal()

    def __init__(
        self,
        method: MethodSpec,
        plain_values: Callable[[], Mapping[str, ParameterValue]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._refusal = ""
        self._unread: Unread | None = None
        self.model = RulesModel(method, plain_values, self)
        self.table = RulesView(self.model)
        self.add = self._action("Add a rule", "Ins", self.add_rule)
        self.edit = self._action("Edit", "F2", self._edit)
        self.up = self._action("Move up", "Alt+Up", lambda: self._move(-1))
        self.down = self._action("Move down", "Alt+Down", lambda: self._move(1))
        self.remove = self._action("Remove", "Del", self._remove)
        self.invitation = quiet_label()
        self.others_label = quiet_label()
        self.message_label = quiet_label()
        self.message_label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.message_label.setForegroundRole(QPalette.ColorRole.WindowText)
        self.add_button = QPushButton("Add a rule")
        self.add_button.setToolTip("Give a parameter another value for some tensors")
        self.add_button.clicked.connect(self.add_rule)
        self._buttons = [
            action_button(self.remove),
            action_button(self.up, Qt.ArrowType.UpArrow),
            action_button(self.down, Qt.ArrowType.DownArrow),
        ]
        self._lay_out()
        self.table.refused.connect(self._on_refused)
        self.table.selectionModel().currentRowChanged.connect(self._on_row_changed)
        self.model.changed.connect(self._on_changed)
        self.model.found.connect(self._on_found)
        self._update()

    # -- values

    def read_into(self, setup: MergeSetup) -> MergeSetup:
        return replace(setup, rules=self.model.rules)

    def unread(self) -> dict[str, Unread]:
        """What is typed in the table and is not taken, as "rules"."""
        return {"rules": self._unread} if self._unread is not None else {}

    def apply(self, setup: MergeSetup) -> None:
        """Show the rules of `setup`; `changed` is not emitted."""
        self._unread = None
        self.table.drop_unread()
        self.model.set_models(setup)
        self.model.set_rules(setup.rules)
        self._on_refused("")

    def set_method(self, method: MethodSpec) -> None:
        self.model.set_method(method)

    def show_models(self, setup: MergeSetup) -> None:
        """Which sub-models there are."""
        self.model.set_models(setup)

    def show_tensors(self, names: Sequence[str]) -> None:
        """Which tensors there are, by name; none where that is not known."""
        self.model.set_tensors(names)

    def summary(self) -> str:
        """What is in there, for when it is not in sight: "2 rules"."""
        wrong = sum(finding.problem is not None for finding in self.model.findings)
        count = len(self.model.rows)
        text = plural(count, "rule") if count else ""
        return f"{text}, {grouped(wrong)} with a problem" if wrong else text

    def focus(self) -> None:
        """Give the focus to the first rule with a problem, or else to the button that adds one."""
        if not self.model.rows:
            self.add_button.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        if self._unread is not None:
            self.table.go_to_unread()
            return
        wrong = self._first_wrong()
        if wrong is not None:
            self.table.select_row(wrong)
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- what the user does

    @Slot()
    def add_rule(self) -> None:
        """Append a rule, and ask where it holds."""
        self.model.add()
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)
        self.table.select_row(len(self.model.rows) - 1)
        self.table.scrollToBottom()
        self.table.edit(self.table.currentIndex())

    @property
    def _row(self) -> int | None:
        index = self.table.currentIndex()
        return index.row() if index.isValid() else None

    def _edit(self) -> None:
        index = self.table.currentIndex()
        if index.flags() & Qt.ItemFlag.ItemIsEditable:
            self.table.edit(index)

    def _move(self, by: int) -> None:
        if self._row is not None:
            self.model.move(self._row, self._row + by)
            self.table.scrollTo(self.table.currentIndex())

    def _remove(self) -> None:
        row = self._row
        if row is None:
            return
        column = Column(self.table.currentIndex().column())
        self.table.drop_unread(row)
        self.model.remove(row)
        if self.model.rows:
            self.table.select_row(min(row, len(self.model.rows) - 1), column)
        else:
            self.add_button.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- inside

    @Slot()
    def _on_changed(self) -> None:
        self._unread = self.table.unread
        self._refusal = "" if self._unread is None else self._refusal
        self._update()
        self.changed.emit()

    @Slot()
    def _on_found(self) -> None:
        self._update()
        self.found.emit()

    @Slot(str)
    def _on_refused(self, refusal: str) -> None:
        self._refusal = refusal
        self._update()
        before, self._unread = self._unread, self.table.unread
        if self._unread != before:
            self.changed.emit()

    @Slot()
    def _on_row_changed(self) -> None:
        if self.table.unread is None:
            self._refusal = ""
        self._update()

    def _update(self) -> None:
        """Show what fits the rules and the current row."""
        row, count = self._row, len(self.model.rows)
        self.edit.setEnabled(row is not None)
        self.remove.setEnabled(row is not None)
        self.up.setEnabled(row is not None and row > 0)
        self.down.setEnabled(row is not None and row < count - 1)
        titles = [parameter_title(spec) for spec in ruled_parameters(self.model.method)]
        self.invitation.setText(f"Give some tensors another {_listed(titles)} than the rest.")
        self.invitation.setVisible(not count)
        self.table.setVisible(bool(count))
        for button in self._buttons:
            button.setVisible(bool(count))
        message = self._refusal or self._problem_text() or self._everywhere_text()
        self.message_label.setText(message)
        self.message_label.setMinimumHeight(_MESSAGE_LINES * self.fontMetrics().lineSpacing())
        self.message_label.setVisible(bool(count))  # also when it is empty, so that nothing moves
        others = self.model.others
        self.others_label.setText(_others_text(others, self.model.method))
        self.others_label.setVisible(bool(others))

    def _problem_text(self) -> str:
        """What is wrong with the current rule, or else with the first."""
        row, findings = self._row, self.model.findings
        if row is not None and row < len(findings) and (problem := findings[row].problem) is not None:
            return f"! {problem}"
        wrong = self._first_wrong()
        return f"! Rule {wrong + 1}: {findings[wrong].problem}" if wrong is not None else ""

    def _everywhere_text(self) -> str:
        """That the value outside of the table has no effect, where a rule leaves it no tensor."""
        for number, row in enumerate(self.model.rows, 1):
            if row.where == "":
                spec = self.model.method.parameter(row.parameter)
                assert spec is not None
                what = _listed([parameter_title(spec)])
                what += f" of {self.model.name_of(row.model)}" if row.model is not None else ""
                return f"Rule {number} is for all tensors: the {what} outside this table has no effect."
        return ""

    def _first_wrong(self) -> int | None:
        return next((at for at, finding in enumerate(self.model.findings) if finding.problem), None)

    def _action(self, text: str, keys: str, slot: Callable[[], None]) -> QAction:
        action = QAction(text, self)
        action.setShortcut(keys)
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda: slot())
        self.table.addAction(action)
        return action

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addWidget(self.add_button)
        for button in self._buttons:
            button.setMinimumHeight(self.add_button.sizeHint().height())
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        for widget in (self.invitation, self.table, self.message_label):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(self.others_label)

    @property
    def fields(self) -> list[QWidget]:
        """What can have the focus, in the order of tabs."""
        return [self.table, self.add_button, *self._buttons]


def _others_text(rules: Sequence[Rule], method: MethodSpec) -> str:
    """ "1 rule for n is kept for methods that have it."."""
    own = [rule for rule in rules if method.parameter(rule.parameter) is not None]
    rest = [rule for rule in rules if method.parameter(rule.parameter) is None]
    parts = []
    if own:
        parts.append(f"Some sub-models have their own {_titles(own, 'or')}, as the recipe said.")
    if rest:
        many = f"{plural(len(rest), 'rule')} for {_titles(rest, 'and')} {'is' if len(rest) == 1 else 'are'}"
        one = len({rule.parameter for rule in rest}) == 1
        parts.append(f"{many} kept for {'methods that have it' if one else 'other methods'}.")
    return " ".join(parts)


def _titles(rules: Sequence[Rule], between: str) -> str:
    """What the parameters of `rules` are called."""
    titles = {spec.name: parameter_title(spec) for method in METHODS.values() for spec in method.parameters}
    names = dict.fromkeys(titles.get(rule.parameter, rule.parameter) for rule in rules)
    return f" {between} ".join(names)


def _listed(titles: Sequence[str]) -> str:
    """ "n or weight"."""
    return " or ".join(within_sentence(title) for title in titles)
