"""Undo and redo, by what the fields said before and after each edit."""

from __future__ import annotations

from time import monotonic

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence, QUndoCommand, QUndoStack

from core.text import one_line
from gui.document.changes import changed_field, describe_change
from gui.document.merge_setup import MergeSetup

__all__ = ["UndoHistory"]

_ONE_EDIT_S = 1.0
"""Edits of the same field within this time are one step."""


class UndoHistory(QObject):
    """The edits since a recipe was begun.

    Signals:
        restored(object): the MergeSetup to show, after undo or redo.
        clean_changed(bool): whether the recipe is as it was last saved has changed.
    """

    restored = Signal(object)
    clean_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stack = QUndoStack(self)
        self._stack.indexChanged.connect(self._update_clean)
        self._now: MergeSetup | None = None
        self._saved: MergeSetup | None = None
        self._was_modified = False
        self._restoring = False
        self._may_grow = False

    @property
    def undo_label(self) -> str:
        """What undo would take back; "" where there is nothing."""
        return self._stack.undoText()

    @property
    def redo_label(self) -> str:
        """What redo would bring back; "" where there is nothing."""
        return self._stack.redoText()

    @property
    def is_modified(self) -> bool:
        """Whether what would be merged differs from what was last saved; where it runs does not count."""
        if self._now is None:
            return False
        return self._saved is None or self._now.described != self._saved.described

    def reset(self, setup: MergeSetup, *, saved: bool = True) -> None:
        """Forget every step; `setup` is what is saved, or, unless `saved`, nothing is."""
        self._now = setup
        self._saved = setup if saved else None
        self._stack.clear()
        self._update_clean()

    def mark_saved(self) -> None:
        """What the fields say now is what is saved."""
        self._saved = self._now
        self._update_clean()

    def note(self, setup: MergeSetup, label: str | None = None, *, by_user: bool = True) -> None:
        """The fields say `setup` now.

        Args:
            setup: what they say.
            label: what was done, where that is more than what has changed shows.
            by_user: whether that is a step to be undone, and not something that the window filled in.
        """
        before, self._now = self._now, setup
        if before is not None and setup != before and by_user and not self._restoring:
            label = one_line(label or describe_change(before, setup)).replace("&", "&&")
            self._stack.push(_Edit(self, before, setup, label, joins=self._may_grow))
            self._may_grow = True

    def undo(self) -> None:
        self._stack.undo()

    def redo(self) -> None:
        self._stack.redo()

    def undo_action(self, parent: QObject) -> QAction:
        """An action for a menu; says what it takes back, and is enabled while there is something."""
        action = self._stack.createUndoAction(parent)
        action.setShortcuts(QKeySequence.StandardKey.Undo)
        action.setToolTip("Take back the last change")  # its words, with names in them, otherwise
        return action

    def redo_action(self, parent: QObject) -> QAction:
        action = self._stack.createRedoAction(parent)
        action.setShortcuts(QKeySequence.StandardKey.Redo)
        action.setToolTip("Bring back what was taken back")
        return action

    def restore(self, setup: MergeSetup) -> None:
        """Have `setup` shown; what the fields then say is no new step."""
        self._may_grow = False
        self._restoring = True
        self._now = setup
        self.restored.emit(setup)
        self._restoring = False

    def _update_clean(self) -> None:
        if self.is_modified != self._was_modified:
            self._was_modified = self.is_modified
            self.clean_changed.emit(not self._was_modified)


class _Edit(QUndoCommand):
    """One step; grows while the same field is edited on."""

    def __init__(
        self, history: UndoHistory, before: MergeSetup, after: MergeSetup, label: str, *, joins: bool
    ) -> None:
        super().__init__(label)
        self._history, self._before, self._after, self._joins = history, before, after, joins
        self._field = changed_field(before, after)
        self._edited_s = monotonic()
        self._shown = True

    def id(self) -> int:
        return 1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Edit) or not other._joins:
            return False
        if self._field is None or other._field != self._field:
            return False
        if other._edited_s - self._edited_s >= _ONE_EDIT_S:
            return False
        self._after, self._edited_s = other._after, other._edited_s
        self.setObsolete(self._after == self._before)
        return True

    def redo(self) -> None:
        if not self._shown:  # the stack calls this when the step is new, too
            self._history.restore(self._after)
        self._shown = True

    def undo(self) -> None:
        self._shown = False
        self._history.restore(self._before)
