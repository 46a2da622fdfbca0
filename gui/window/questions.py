"""The questions that the window asks: only where there is something to decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QMessageBox, QWidget

from core import Leftover
from core.recipe.keys import Obstacle
from core.text import message_text, one_line
from gui.preflight.taken import Taken
from gui.widgets.question_box import QuestionBox
from gui.window.left_out import left_out_text
from gui.words import percent_text, plural

__all__ = [
    "CancelQuestion",
    "ask_about_tasks",
    "ask_to_lose",
    "ask_to_overwrite",
    "ask_to_remove",
    "ask_to_replace",
    "ask_to_save",
]

_MOST_TITLES = 3


class CancelQuestion(QObject):
    """Asks what becomes of what a merge has finished when it is stopped. The merge goes on meanwhile.

    Attributes:
        box: the question, which is open.
        keep, remove, go_on: its buttons.

    Signals:
        answered(object): True to keep it and False to remove it; None to go on merging.
    """

    answered = Signal(object)

    def __init__(self, parent: QWidget, fraction: float, *, closing: bool) -> None:
        """Args:
        parent: the window.
        fraction: how much of the merge is finished.
        closing: whether the window is to be closed afterwards.
        """
        super().__init__(parent)
        text = "A merge is running. Keep what it has finished?" if closing else "Keep what is finished?"
        roles = QMessageBox.ButtonRole
        self.box = box = QuestionBox(parent, text)
        self.keep = box.addButton("Keep it and close" if closing else "Keep it and stop", roles.AcceptRole)
        self.remove = box.addButton(
            "Remove it and close" if closing else "Stop and remove it", roles.DestructiveRole
        )
        self.go_on = box.addButton("Go on merging", roles.RejectRole)
        box.setDefaultButton(self.go_on)
        box.setEscapeButton(self.go_on)
        self.show_fraction(fraction)
        box.finished.connect(self._on_finished)
        box.open()

    def show_fraction(self, fraction: float) -> None:
        """Say how much is finished by now."""
        share = percent_text(fraction)
        text = f"{share[0].upper()}{share[1:]} of it is. Resume goes on from there later."
        if not fraction:
            text = "Nothing of it is finished yet."
        if text != self.box.informativeText():
            self.box.setInformativeText(text)
        self.keep.setEnabled(fraction > 0)

    @Slot()
    def _on_finished(self) -> None:
        answers = {self.keep: True, self.remove: False}
        clicked = self.box.clickedButton()
        self.answered.emit(next((keep for button, keep in answers.items() if button is clicked), None))
        self.deleteLater()


def ask_to_remove(parent: QWidget, left: Leftover, then: Callable[[], object]) -> None:
    """Do `then` if what a merge left may be removed."""
    share = percent_text(left.fraction)
    box = QuestionBox(
        parent,
        message_text(f"Remove {left.path}?"),
        f"{share[0].upper()}{share[1:]} of a merge is finished in it, and would have to be made again."
        if left.fraction
        else "A merge was begun in it, and nothing was finished.",
    )
    remove = box.addButton("Remove it", QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton("Leave it there", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    remove.clicked.connect(lambda: then())
    box.open()


def ask_about_tasks(
    parent: QWidget, titles: Sequence[str], go_on: Callable[[], object], stop: Callable[[], object]
) -> None:
    """What becomes of the work of other processes when the window closes.

    Args:
        parent: the window.
        titles: what they are called; one at least.
        go_on: close, and leave them.
        stop: stop them, and close.
    """
    named = ", ".join(map(one_line, titles[:_MOST_TITLES]))
    more = len(titles) - _MOST_TITLES
    one = len(titles) == 1
    box = QuestionBox(
        parent,
        f"{named} is still running." if one else f"{plural(len(titles), 'task')} are still running.",
        ("" if one else f"{named}{f', and {more} more' if more > 0 else ''}. ")
        + f"{'It needs' if one else 'They need'} no window: open Paramosaic again to see how "
        + f"{'it goes' if one else 'they go'}. What is stopped can be gone on with later.",
    )
    leave = box.addButton("Go on in the background", QMessageBox.ButtonRole.AcceptRole)
    end = box.addButton("Stop it" if one else "Stop them", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(leave)
    box.setEscapeButton(stay)
    leave.clicked.connect(lambda: go_on())
    end.clicked.connect(lambda: stop())
    box.open()


def ask_to_replace(parent: QWidget, taken: Taken, then: Callable[[], object]) -> None:
    """Do `then` if the next merge may replace what is in the place of its output."""
    box = QuestionBox(
        parent,
        message_text(f"Overwrite {taken.out}?"),
        message_text(
            f"It holds {taken.content}. It stays as it is until the new merge is done, and is deleted then."
        ),
    )
    overwrite = box.addButton("Overwrite it", QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton("Leave it there", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    overwrite.clicked.connect(lambda: then())
    box.open()


def ask_to_save(
    parent: QWidget, name: str, save: Callable[[Callable[[], object]], object], then: Callable[[], object]
) -> None:
    """Do `then`, once the changes of the recipe were saved or may be lost.

    Args:
        parent: the window.
        name: what the recipe is called.
        save: saves, and does what it is given after that.
        then: what is to be done.
    """
    box = QuestionBox(parent, f"{name} has changes that are not saved.", "Save them first?")
    keep = box.addButton("Save", QMessageBox.ButtonRole.AcceptRole)
    lose = box.addButton("Do not save", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(stay)
    keep.clicked.connect(lambda: save(then))
    lose.clicked.connect(lambda: then())
    box.open()


def ask_to_overwrite(
    parent: QWidget, name: str, overwrite: Callable[[], object], save_as: Callable[[], object]
) -> None:
    """What to do about the file `name` of the recipe, which somebody else has changed."""
    title = f"{one_line(name)} has changed on the disk since it was opened here."
    _ask_before_losing(parent, title, "Saving would lose those changes.", overwrite, save_as)


def ask_to_lose(
    parent: QWidget,
    name: str,
    left_out: Sequence[Obstacle],
    overwrite: Callable[[], object],
    save_as: Callable[[], object],
) -> None:
    """What to do about the file `name`, which says more than was taken over when it was opened."""
    first, more = left_out_text(left_out)
    title = f"{one_line(name)} says more than was opened here."
    _ask_before_losing(parent, title, f"Saving would lose it. {first}\n{more}", overwrite, save_as)


def _ask_before_losing(
    parent: QWidget,
    title: str,
    what: str,
    overwrite: Callable[[], object],
    save_as: Callable[[], object],
) -> None:
    box = QuestionBox(parent, title, what)
    other = box.addButton("Save as…", QMessageBox.ButtonRole.AcceptRole)
    lose = box.addButton("Overwrite it", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    other.clicked.connect(lambda: save_as())
    lose.clicked.connect(lambda: overwrite())
    box.open()
