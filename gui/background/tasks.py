"""The tasks of this user: child processes that go on while the window merges, and after it is closed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from core.checkpoint.ownership import process_began
from core.disk import replace_file
from core.errors import MergeError, OutputError, os_error_text
from core.progress_file import stop_file
from core.small_files import read_small
from gui.background.ending import why_it_ended
from gui.background.events import Events
from gui.background.folder import names_in, remove_files, tidy
from gui.background.processes import interrupt, is_running, program, start
from gui.background.task import (
    ERRORS,
    OUTPUT,
    PROGRESS,
    SEEN,
    Task,
    read_task,
    write_task,
)

__all__ = ["BackgroundTasks"]

_LOOK_MS, _CATCH_UP_MS, _FIND_MS = 200, 20, 2000
_AT_ONCE_S = 0.01
"""Seconds of reading before the window is asked what else there is to do."""

_GRACE_S = 15.0
"""Seconds that a process may take to leave after it has said how it ended."""

_START_S = 20.0
"""Seconds from the first note of a task until the number of its process is known, at most."""

_MOST_OUTPUT_BYTES = 64_000_000

_children: list[subprocess.Popen[bytes]] = []
"""Of this process. They are not let go of when a window is, and then asked what has come of them."""


class _Followed:
    """A task that is listed, and how far its events were read."""

    def __init__(self, task: Task, process: subprocess.Popen[bytes] | None = None) -> None:
        self.task = task
        self.process = process
        self.events = Events(task.folder / PROGRESS)
        self.ended = False  # which was said
        self.said_s: float | None = None  # when it said itself how it ended

    def left(self) -> int | None:
        """None while the process runs; then its exit status, 0 where that is not known."""
        if self.process is not None:
            return self.process.poll()
        task = self.task
        if not task.is_here:
            return None  # nothing is known of processes of other machines
        if not task.pid:  # another window is just starting it, or did not come to write down its number
            written = read_task(task.folder)
            if written is not None and written.pid:
                task = self.task = replace(task, pid=written.pid, process_began=written.process_began)
            else:
                return None if time.time() - task.began < _START_S or not self.events.at_end else 0
        return None if is_running(task.pid, task.process_began, task.folder) else 0


class BackgroundTasks(QObject):
    """Starts tasks, and follows those of every window; they need none of the windows.

    Any number of windows may follow a task. One that has ended stays listed, and its files stay, until it is
    dismissed, or it is old.

    Attributes:
        folder: with a folder for each task; made when the first one is started.
        command: what runs a command of the program.

    Signals:
        began(object): a Task was started here or by another window, or was found, also one that has ended;
            its events follow, from the first.
        told(str, object): the id of a task, and a dict with its newest event, as `core.progress_file` says
            it. What others wrote is in it: nothing but "kind", a text, is certain.
        changed(object): a Task that runs, after its state, share, text or remaining_s has changed.
        ended(object): a Task that has ended, after its last event. Of one that was found as such, too.
        dismissed(object): a Task that is listed no more.
    """

    began = Signal(object)
    told = Signal(str, object)
    changed = Signal(object)
    ended = Signal(object)
    dismissed = Signal(object)

    def __init__(self, folder: str | Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = Path(folder)
        self.command: Sequence[str] = program()
        self._followed: dict[str, _Followed] = {}
        self._looked_for = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(_FIND_MS)
        self._timer.timeout.connect(self._on_timeout)

    # -- what there is

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All that are listed, the newest first."""
        return tuple(sorted((one.task for one in self._followed.values()), key=_newest_first))

    @property
    def running(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.running)

    @property
    def ours(self) -> tuple[Task, ...]:
        """Those that run and that no other window that is open has started: it is ours to ask about them."""
        return tuple(
            task
            for task in self.running
            if task.is_here
            and (task.window_pid == os.getpid() or not is_running(task.window_pid, task.window_began))
        )

    def task(self, task_id: str) -> Task | None:
        """The task as it is now; None where it is not listed."""
        found = self._followed.get(task_id)
        return None if found is None else found.task

    # -- what is done

    def follow(self) -> None:
        """Find the tasks that there are, and follow them from now on."""
        tidy(self.folder)
        self._timer.start(_FIND_MS)
        self._find()
        self.look()

    def start(self, kind: str, arguments: Sequence[str], title: str) -> Task:
        """Run a command of the program in the background.

        Args:
            kind: the command, as "train".
            arguments: what it is given, with absolute paths; where its progress goes is added.
            title: what the task is called in the window.

        Raises:
            MergeError: its files cannot be written, or its process cannot be started.
        """
        task = Task.begin(kind, title, tuple(arguments), self.folder)
        try:
            task.folder.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"cannot write to {self.folder}: {os_error_text(error)}", path=self.folder
            ) from error
        told = ["--progress", str(task.folder / PROGRESS), "--background", "--json"]
        try:
            write_task(task)  # the process itself says its number, should this end before it is written
            process = start(
                [*self.command, kind, *arguments, *told],
                folder=task.folder,
                output=task.folder / OUTPUT,
                errors=task.folder / ERRORS,
            )
        except MergeError:
            remove_files(task.folder)
            raise
        _children.append(process)
        task = replace(task, pid=process.pid, process_began=process_began(process.pid))
        with contextlib.suppress(MergeError):
            write_task(task)
        self._followed[task.id] = _Followed(task, process)
        self.began.emit(task)
        self._timer.start(_LOOK_MS)
        return task

    def stop(self, task: Task) -> None:
        """Tell a task to stop, which it does when it has kept what it has done. Raises MergeError."""
        found = self._followed.get(task.id)
        if found is None or not found.task.running:
            return
        task = found.task
        if not task.is_here:
            raise MergeError(f"{task.title} runs on {task.host}", hint="stop it there")
        if task.pid and not is_running(task.pid, task.process_began, task.folder):
            return
        if not interrupt(task.pid, task.process_began):
            replace_file(stop_file(task.folder / PROGRESS), b"")
        self._change(found, replace(task, stopping=True))

    def dismiss(self, task: Task) -> None:
        """List an ended task no more, and remove what was noted of it; what it made stays."""
        found = self._followed.get(task.id)
        if found is not None and found.ended:
            del self._followed[task.id]
            remove_files(found.task.folder)
            self.dismissed.emit(found.task)

    def output(self, task: Task) -> bytes:
        """What it has written to stdout. Raises MergeError."""
        return read_small(task.folder / OUTPUT, _MOST_OUTPUT_BYTES, MergeError)

    @Slot()
    def look(self) -> None:
        """Read what is new, for a moment; the rest is read the next time."""
        until = time.monotonic() + _AT_ONCE_S
        behind = False
        for found in [one for one in self._followed.values() if not one.ended]:
            behind |= self._look_at(found, until)
        running = any(not one.ended for one in self._followed.values())
        if self._timer.isActive():
            self._timer.setInterval(_CATCH_UP_MS if behind else _LOOK_MS if running else _FIND_MS)

    # -- inside

    @Slot()
    def _on_timeout(self) -> None:
        if time.monotonic() - self._looked_for >= _FIND_MS / 1000:
            self._find()
        self.look()

    def _find(self) -> None:
        """List the tasks that other windows have started, and no more what they have dismissed."""
        self._looked_for = time.monotonic()
        names = set(names_in(self.folder))
        for task_id in sorted(names - self._followed.keys()):
            task = read_task(self.folder / task_id)
            if task is not None:
                self._followed[task_id] = _Followed(task)
                self._timer.setInterval(_LOOK_MS)
                self.began.emit(task)
        for found in [one for one in self._followed.values() if one.ended and one.task.id not in names]:
            del self._followed[found.task.id]
            self.dismissed.emit(found.task)

    def _look_at(self, found: _Followed, until: float) -> bool:
        """Whether there is more to be read."""
        status = found.left()  # before the last look at what it has said
        before = found.task
        while True:
            for event in found.events.read_on():
                found.task = found.task.with_event(event)
                self.told.emit(found.task.id, event)
            if found.events.at_end or time.monotonic() > until:
                break
        if not found.events.at_end:
            return True
        said = found.task.state
        if said != "running" and found.said_s is None:
            found.said_s = time.monotonic()
        late = found.said_s is not None and time.monotonic() - found.said_s > _GRACE_S
        elsewhere = said != "running" and not found.task.is_here
        if status is not None or late or elsewhere:
            self._end(found, status)
        elif found.task != before:
            self.changed.emit(found.task)
        return False

    def _end(self, found: _Followed, status: int | None) -> None:
        found.ended = True
        if found.process is not None and status is not None:
            _children.remove(found.process)
        found.task = replace(why_it_ended(found.task, status), stopping=False)
        with contextlib.suppress(OSError):
            (found.task.folder / SEEN).touch()
        self.ended.emit(found.task)

    def _change(self, found: _Followed, task: Task) -> None:
        found.task = task
        self.changed.emit(task)


def _newest_first(task: Task) -> tuple[float, str]:
    return -task.began, task.id
