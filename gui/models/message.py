"""Says below the list what is wrong with a model, or with what was dropped, and offers what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QPushButton, QWidget

from core.checkpoint.model import model_names
from core.text import one_line
from gui.failure import Failure
from gui.models.known_models import KnownModels
from gui.models.table_model import SubModelsModel
from gui.widgets.messages import MessagePanel

__all__ = ["ModelsMessage"]

_REMOVE, _UNTICK, _CHOOSE, _SEEN = "Remove", "Untick", "Choose the base…", "OK"


class ModelsMessage(QObject):
    """Fills a message: why something is not taken, until that was seen, or else what is wrong with a model.

    Attributes:
        message: what is wrong with what was dropped or chosen last, or with the selected model, or else with
            the base or the first other one that is ticked.

    Signals:
        base_requested(): another base is to be chosen.
    """

    base_requested = Signal()

    def __init__(
        self,
        known: KnownModels,
        model: SubModelsModel,
        selected: Callable[[], Sequence[int]],
        base: Callable[[], Path | None],
        above: QWidget,
        parent: QObject,
    ) -> None:
        """Args:
        known: what is known of the models.
        model: the list.
        selected: the selected rows of it.
        base: the folder of the base.
        above: what the message is shown below, and takes its room from.
        """
        super().__init__(parent)
        self._above = above
        self._known, self._model, self._selected, self._base = known, model, selected, base
        self._shown: tuple[Failure, tuple[str, ...]] | None = None
        self._rows: list[int] = []
        self._answer: Failure | None = None
        self.message = MessagePanel(closable=False, takes_from=above)
        self.message.action_requested.connect(self._on_action_requested)

    @Slot()
    def show(self) -> None:
        """Say what is wrong now."""
        told = self._told()
        if told != self._shown:  # and else the buttons, one of which may have the focus, stay
            self._shown = told
            if told is None:
                self.message.clear()
            else:
                self.message.show_failure(*told)
                self._put_in_tab_order()

    def _put_in_tab_order(self) -> None:
        """The buttons come when the message does, and lie between what is above it and what is below."""
        above = self._above
        for button in self.message.findChildren(QPushButton):
            if not button.isHidden():
                QWidget.setTabOrder(above, button)
                above = button

    def answer(self, failure: Failure | None) -> None:
        """Say first why something is not taken; None for nothing."""
        self._answer = failure
        self.show()

    def _told(self) -> tuple[Failure, tuple[str, ...]] | None:
        """What is wrong, and the words on the buttons; None for nothing."""
        if self._answer is not None:
            return self._answer, (_SEEN,)
        ticked = [row for row, choice in enumerate(self._model.choices) if choice.enabled]
        misfits = [row for row in ticked if self._model.problem(row) is not None]
        self._rows = [row for row in self._selected() if self._model.problem(row) is not None]
        base = self._base()
        problem = self._known.problem(base) if base is not None else None
        if not self._rows and problem is not None:
            return self._short(problem), (_CHOOSE,)
        if not self._rows and base is not None and len(misfits) == len(ticked) > 1 and self._all_read(ticked):
            return self._none_fits(base, misfits), (_CHOOSE,)
        self._rows = self._rows or misfits[:1]
        if not self._rows:
            return None
        problem = self._model.problem(self._rows[0])
        assert problem is not None
        actions = [_REMOVE, *([_UNTICK] if self._model.choices[self._rows[0]].enabled else [])]
        if len(misfits) > 1:
            actions.append(_remove_all(len(misfits)))
        return self._short(problem), tuple(actions)

    def _short(self, problem: Failure) -> Failure:
        """With the models' names in the place of their paths, which are in the tool tips."""
        base = self._base()
        folders = [*([base] if base is not None else []), *(choice.folder for choice in self._model.choices)]
        message = problem.message
        for folder, name in sorted(zip(folders, model_names(folders), strict=True), key=_longest_first):
            message = message.replace(str(folder), one_line(name))
        return replace(problem, message=message)

    def _all_read(self, rows: Sequence[int]) -> bool:
        """Whether each of `rows` is a model by itself, so that it may be the base that is wrong."""
        summaries = [self._known.summaries.get(self._model.choices[row].folder) for row in rows]
        return all(summary is not None and summary.problem is None for summary in summaries)

    def _none_fits(self, base: Path, misfits: Sequence[int]) -> Failure:
        reason = self._model.problem(misfits[0])
        assert reason is not None
        name = one_line(model_names([base])[0])
        return Failure(
            f"None of the {len(misfits)} models fits the base {name}. {self._short(reason).message}",
            "Choose the base that they were fine-tuned from.",
        )

    @Slot(str)
    def _on_action_requested(self, words: str) -> None:
        if words == _SEEN:
            self.answer(None)
        elif words == _CHOOSE:
            self.base_requested.emit()
        elif words == _UNTICK:
            self._model.enable(self._rows, False)
        elif words == _REMOVE:
            self._model.remove(self._rows)
        else:
            misfits = [
                row
                for row, choice in enumerate(self._model.choices)
                if choice.enabled and self._model.problem(row) is not None
            ]
            self._model.remove(misfits)


def _longest_first(named: tuple[Path, str]) -> int:
    return -len(str(named[0]))


def _remove_all(number: int) -> str:
    return f"Remove all {number}"
