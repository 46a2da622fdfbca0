"""A piece of work in a process of its own, as the window knows it, and the file that says so."""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from core.checkpoint.ownership import process_began
from core.disk import replace_file
from core.errors import MergeError
from core.small_files import parse_json, read_if_there
from gui.failure import Failure

__all__ = ["ERRORS", "OUTPUT", "PROGRESS", "SEEN", "TASK", "Task", "is_task_id", "read_task", "write_task"]

TASK, PROGRESS, OUTPUT, ERRORS, SEEN = "task.json", "progress.jsonl", "output.json", "errors.txt", "seen"
"""What lies in the folder of a task: what it is, its events, its stdout and stderr, and an empty file once a
window has said that it ended."""

_KIND, _SCHEMA_VERSION = "paramosaic-task", 1
_MAX_BYTES, _MAX_PARTS = 1_000_000, 20_000
_MAX_PID = 2**31


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        id: the name of its folder.
        kind: the command that does it, as "train".
        title: what it is called in the window.
        arguments: of the command, without those that every task gets.
        folder: with its files.
        began: when, in seconds since 1970.
        host: the machine that it runs on.
        pid: the number of its process; 0 as long as that is not known.
        process_began: when that process began, as its system counts; "" where that is not known.
        window_pid, window_began: the same of the window that started it.
        state: "running", "done", "failed" or "cancelled".
        share: how much is done, from 0 to 1.
        text: what it is at, in its own words.
        remaining_s: seconds that are left; None where that is not known.
        failure: why it failed; None unless it did.
        result: what it made; None where it says nothing of that.
        stopping: whether it was told to stop by this window.
        seen: whether a window before this one has said that it ended.
    """

    id: str
    kind: str
    title: str
    arguments: tuple[str, ...]
    folder: Path
    began: float
    host: str
    pid: int = 0
    process_began: str = ""
    window_pid: int = 0
    window_began: str = ""
    state: str = "running"
    share: float = 0.0
    text: str = ""
    remaining_s: float | None = None
    failure: Failure | None = None
    result: Path | None = None
    stopping: bool = False
    seen: bool = False

    @classmethod
    def begin(cls, kind: str, title: str, arguments: tuple[str, ...], folder: Path) -> Task:
        """A task of this window that begins now, in a folder of its own below `folder`."""
        now = datetime.now(UTC)
        task_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        pid = os.getpid()
        return cls(
            id=task_id,
            kind=kind,
            title=title,
            arguments=arguments,
            folder=folder / task_id,
            began=now.timestamp(),
            host=platform.node(),
            window_pid=pid,
            window_began=process_began(pid),
        )

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine: of another one's processes nothing is known."""
        return self.host == platform.node()

    def with_event(self, event: Mapping[str, Any]) -> Task:
        """What is known of it after `event`, of which nothing is taken for granted."""
        kind = event.get("kind")
        if kind == "began" and not self.pid:
            pid, since = event.get("pid"), event.get("process_began")
            if type(pid) is not int or not 0 < pid < _MAX_PID:
                return self
            return replace(self, pid=pid, process_began=since if isinstance(since, str) else "")
        if kind == "progress":
            share = _number(event.get("share"))
            return replace(
                self,
                share=self.share if share is None else min(max(share, 0.0), 1.0),
                text=str(event.get("text") or ""),
                remaining_s=_number(event.get("remaining_s")),
            )
        if kind == "done":
            result = event.get("result")
            return replace(self, state="done", result=Path(result) if isinstance(result, str) else None)
        if kind == "failed":
            hint = event.get("hint")
            error = MergeError(str(event.get("message") or "it failed"), hint=str(hint) if hint else None)
            return replace(self, state="failed", failure=Failure.of(error))
        return replace(self, state="cancelled") if kind == "cancelled" else self


def is_task_id(name: str) -> bool:
    """Whether `name` may be a task's: nothing else in the folder is touched."""
    return re.fullmatch(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}", name) is not None


def write_task(task: Task) -> None:
    """Write down what lasts of `task`. Raises OutputError."""
    values = {
        "kind": _KIND,
        "schema_version": _SCHEMA_VERSION,
        "command": task.kind,
        "title": task.title,
        "arguments": list(task.arguments),
        "began": task.began,
        "host": task.host,
        "pid": task.pid,
        "process_began": task.process_began,
        "window_pid": task.window_pid,
        "window_began": task.window_began,
    }
    replace_file(task.folder / TASK, json.dumps(values, indent=2).encode() + b"\n")


def read_task(folder: Path) -> Task | None:
    """The task whose folder that is; None where no readable file of this version says so."""
    try:
        content = read_if_there(folder / TASK, _MAX_BYTES, MergeError)
        data = parse_json(content or b"", _MAX_PARTS)
        if data["kind"] != _KIND or data["schema_version"] != _SCHEMA_VERSION:
            return None
        texts = {key: data[key] for key in ("title", "host", "process_began", "window_began")}
        pids = {key: data[key] for key in ("pid", "window_pid")}
        kind, arguments, began = data["command"], data["arguments"], _number(data["began"])
    except (MergeError, ValueError, KeyError, TypeError):
        return None
    words = [*texts.values(), kind, *(arguments if isinstance(arguments, list) else [None])]
    if not all(isinstance(word, str) for word in words) or began is None:
        return None
    if not all(type(pid) is int and 0 <= pid < _MAX_PID for pid in pids.values()):
        return None
    seen = (folder / SEEN).exists()
    return Task(
        folder.name, kind, arguments=tuple(arguments), folder=folder, began=began, seen=seen, **texts, **pids
    )


def _number(value: Any) -> float | None:
    """`value` where it is a number, and None where it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None
