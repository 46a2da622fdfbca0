"""A process that has everything imported and compiled, and forks one more for each merge.

Started as a program it reads what to do from its input, a line of JSON each, and writes what came of it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent

__all__ = ["Children"]


class Children:
    """Merges in processes of their own. A context manager."""

    def __init__(self) -> None:
        paths = [str(HERE.parent.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
        alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # pools are no good to a fork
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | alone | {"PYTHONPATH": os.pathsep.join(paths)},
        )

    def start(self, **job: Any) -> int:
        """Begin a merge; returns its process.

        Args:
            job: "inputs", "parent", "method" and "options" as for `small_merges.Story`; "at" and "kind" for
                `Faulty`. Without "at" the merge has two threads, a slow disk, and keeps a journal as it goes.
        """
        return int(self._ask(start=job)["pid"])

    def wait(self, pid: int) -> dict[str, Any]:
        """Return when a merge has stopped or ended.

        Returns:
            "stopped", "killed": whether it was; "seconds": since it began; "error": what the merge raised.
        """
        return self._ask(wait=pid)

    def merge(self, *, delay: float | None = None, **job: Any) -> dict[str, Any]:
        """Both; it is killed after `delay` seconds."""
        pid = self.start(**job)
        if delay is not None:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)  # it stays a process until it is waited for
        answer = self.wait(pid)
        assert answer["error"] is None, answer
        return answer

    def _ask(self, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what, default=str) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _serve() -> None:
    from unittest import mock

    from disk_faults import Faulty, Slow, in_place
    from small_merges import Story, make_inputs

    from core import run_merge
    from core.run import journaling

    def work(job: dict[str, Any]) -> None:
        story = Story(Path(job["inputs"]), Path(job["parent"]), job.get("method", "parameter_selection"))
        options = job.get("options", {})
        if "at" in job:
            with in_place(Faulty(job["at"], job["kind"])):
                story.run(**options)
        else:
            often = mock.patch.multiple(journaling, _EVERY_S=0.001, _PAUSE=1)
            with often, in_place(Slow(0.06, ("write_at",))):
                run_merge(story.plan(), story.out, threads=2, chunk_bytes=1, **options)

    with tempfile.TemporaryDirectory() as folder:
        compiled = set()
        begun: dict[int, tuple[float, Path]] = {}
        make_inputs(Path(folder) / "inputs")
        for number, line in enumerate(sys.stdin):
            asked = json.loads(line)
            if "start" in asked:
                method = asked["start"].get("method", "parameter_selection")
                if method not in compiled:
                    compiled.add(method)
                    Story(Path(folder) / "inputs", Path(folder) / method, method).run()
                said = Path(folder) / str(number)
                pid = _fork(asked["start"], work, said)
                begun[pid] = time.monotonic(), said
                answer: dict[str, Any] = {"pid": pid}
            else:
                answer = _waited(asked["wait"], *begun[asked["wait"]])
            print(json.dumps(answer), flush=True)


def _fork(job: dict[str, Any], work: Callable[[dict[str, Any]], None], said: Path) -> int:
    if os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) != 1:
        raise RuntimeError("what is forked of other threads may hang")
    child = os.fork()
    if child == 0:
        try:
            work(job)
        except BaseException as error:
            kept = getattr(error, "kept", None)
            said.write_text(f"{type(error).__name__}: {error}; kept: {kept}")
        finally:
            os._exit(0)
    return child


def _waited(pid: int, begun: float, said: Path) -> dict[str, Any]:
    _, status = os.waitpid(pid, os.WUNTRACED)
    return {
        "stopped": os.WIFSTOPPED(status),
        "killed": os.WIFSIGNALED(status),
        "seconds": time.monotonic() - begun,
        "error": said.read_text() if said.exists() else None,
    }


if __name__ == "__main__":
    _serve()
