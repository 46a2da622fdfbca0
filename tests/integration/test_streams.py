"""Streams that cannot be written: a merge goes on to its end, and nothing is said of the program's inside."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENTRY = "import sys; sys.argv[0] = 'paramosaic'; from gui.entry import main; sys.exit(main())"

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


def process(*arguments: object, **streams: Any) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", ENTRY, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        check=False,
        timeout=120,
        **streams,
    )


def closing(*numbers: int) -> Callable[[], None]:
    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


def broken_pipe() -> int:
    """The end to write to of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


class TestMerge:
    """The exit status is 0, and the output is whole."""

    def check(self, workshop: Any, **streams: Any) -> subprocess.CompletedProcess[str]:
        recipe, out = workshop.trio(), workshop.folder / "out"
        done = process("merge", recipe, "--out", out, **streams)
        assert done.returncode == 0, done
        assert workshop.run("verify", out).status == 0
        assert "Traceback" not in (done.stderr or "")
        assert "Exception ignored" not in (done.stderr or "")
        return done

    @pytest.mark.slow
    def test_both_full(self, workshop: Any) -> None:
        with open("/dev/full", "w") as full:
            self.check(workshop, stdout=full, stderr=full)

    @pytest.mark.slow
    def test_a_report_that_cannot_be_written(self, workshop: Any) -> None:
        with open("/dev/full", "w") as full:
            done = self.check(workshop, stdout=full, stderr=subprocess.PIPE)
        assert done.stderr.splitlines()[-1] == "The report could not be written to the standard output."

    @pytest.mark.slow
    def test_broken_pipes(self, workshop: Any) -> None:
        with open(broken_pipe(), "w") as out, open(broken_pipe(), "w") as err:
            self.check(workshop, stdout=out, stderr=err)

    def test_closed(self, workshop: Any) -> None:
        """No file of the output takes the place of a closed stream."""
        self.check(workshop, preexec_fn=closing(0, 1, 2))

    def test_a_terminal_that_vanishes(self, workshop: Any) -> None:
        """As under nohup, or in a session of its own: without the signal that would cancel the merge."""
        ours, theirs = pty.openpty()
        os.close(ours)
        with open(theirs, "w") as terminal:
            self.check(workshop, stdout=subprocess.PIPE, stderr=terminal)


class TestPlan:
    """What was asked for is the report: the exit status is 1."""

    def test_full(self, workshop: Any) -> None:
        recipe = workshop.trio()
        with open("/dev/full", "w") as full:
            done = process("plan", recipe, stdout=full, stderr=subprocess.PIPE)
            assert done.returncode == 1
            assert (
                done.stderr.splitlines()[0]
                == "error: cannot write to the standard output: No space left on device"
            )
            assert process("plan", recipe, stdout=full, stderr=full).returncode == 1

    def test_closed(self, workshop: Any) -> None:
        done = process("plan", workshop.trio(), stderr=subprocess.PIPE, preexec_fn=closing(1))
        assert (done.returncode, done.stderr) == (
            1,
            "error: cannot write to the standard output: Bad file descriptor\n",
        )


def test_refusals_with_nobody_to_hear_them(workshop: Any) -> None:
    with open("/dev/full", "w") as full:
        assert process("plan", workshop.folder / "gone.yaml", stderr=full).returncode == 1
        assert process("nonsense", stderr=full).returncode == 2
