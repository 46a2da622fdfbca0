"""Where the result goes, and how much room is there."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QLineEdit, QPushButton, QVBoxLayout, QWidget

from core.units import bytes_text
from gui.document.output_names import free_name
from gui.jobs import Job, JobKeeper
from gui.widgets.choosing import choose_folder
from gui.widgets.dropped import dropped_paths, sort_dropped
from gui.widgets.fields import defer_to_window, name_field, side_by_side
from gui.widgets.messages import ElidedLabel
from gui.widgets.places import current_folder
from gui.widgets.theme import GRID, secondary

__all__ = ["FreeSpaceJob", "OutputField", "default_origin"]

_PAUSE_MS = 300
"""A pause in typing, after which the disk is asked."""


class OutputField(QWidget):
    """The output folder. A folder dropped onto it is where the output folder is to be made.

    Attributes:
        edit: the text.
        choose_button: opens a dialog.
        space_label: how much is free where the folder would be, and which one it is where the text says it
            in short.
        folder: the folder, absolute; "" for none. A relative one is below `origin` as that was when it was
            typed.
        origin: where relative paths begin.

    Signals:
        changed(): the text changed, or whether what is there may be replaced.
    """

    changed = Signal()

    def __init__(self, jobs: JobKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._job: FreeSpaceJob | None = None
        self.folder = ""
        self.origin = default_origin(None)
        self._free = ""
        self._suggested = ""
        self._overwritten = ""
        self.edit = _PathEdit()
        self.edit.setPlaceholderText("A folder that does not exist yet")
        name_field(
            self.edit,
            "Output folder",
            "The merged model is written into this folder. One that exists is left alone, unless you press "
            "Overwrite. A relative path begins beside the recipe.",
        )
        self.choose_button = QPushButton("Choose…")
        self.choose_button.setAccessibleName("Choose where the output folder goes")
        self.choose_button.setToolTip("Choose the folder in which the output folder will be made")
        self.space_label = ElidedLabel()
        self.space_label.set_full_text(" ")
        self.space_label.setAccessibleDescription("Where the output goes, and the free space there")
        secondary(self.space_label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID // 2)
        layout.addLayout(side_by_side(self.edit, self.choose_button))
        layout.addWidget(self.space_label)
        self.setFocusProxy(self.edit)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.refresh_space)
        self.choose_button.clicked.connect(self._on_choose)
        self.edit.textChanged.connect(self._on_text_changed)

    @property
    def overwrite(self) -> bool:
        """Whether what is in that folder may be replaced; gone as soon as the text says another."""
        return bool(self._overwritten)

    def set_overwrite(self, folder: str) -> None:
        """Let what is in `folder` be replaced, if that is the folder; "" for none."""
        before, self._overwritten = self._overwritten, folder if folder == self.folder else ""
        if self._overwritten != before:
            self.changed.emit()

    def set_folder(self, folder: str) -> None:
        if folder != self.folder:
            self.edit.setText(folder)
            self.edit.setCursorPosition(len(folder))

    def suggest(self, out: Path, *, insist: bool) -> None:
        """Fill in a folder, unless the user has typed one (`insist`: even then)."""
        if insist or self.edit.text() in {"", self._suggested}:
            self._suggested = str(out)
            self.set_folder(self._suggested)

    @Slot()
    def refresh_space(self) -> None:
        """Ask the disk again how much is free on it, while the field is in sight."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        if self.folder and self.isVisible():
            self._job = FreeSpaceJob(self.folder)
            self._job.found.connect(self._on_found)
            self._jobs.start(self._job)
        else:
            self._free = ""
            self._show_below()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._timer.start()

    @Slot(str, object)
    def _on_found(self, folder: str, free_bytes: int | None) -> None:
        if folder == self.folder:
            self._free = "" if free_bytes is None else f"{bytes_text(free_bytes)} free there"
            self._show_below()

    def _show_below(self) -> None:
        """The whole path where the text is short for it, and the free space."""
        in_short = not os.path.isabs(self.edit.text().strip())
        texts = (self.folder if in_short else "", self._free)
        self.space_label.set_full_text(", ".join(filter(None, texts)) or " ")

    @Slot()
    def _on_text_changed(self) -> None:
        text = self.edit.text().strip()
        self.folder = os.path.abspath(self.origin / os.path.expanduser(text)) if text else ""
        self._show_below()
        if self._overwritten != self.folder:
            self._overwritten = ""
        self._timer.start()
        self.changed.emit()

    @Slot()
    def _on_choose(self) -> None:
        current = Path(self.folder or self.origin / "merged")
        start = current.parent if os.path.isdir(current.parent) else self.origin
        parent = choose_folder(self, "Choose the folder in which the output folder will be made", start)
        if parent is not None:
            self.set_folder(str(free_name(parent / (current.name or "merged"))))


def default_origin(recipe: Path | None) -> Path:
    """Where a relative output folder is: beside the recipe, or else in the current or the home folder."""
    if recipe is not None:
        return recipe.absolute().parent
    here = current_folder()
    return here if here is not None and os.access(here, os.W_OK) else Path.home()


class FreeSpaceJob(Job):
    """Finds out how much room there is; can be cancelled even where the disk never answers.

    Signals:
        found(str, object): the folder, and bytes as an int; None where that is not known.
    """

    found = Signal(str, object)

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder
        self._answered = threading.Event()
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._answered.set()

    def run(self) -> None:
        answers: list[int | None] = []

        def ask() -> None:
            answers.append(_free_bytes(Path(self._folder)))
            self._answered.set()

        # A network mount that does not answer blocks its caller for good: in a thread that nothing waits for.
        threading.Thread(target=ask, daemon=True).start()
        self._answered.wait()
        if not self._cancelled:
            self.found.emit(self._folder, answers[0])


def _free_bytes(out: Path) -> int | None:
    if os.path.isfile(out):
        return None  # there is no room in a file
    for folder in out.parents:  # and not what is there already, which may be on another disk
        try:
            return shutil.disk_usage(folder).free
        except (OSError, ValueError):
            continue
    return None


class _PathEdit(QLineEdit):
    def __init__(self) -> None:
        super().__init__()
        defer_to_window(self)
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if sort_dropped(dropped_paths(event.mimeData())).folders:
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        folders = sort_dropped(dropped_paths(event.mimeData())).folders
        if not folders:
            super().dropEvent(event)
            return
        event.acceptProposedAction()
        self.setText(str(free_name(folders[0] / (os.path.basename(self.text()) or "merged"))))
