"""A process that has everything imported and compiled, and forks one more for each merge that is to be killed.

Started as a program it reads jobs from its input, a line of JSON each, and writes what became of them.
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
    """Merges in processes of their own, one at a time. A context manager."""

    def __init__(self) -> None:
        paths = [str(HERE.parent.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
        alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # pools are no good to a fork
        environment = os.environ | alone | {"PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def merge(self, **job: Any) -> dict[str, Any]:
        """Run one merge.

        Args:
            job: "inputs", "parent", "method" and "options" as for `small_merges.Story`; "at" and "kind" for
                `Faulty`; or "delay", the seconds after which it is killed. Without "at" the merge has two
                threads and keeps a journal as it goes.

        Returns:
            "killed": whether it was; "seconds": from its fork to its end.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job, default=str) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer
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

    from disk_faults import Faulty, in_place
    from small_merges import SETTINGS, Story, make_inputs

    from core import run_merge
    from core.run import journaling

    def work(job: dict[str, Any]) -> None:
        story = Story(Path(job["inputs"]), Path(job["parent"]), job.get("method", "parameter_selection"))
        options = job.get("options", {})
        if "at" in job:
            with in_place(Faulty(job["at"], job["kind"])):
                story.run(**options)
        else:
            with mock.patch.object(journaling, "_EVERY_S", 0.001), mock.patch.object(journaling, "_PAUSE", 1):
                run_merge(story.plan(), story.out, threads=2, chunk_bytes=1, **options)

    with tempfile.TemporaryDirectory() as folder:  # everything is compiled once, here
        make_inputs(Path(folder) / "inputs")
        for method in SETTINGS:
            Story(Path(folder) / "inputs", Path(folder) / method, method).run()
    for line in sys.stdin:
        print(json.dumps(_killed(json.loads(line), work)), flush=True)


def _killed(job: dict[str, Any], work: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    if threads != 1:
        return {"error": f"{threads} threads: what is forked of them may hang"}
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work(job)
            status = 0
        finally:
            os._exit(status)
    if "delay" in job:
        time.sleep(job["delay"])
        os.kill(child, signal.SIGKILL)
    _, ended = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(ended)
    if not killed and os.WEXITSTATUS(ended):
        return {"error": "the merge failed"}
    return {"killed": killed, "seconds": time.monotonic() - begun}


if __name__ == "__main__":
    _serve()
