"""The progress of a command: a bar or lines, and no failure of the work when its terminal goes."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from core.cli.progress_display import ProgressDisplay
from core.progress import Progress


def at(fraction: float, tensor: str = "w") -> Progress:
    return Progress(int(100 * fraction), 100, 1, 2, 2.0, tensor)


class Terminal(io.StringIO):
    """Goes away after some writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")
        return super().write(text)


@pytest.mark.parametrize("writes", range(12))
def test_a_terminal_that_goes_is_no_matter(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    terminal = Terminal(writes)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    out, before = sys.stdout, threading.active_count()
    with ProgressDisplay() as display:
        for step in range(5):
            display.show(at(step / 4))
        assert threading.active_count() == before  # a thread that draws could not be kept from failing
    assert (sys.stderr, sys.stdout) == (terminal, out)


def test_a_name_is_text_in_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(1000)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressDisplay() as display:
        display.show(at(0.5, "[red]x\x1b[2J\u202e[/red]"))
    assert r"[red]x\x1b[2J\u202e[/red]" in terminal.getvalue()


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("state", ["none", "closed", "full"])
def test_lines_that_cannot_be_written_are_left_out(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    stream = None if state == "none" else Full()
    if stream is not None and state == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressDisplay() as display:
        display.show(at(1.0))
