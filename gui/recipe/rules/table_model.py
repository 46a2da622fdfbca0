"""The table of rules as a Qt item model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QFont, QGuiApplication, QPalette

from core.checkpoint.model import model_names
from core.methods import MethodSpec, ParameterSpec, ParameterValue
from core.text import one_line
from gui.document.merge_setup import MergeSetup, Rule
from gui.document.parameter_texts import parameter_title
from gui.recipe.rules.checks import Finding, check_rows
from gui.recipe.rules.rows import RuleRow, TensorNames, rows_of, ruled_parameters, rules_of
from gui.recipe.rules.text import Refused, value_text, values_from_text, where_from_text, where_text
from gui.widgets.chips import model_chip
from gui.widgets.plain import tool_tip
from gui.widgets.table_model import ROOT, Index, TableModel
from gui.widgets.theme import ERROR, as_text
from gui.words import grouped, plural

__all__ = ["Column", "RulesModel"]


_MOST_NAMES = 10
"""Of tensors in a tool tip."""

_UNKNOWN = "–"


class Column(IntEnum):
    PARAMETER = 0
    MODEL = 1
    WHERE = 2
    VALUE = 3
    TENSORS = 4


_TITLES = {
    Column.PARAMETER: "Sets",
    Column.MODEL: "For",
    Column.WHERE: "Where",
    Column.VALUE: "Value",
    Column.TENSORS: "Hits",
}
_HELP = {
    Column.PARAMETER: "The parameter that is different for some tensors",
    Column.MODEL: "The sub-model whose value it is, or all",
    Column.WHERE: "A part of the tensors' names, such as mlp; layer 3 or layers 4-7; or both, such as "
    "mlp, layers 4-7; empty for all tensors",
    Column.VALUE: "A number; or several, such as 0.2, 0.8: a gradient from the first layer to the last",
    Column.TENSORS: "How many tensors it is for; ! marks a rule that does nothing, or cannot be used",
}


def _alignment(column: Column) -> Qt.AlignmentFlag:
    right = column in (Column.VALUE, Column.TENSORS)
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class RulesModel(TableModel):
    """Translates the rules for the table; every change of them goes through here.

    It shows the rules for parameters of the method, and keeps those for other parameters as they are.

    Attributes:
        rules: all of them.
        rows, findings: those that are shown, and what each does.
        method: says which parameters there are.
        tensors: what is known of the models' tensors.

    Args:
        plain_values: says what the method's form says, by name.

    Signals:
        changed(): the rules changed; once for each act of the user.
        found(): more, or something else, is known of what the rules do.
        refused(str): why what was typed was not taken, in a sentence.
    """

    changed = Signal()
    found = Signal()
    refused = Signal(str)

    titles = _TITLES
    help = _HELP
    alignment = staticmethod(_alignment)

    def __init__(
        self,
        method: MethodSpec,
        plain_values: Callable[[], Mapping[str, ParameterValue]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.rules: tuple[Rule, ...] = ()
        self.rows: tuple[RuleRow, ...] = ()
        self.findings: tuple[Finding, ...] = ()
        self.method = method
        self.tensors = TensorNames()
        self._plain_values = plain_values
        self._names: dict[Path, str] = {}
        self._taking_part: tuple[Path, ...] = ()

    @property
    def others(self) -> tuple[Rule, ...]:
        """The rules for parameters that the method does not have, or has as one value for all tensors."""
        names = {spec.name for spec in ruled_parameters(self.method)}
        return tuple(rule for rule in self.rules if rule.parameter not in names)

    # -- queries

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Show `rules`; only the view is notified."""
        if tuple(rules) != self.rules:
            self.rules = tuple(rules)
            self._show_again()

    def set_method(self, method: MethodSpec) -> None:
        if method != self.method:
            self.method = method
            self._show_again()

    def set_models(self, setup: MergeSetup) -> None:
        """Which sub-models there are, and which of them take part."""
        folders = [choice.folder for choice in setup.models]
        names = dict(zip(folders, model_names(folders), strict=True))
        taking_part = tuple(choice.folder for choice in setup.taking_part)
        if (names, taking_part) != (self._names, self._taking_part):
            self._names, self._taking_part = names, taking_part
            self._find()

    def set_tensors(self, names: Sequence[str]) -> None:
        """The names of the tensors that are merged; none while they are not known."""
        if tuple(names) == self.tensors.all:
            return
        self.tensors = TensorNames(names)
        if names and self._rows_of_rules() != self.rows:
            self._show_again()
        else:
            self._find()

    def parameters(self) -> tuple[ParameterSpec, ...]:
        """What a rule can set."""
        return ruled_parameters(self.method)

    def models(self, row: int) -> dict[Path, str]:
        """The names of the sub-models that the rule in `row` can be for, by folder."""
        model = self.rows[row].model
        return self._names if model is None else {**self._names, model: self.name_of(model)}

    def name_of(self, model: Path) -> str:
        """What the sub-model is called, also where it is no longer in the list."""
        return self._names.get(model, model.name)

    def chip_number(self, folder: Path) -> int | None:
        """The number of the sub-model among those that take part."""
        return self._taking_part.index(folder) if folder in self._taking_part else None

    # -- changes

    def add(self) -> None:
        """Append a rule for all tensors that changes nothing yet, as far as there is one."""
        spec = self.parameters()[0]
        at = len(self.rows)
        self.beginInsertRows(ROOT, at, at)
        self.rows = (*self.rows, RuleRow(spec.name, None, "", (self._plain_value(spec),)))
        self.findings = (*self.findings, Finding())
        self.endInsertRows()
        self._emit_changed()

    def remove(self, row: int) -> None:
        self.beginRemoveRows(ROOT, row, row)
        self.rows = self.rows[:row] + self.rows[row + 1 :]
        self.findings = self.findings[:row] + self.findings[row + 1 :]
        self.endRemoveRows()
        self._emit_changed()

    def move(self, row: int, to: int) -> None:
        """Put `row` where row `to` is now."""
        self._move(row, to)
        self._emit_changed()

    def set_row(self, at: int, row: RuleRow) -> None:
        """Replace row `at` by `row`.

        A rule that becomes one of a sub-model goes before those for all that set the same parameter, which
        would otherwise leave nothing to it.
        """
        before = self.rows[at]
        if row == before:
            return
        self.rows = (*self.rows[:at], row, *self.rows[at + 1 :])
        if row.model is not None and before.model is None:
            for_all = replace(row, model=None)
            above = enumerate(self.rows[:at])
            self._move(at, next((n for n, other in above if _set_the_same(other, for_all)), at))
        self._emit_changed()

    def changed_row(self, row: int, column: Column, value: Any) -> RuleRow:
        """The row with a new value in `column`, which is a text where that is typed. Raises Refused."""
        now = self.rows[row]
        if column is Column.WHERE:
            return replace(now, where=where_from_text(value, self.tensors))
        if column is Column.VALUE:
            return replace(now, value=values_from_text(value, self._spec(now)))
        if column is Column.MODEL:
            return replace(now, model=value)
        spec = self.method.parameter(value)
        assert spec is not None
        model = now.model if spec.scope == "model" else None
        return replace(now, parameter=value, model=model, value=(self._plain_value(spec),))

    def refusal(self, index: Index, text: str) -> str | None:
        """Why `text` cannot be put there, in a sentence; None where it can."""
        if text == index.data(Qt.ItemDataRole.EditRole):
            return None  # also where it could not be typed now
        try:
            self.changed_row(index.row(), Column(index.column()), text)
        except Refused as refused:
            return str(refused)
        return None

    # -- called by Qt

    def count(self) -> int:
        return len(self.rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if index.isValid() and self._may_edit(index.row(), Column(index.column())):
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.rows):
            return None
        at, column = index.row(), Column(index.column())
        row, finding = self.rows[at], self.findings[at]
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(self._shown(row, finding, column))
        if role == Qt.ItemDataRole.EditRole:
            return self._typed(row, finding, column)
        if role == Qt.ItemDataRole.DecorationRole and column is Column.MODEL and row.model is not None:
            return model_chip(self.chip_number(row.model))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(self._tool_tip(row, finding))
        if role == Qt.ItemDataRole.AccessibleTextRole and column is Column.TENSORS:
            return " ".join(filter(None, (finding.problem, self._count_text(finding))))
        if role == Qt.ItemDataRole.FontRole and column is Column.TENSORS and finding.problem:
            return _bold()
        if role == Qt.ItemDataRole.ForegroundRole:
            if column is Column.TENSORS and finding.problem:
                return as_text(ERROR, QGuiApplication.palette())
            if (column is Column.MODEL and self._spec(row).scope == "merge") or (
                column is Column.WHERE and row.where == ""
            ):
                return QGuiApplication.palette().brush(QPalette.ColorRole.PlaceholderText)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid() or role != Qt.ItemDataRole.EditRole:
            return False
        if value == index.data(Qt.ItemDataRole.EditRole):
            return True
        try:
            self.set_row(index.row(), self.changed_row(index.row(), Column(index.column()), value))
        except Refused as refused:
            self.refused.emit(str(refused))
            return False
        return True

    # -- inside

    def _may_edit(self, row: int, column: Column) -> bool:
        if column is Column.PARAMETER:
            return len(self.parameters()) > 1
        if column is Column.MODEL:
            return self._spec(self.rows[row]).scope == "model"
        return column is not Column.TENSORS

    def _spec(self, row: RuleRow) -> ParameterSpec:
        spec = self.method.parameter(row.parameter)
        assert spec is not None
        return spec

    def _plain_value(self, spec: ParameterSpec) -> ParameterValue:
        return self._plain_values().get(spec.name, spec.default)

    def _shown(self, row: RuleRow, finding: Finding, column: Column) -> str:
        if column is Column.PARAMETER:
            return parameter_title(self._spec(row))
        if column is Column.MODEL:
            return "All" if row.model is None else self.name_of(row.model)
        if column is Column.WHERE:
            return where_text(row.where, self.tensors) or "everywhere"
        if column is Column.VALUE:
            return value_text(row.value)
        count = grouped(len(finding.hits)) if self.tensors else _UNKNOWN
        return f"! {count}" if finding.problem else count

    def _typed(self, row: RuleRow, finding: Finding, column: Column) -> Any:
        """What an editor begins with."""
        if column is Column.PARAMETER:
            return row.parameter
        if column is Column.MODEL:
            return row.model
        if column is Column.WHERE:
            return where_text(row.where, self.tensors)
        if column is Column.VALUE:
            return value_text(row.value, ", ")
        return self._shown(row, finding, column)

    def _tool_tip(self, row: RuleRow, finding: Finding) -> str:
        lines = [finding.problem] if finding.problem else []
        if row.model is not None:
            lines.append(f"For {self.name_of(row.model)}")
        if len(row.value) > 1:
            first, last = value_text(row.value[:1]), value_text(row.value[-1:])
            lines.append(
                f"A gradient: {first} in the model's first layer, {last} in its last, {first} elsewhere"
            )
        lines.append(self._count_text(finding) + (":" if finding.hits else ""))
        lines += finding.hits[:_MOST_NAMES]
        if len(finding.hits) > _MOST_NAMES:
            lines.append(f"and {grouped(len(finding.hits) - _MOST_NAMES)} more")
        return "\n".join(lines)

    def _count_text(self, finding: Finding) -> str:
        if not self.tensors:
            return "Which tensors it is for is known as soon as the models are read"
        text = plural(len(finding.hits), "tensor")
        return f"{text}, {grouped(finding.taken)} of them decided by rows above" if finding.taken else text

    def _rows_of_rules(self) -> tuple[RuleRow, ...]:
        names = {spec.name for spec in self.parameters()}
        return rows_of([rule for rule in self.rules if rule.parameter in names], self.tensors)

    def _show_again(self) -> None:
        self.beginResetModel()
        self.rows = self._rows_of_rules()
        self.findings = self._check()
        self.endResetModel()
        self.found.emit()

    def _move(self, row: int, to: int) -> None:
        if row == to:
            return
        self.beginMoveRows(ROOT, row, row, ROOT, to if to < row else to + 1)
        order = [at for at in range(len(self.rows)) if at != row]
        order.insert(to, row)
        self.rows = tuple(self.rows[at] for at in order)
        self.findings = tuple(self.findings[at] for at in order)
        self.endMoveRows()

    def _check(self) -> tuple[Finding, ...]:
        return check_rows(self.rows, self.method, self._names, self._taking_part, self.tensors)

    def _find(self) -> None:
        """Look again at what the rows do."""
        self.findings = self._check()
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(Column) - 1))
        self.found.emit()

    def _emit_changed(self) -> None:
        self.rules = (*rules_of(self.rows), *self.others)
        self._find()
        self.changed.emit()


def _set_the_same(row: RuleRow, other: RuleRow) -> bool:
    return (row.parameter, row.model) == (other.parameter, other.model)


def _bold() -> QFont:
    font = QFont()
    font.setBold(True)
    return font
