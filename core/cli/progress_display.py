"""How far a command is, on stderr. What cannot be shown is left out: the work goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from core.cli.printing import say
from core.progress import Progress, Share
from core.text import one_line
from core.units import bytes_text, duration_text

__all__ = ["ProgressDisplay"]


class ProgressDisplay:
    """A bar on a terminal, a line for each tenth of the work elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._tenths = 0
        self._streams: tuple[Any, Any] = (None, None)

    def __enter__(self) -> ProgressDisplay:
        self._streams = sys.stdout, sys.stderr
        self._try(self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._try(self._bar.stop)
        sys.stdout, sys.stderr = self._streams  # a bar that broke leaves its own in their place

    def show(self, progress: Progress) -> None:
        """Show it; a core.progress.ProgressCallback."""
        if self._bar is not None:
            self._try(lambda: self._show_bar(progress))
            return
        tenths = int(10 * progress.fraction)
        if tenths > self._tenths and (progress.elapsed_s > 1 or tenths == 10):
            self._tenths = tenths
            say(f"{10 * tenths} %  {_speed(progress)}  {_left(progress)}")

    def show_share(self, share: Share) -> None:
        """The same of work that is not counted in bytes; a core.progress.ShareCallback."""
        if self._bar is not None:
            self._try(lambda: self._update_bar(share.fraction, done=share.text, left=_left(share)))
            return
        tenths = int(10 * share.fraction)
        if tenths > self._tenths:
            self._tenths = tenths
            say(f"{10 * tenths} %  {one_line(share.text)}  {_left(share)}".rstrip())

    def _start(self) -> None:
        if sys.stderr is None or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[done]}  {task.fields[speed]}  {task.fields[left]}"),
            TextColumn("[dim]{task.fields[tensor]}", markup=True),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,  # a thread of its own could not be stopped from failing
        )
        self._bar.start()

    def _show_bar(self, progress: Progress) -> None:
        self._update_bar(
            progress.fraction,
            done=f"{bytes_text(progress.bytes_done)}, {progress.tensors_done:,} tensors",
            speed=_speed(progress),
            left=_left(progress),
            tensor=progress.tensor,
        )

    def _update_bar(
        self, fraction: float, *, done: str, left: str, speed: str = "", tensor: str = ""
    ) -> None:
        fields = {"done": done, "speed": speed, "left": left, "tensor": tensor}
        fields = {name: one_line(text).replace("[", r"\[") for name, text in fields.items()}
        if self._task is None:
            self._task = self._bar.add_task("work", total=1.0, **fields)
        self._bar.update(self._task, completed=fraction, **fields)
        self._bar.refresh()

    def _try(self, show: Callable[[], None]) -> None:
        """Show something; nothing more is shown after a failure, as of a terminal that is gone."""
        try:
            show()
        except (OSError, ValueError):
            self._bar = None


def _speed(progress: Progress) -> str:
    return f"{bytes_text(progress.bytes_per_s)}/s"


def _left(progress: Progress | Share) -> str:
    return (
        ""
        if progress.remaining_s is None or progress.fraction == 1
        else f"{duration_text(progress.remaining_s)} left"
    )
