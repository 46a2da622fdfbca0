"""Child processes that need no window: followed, found again, stopped, and never in anybody's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

import gui.background.task
import gui.background.tasks
from core.checkpoint.ownership import OWN_FOLDER, Ownership, process_began
from core.disk import OpenFolder
from core.errors import MergeError
from gui.background import processes
from gui.background.task import TASK, Task, read_task, write_task
from gui.background.tasks import BackgroundTasks

FAKE = Path(__file__).with_name("fake_child.py")


class Heard:
    """What a window hears of its tasks."""

    def __init__(self, tasks: BackgroundTasks) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.began: list[Task] = []
        self.ended: list[Task] = []
        self.dismissed: list[Task] = []
        tasks.told.connect(lambda task_id, event: self.events.append((task_id, event)))
        for name in ("began", "ended", "dismissed"):
            getattr(tasks, name).connect(getattr(self, name).append)

    def kinds(self) -> list[str]:
        return [event["kind"] for _, event in self.events]


MakeWindow = Callable[[], tuple[BackgroundTasks, Heard]]


@pytest.fixture
def window_of(qtbot: QtBot, tmp_path: Path) -> Iterator[MakeWindow]:
    """Makes what a window has of tasks; all of them share a folder. Ends every process that was left."""
    made: list[BackgroundTasks] = []

    def make() -> tuple[BackgroundTasks, Heard]:
        tasks = BackgroundTasks(tmp_path / "background")
        tasks.command = [sys.executable, "-S", "-E", str(FAKE)]
        made.append(tasks)
        return tasks, Heard(tasks)

    yield make
    for tasks in made:
        for task in tasks.running:
            if task.pid > 0:
                os.kill(task.pid, signal.SIGKILL)
        qtbot.waitUntil(lambda tasks=tasks: (tasks.look(), not tasks.running)[1])  # type: ignore[misc]
        tasks._timer.stop()


def until_ended(qtbot: QtBot, tasks: BackgroundTasks, *, count: int = 1, heard: Heard) -> None:
    qtbot.waitUntil(lambda: (tasks.look(), len(heard.ended) == count)[1])


def test_a_task_is_followed_to_its_end(qtbot: QtBot, window_of: MakeWindow, tmp_path: Path) -> None:
    tasks, heard = window_of()
    progress = {"kind": "progress", "share": 0.25, "text": "order 2 of 4", "remaining_s": 90}
    gate = tmp_path / "gate"
    acts = [f"say:{json.dumps(progress)}", f"wait:{gate}", "out:[1]", 'say:{"kind":"done","result":"/r"}']
    task = tasks.start("train", acts, "Sub-models of base")
    assert tasks.running == (task,)
    qtbot.waitUntil(lambda: tasks.tasks[0].share == 0.25)  # by its own timer
    now = tasks.tasks[0]
    assert (now.text, now.remaining_s, now.state, heard.ended) == ("order 2 of 4", 90.0, "running", [])
    assert os.getsid(now.pid) == now.pid != os.getsid(0)  # signals to the window's session miss it
    gate.touch()
    until_ended(qtbot, tasks, heard=heard)
    assert heard.kinds() == ["began", "progress", "done"]
    assert (heard.ended[0].state, heard.ended[0].result) == ("done", Path("/r"))
    assert tasks.output(task) == b"[1]"
    assert not tasks.running
    tasks.dismiss(task)
    assert (tasks.tasks, heard.dismissed[0].id, list(tasks.folder.iterdir())) == ((), task.id, [])


SAYS = '{"kind":"failed","message":"no file d.txt","hint":"choose it"}'
USAGE = "err:Usage: paramosaic\n\nError: No such option '--x'.\n"


@pytest.mark.parametrize(
    ("acts", "state", "message", "hint"),
    [
        ([f"say:{SAYS}", "exit:1"], "failed", "No file d.txt.", "Choose it."),
        (["err:note: x\nerror: cannot read d\nhint: copy it\n"], "failed", "Cannot read d.", "Copy it."),
        ([USAGE, "exit:2"], "failed", "No such option '--x'.", None),
        (["kill"], "failed", "T ended before it was done (SIGKILL).", "out of memory"),
        (["err:Traceback\nE: 3\n", "exit:1"], "failed", "T ended before it was done (exit status 1).", ""),
        (["exit:130"], "cancelled", None, None),
    ],
)
def test_how_a_task_ends_is_said(
    qtbot: QtBot, window_of: MakeWindow, acts: list[str], state: str, message: str | None, hint: str | None
) -> None:
    tasks, heard = window_of()
    tasks.start("train", acts, "T")
    until_ended(qtbot, tasks, heard=heard)
    (task,) = heard.ended
    assert task.state == state
    assert (task.failure.message if task.failure else None) == message
    if hint is not None:
        assert task.failure is not None
        assert hint in (task.failure.hint or "")
    if "Traceback" in acts[0]:
        assert task.failure is not None
        assert task.failure.details == "Traceback\nE: 3"


@pytest.mark.parametrize(("kind", "button"), [("train", "Go on"), ("evaluate", "Start")])
def test_a_killed_task_is_taken_up_by_the_button_that_the_hint_names(
    qtbot: QtBot, window_of: MakeWindow, kind: str, button: str
) -> None:
    tasks, heard = window_of()
    tasks.start(kind, ["kill"], "T")
    until_ended(qtbot, tasks, heard=heard)
    (task,) = heard.ended
    assert task.failure is not None
    assert f"press “{button}”" in (task.failure.hint or "")


def test_a_task_is_found_again_with_all_that_it_said(
    qtbot: QtBot, window_of: MakeWindow, tmp_path: Path
) -> None:
    first, _ = window_of()
    gate = tmp_path / "gate"
    step = '{"kind":"step","order":1,"step":%d}'
    acts = [f"say:{step % 1}", f"wait:{gate}", f"say:{step % 2}", 'say:{"kind":"done"}']
    task = first.start("train", acts, "T")
    first._timer.stop()  # as if that window were gone
    second, heard = window_of()
    second.follow()
    qtbot.waitUntil(lambda: len(heard.events) == 2)
    assert [(one.id, one.title, one.pid) for one in heard.began] == [(task.id, "T", task.pid)]
    gate.touch()
    qtbot.waitUntil(lambda: (first.look(), bool(heard.ended))[1])
    assert [event.get("step") for _, event in heard.events] == [None, 1, 2, None]
    assert (heard.ended[0].state, heard.ended[0].seen) == ("done", False)
    third, heard = window_of()
    third.follow()
    assert heard.kinds() == ["began", "step", "step", "done"]
    assert (heard.ended[0].state, heard.ended[0].seen) == ("done", True)  # that was said before


def test_a_task_that_died_while_no_window_was_there_is_said_to_have(
    window_of: MakeWindow, tmp_path: Path
) -> None:
    tasks, heard = window_of()
    began = process_began(os.getpid())
    task = replace(Task.begin("train", "T", (), tasks.folder), pid=os.getpid(), process_began=f"{began}0")
    task.folder.mkdir(parents=True)  # its number is another process's by now
    write_task(task)
    tasks.follow()
    (ended,) = heard.ended
    assert ended.state == "failed"


def test_two_windows_follow_and_only_one_is_asked_about_it(
    qtbot: QtBot, window_of: MakeWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, of_one = window_of()
    other, of_other = window_of()
    for tasks in (one, other):
        tasks.follow()
    task = one.start("train", [f"wait:{tmp_path / 'gate'}", 'say:{"kind":"done"}'], "T")
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        theirs = replace(task, window_pid=process.pid, window_began=process_began(process.pid))
        write_task(theirs)  # as if the first window were another process
        other._find()
        qtbot.waitUntil(lambda: bool(of_other.events))
        assert [found.id for found in other.running] == [task.id]
        assert (len(one.ours), other.ours) == (1, ())
        process.communicate()
    assert len(other.ours) == 1  # that window is gone, and nobody else is left to ask
    other.stop(other.running[0])
    assert other.running[0].stopping
    qtbot.waitUntil(lambda: bool(of_one.ended) and bool(of_other.ended))
    assert of_one.ended[0].state == of_other.ended[0].state == "cancelled"
    other.dismiss(task)
    one._find()
    assert (one.tasks, len(of_one.dismissed)) == ((), 1)


def test_damaged_files_are_no_reason_to_fail(qtbot: QtBot, window_of: MakeWindow, tmp_path: Path) -> None:
    tasks, heard = window_of()
    strange = ("20260101T000000-0000000%d", "notes.txt", "20260101T000000-0000000a")
    for number, content in enumerate((b"", b"{", b"[]", b'{"kind": "paramosaic-task"}', b"\xff" * 9)):
        folder = tasks.folder / (strange[0] % number)
        folder.mkdir(parents=True)
        (folder / TASK).write_bytes(content)
    (tasks.folder / strange[1]).write_text("mine")
    os.mkfifo(tasks.folder / strange[2])
    tasks.follow()
    assert tasks.tasks == ()
    long = "x" * 1_200_000
    path = tmp_path / "long.txt"
    path.write_text(f"{long}\n")
    acts = ["raw:{", "raw:[1]", 'raw:{"kind":3}', 'raw:{"kind":"progress","share":"x","remaining_s":[]}']
    acts += ['raw:{"kind":"progress","share":1e999,"text":null}', f"wait:{tmp_path / 'gate'}"]
    task = tasks.start("train", [*acts, 'say:{"kind":"done","result":7}'], "T")
    qtbot.waitUntil(lambda: len(heard.events) == 3)
    with open(task.folder / "progress.jsonl", "a") as file:
        file.write(f"{long}\n")
    (tmp_path / "gate").touch()
    until_ended(qtbot, tasks, heard=heard)
    assert heard.kinds() == ["began", "progress", "progress", "done"]
    assert (heard.ended[0].state, heard.ended[0].share, heard.ended[0].result) == ("done", 0.0, None)


def test_the_folder_is_tidied(window_of: MakeWindow) -> None:
    tasks, heard = window_of()
    old = time.time() - 40 * 24 * 3600
    for number in range(25):
        task = Task.begin("train", f"T{number}", (), tasks.folder)
        folder = tasks.folder / f"20260101T0000{number:02d}-00000000"
        folder.mkdir(parents=True)
        write_task(replace(task, folder=folder, began=old if number == 24 else task.began - 60, pid=1 << 30))
    (folder / "mine.txt").write_text("a user's")  # beside the files of the oldest
    tasks.follow()
    left = {path.name[13:15] for path in tasks.folder.iterdir()}
    assert left == {f"{number:02d}" for number in range(5, 25)}
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert len(heard.ended) == 19


def test_a_process_whose_number_was_not_written_down_says_it(
    qtbot: QtBot, window_of: MakeWindow, tmp_path: Path
) -> None:
    first, _ = window_of()
    task = first.start("train", [f"wait:{tmp_path / 'gate'}", 'say:{"kind":"done"}'], "T")
    first._timer.stop()
    qtbot.waitUntil(lambda: (task.folder / "progress.jsonl").exists())
    write_task(replace(task, pid=0, process_began="", began=task.began - 3600))
    second, heard = window_of()
    second.follow()
    qtbot.waitUntil(lambda: bool(second.running) and second.running[0].pid == task.pid)
    assert heard.ended == []
    (tmp_path / "gate").touch()
    qtbot.waitUntil(lambda: (first.look(), bool(heard.ended))[1])
    assert heard.ended[0].state == "done"


REAL = """
import sys, time
from pathlib import Path
from core.cancel import CancelToken
from core.cli.following import followed
token = CancelToken()
with followed(Path(sys.argv[sys.argv.index("--progress") + 1]), background=True, cancel=token):
    while not token.cancelled:
        time.sleep(0.01)
    raise KeyboardInterrupt
"""


@pytest.fixture
def silent_system(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A system that does not say when a process began. The signals that are sent to any."""
    sent: list[int] = []
    kill = os.kill
    for module in (processes, gui.background.task, gui.background.tasks):
        monkeypatch.setattr(module, "process_began", lambda _: "")
    monkeypatch.setattr(os, "kill", lambda pid, number: (sent.append(number), kill(pid, number))[1])
    return sent


def test_where_it_is_not_certain_whose_number_that_is_no_signal_is_sent(
    qtbot: QtBot, window_of: MakeWindow, silent_system: list[int]
) -> None:
    tasks, heard = window_of()
    tasks.command = [sys.executable, "-c", REAL]
    task = tasks.start("train", [], "T")
    qtbot.waitUntil(lambda: (tasks.look(), heard.kinds() == ["began"])[1])
    other, of_other = window_of()
    other.follow()
    assert [one.state for one in other.tasks] == ["running"]
    other.stop(other.running[0])
    assert other.running[0].stopping
    qtbot.waitUntil(lambda: (tasks.look(), other.look(), bool(heard.ended and of_other.ended))[2])
    assert heard.ended[0].state == of_other.ended[0].state == "cancelled"
    assert set(silent_system) <= {0}
    tasks.dismiss(task)
    assert not task.folder.exists()


def test_a_number_that_is_another_process_by_now_is_no_task_that_runs(
    window_of: MakeWindow, silent_system: list[int]
) -> None:
    """Its own process held the folder, which nobody does now."""
    tasks, heard = window_of()
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        task = replace(Task.begin("train", "T", (), tasks.folder), pid=stranger.pid)
        (task.folder / OWN_FOLDER).mkdir(parents=True)
        write_task(task)
        with OpenFolder(task.folder) as folder:
            owner = Ownership(folder, "run")
            tasks.follow()
            assert [one.id for one in tasks.running] == [task.id]
            owner.release()
        tasks.look()
        tasks.stop(task)
        stranger.communicate()
    assert [one.state for one in heard.ended] == ["failed"]
    assert set(silent_system) <= {0}


@pytest.mark.skipif(sys.platform == "win32", reason="there locks are of processes")
def test_no_lock_goes_to_a_child(qtbot: QtBot, window_of: MakeWindow, tmp_path: Path) -> None:
    tasks, _ = window_of()
    (tmp_path / "out.partial" / OWN_FOLDER).mkdir(parents=True)
    with OpenFolder(tmp_path / "out.partial") as folder, OpenFolder(tmp_path / "out.partial") as again:
        owner = Ownership(folder, "run")
        task = tasks.start("train", [f"wait:{tmp_path / 'gate'}"], "T")
        qtbot.waitUntil(lambda: (task.folder / "progress.jsonl").exists())
        with pytest.raises(MergeError):
            Ownership(again, "other")
        owner.release()
        Ownership(again, "other").release()
        if Path(f"/proc/{task.pid}/fd").exists():
            opened = {os.path.basename(os.readlink(f)) for f in Path(f"/proc/{task.pid}/fd").iterdir()}
            assert opened <= {"null", "output.json", "errors.txt", "progress.jsonl"}


def test_what_cannot_be_started_leaves_nothing(window_of: MakeWindow, tmp_path: Path) -> None:
    tasks, _ = window_of()
    tasks.command = [str(tmp_path / "gone")]
    with pytest.raises(MergeError, match=r"cannot start .*gone: No such file"):
        tasks.start("train", [], "T")
    assert (tasks.tasks, list(tasks.folder.iterdir())) == ((), [])
    tasks.folder.rmdir()
    tasks.folder.write_text("a file")
    with pytest.raises(MergeError, match=r"cannot write to .*background: (Not a directory|File exists)"):
        tasks.start("train", [], "T")


def test_the_real_program_can_be_run_from_anywhere(tmp_path: Path) -> None:
    from gui.background.processes import program, start

    with start([*program(), "--version"], folder=tmp_path, output=tmp_path / "o", errors=tmp_path / "e") as p:
        assert p.wait() == 0, (tmp_path / "e").read_text()
    assert b"version" in (tmp_path / "o").read_bytes()


def test_a_task_is_written_and_read(tmp_path: Path) -> None:
    task = Task.begin("train", "T\udcff", ("--a", "b"), tmp_path)
    task.folder.mkdir()
    write_task(replace(task, pid=7, process_began="x"))
    assert read_task(task.folder) == replace(task, pid=7, process_began="x")
