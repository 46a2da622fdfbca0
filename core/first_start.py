"""What numba compiles once after an installation, in parts, and all of it ahead of time.

    python -m core.first_start

compiles everything, in as many processes as there are parts and cores, so that neither the first merge nor
the first picture waits. numba keeps it beside the sources, or in the user's cache where these cannot be
written to.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from core.compilation import compilation_noted
from core.dtypes import FLOATS

__all__ = ["PARTS", "Part", "compile_here", "compile_in_processes"]

_DTYPE = FLOATS["BF16"]
"""What nearly all models are stored in; kernels of other types are compiled when a merge wants them."""


@dataclass(frozen=True)
class Part:
    """Some of what is compiled.

    Attributes:
        compile: compiles it, or loads it.
        share: about how much of the time for all of it goes into this.
    """

    compile: Callable[[], None]
    share: float


def _marks() -> None:
    from core.kernels.deltas.workspace import compile_marks

    compile_marks(_DTYPE)


def _measures() -> None:
    from core.kernels.deltas.workspace import compile_measures

    compile_measures(_DTYPE)


def _merges() -> None:
    from core.table import warm_up

    warm_up(_DTYPE)


def _adapters() -> None:
    from core.sources.adapted import compile_for_type

    compile_for_type(_DTYPE)


PARTS: Mapping[str, Part] = {
    "marks": Part(_marks, 0.26),
    "measures": Part(_measures, 0.31),
    "merges": Part(_merges, 0.35),
    "adapters": Part(_adapters, 0.08),
}
"""In the order in which they are needed: the first picture, its details, a merge, one of adapters."""


_turn = threading.Condition()
"""Held to look at what follows or to change it; notified after a change."""

_busy = False
"""Whether a thread compiles; others wait until what they want is ready."""

_ready: set[str] = set()
_watching: list[Callable[[float], None]] = []


def compile_here(names: Sequence[str], on_share: Callable[[float], None] = lambda _: None) -> None:
    """Compile parts that this process needs, or load them; waits where another thread is at it.

    Args:
        names: of PARTS, in the order in which they are wanted.
        on_share: called with the share that is done, 0 to 1, where this or the thread that it waits for
            compiles; in any thread.
    """
    global _busy
    _watching.append(on_share)
    try:
        with _turn:
            _turn.wait_for(lambda: not _busy or _ready.issuperset(names))
            left = [name for name in names if name not in _ready]
            if not left:
                return
            _busy = True
        try:
            _compile(left)
        finally:
            with _turn:
                _busy = False
                _turn.notify_all()
    finally:
        _watching.remove(on_share)


def _compile(names: Sequence[str]) -> None:
    begun: list[None] = []
    whole, done = sum(PARTS[name].share for name in names), 0.0

    def tell(share: float) -> None:
        for on_share in tuple(_watching):
            on_share(share)

    def begin(_: str) -> None:
        begun.append(None)
        tell(0.0)

    with compilation_noted(begin):
        for name in names:
            PARTS[name].compile()
            with _turn:
                _ready.add(name)
                _turn.notify_all()
            done += PARTS[name].share
            if begun:
                tell(min(1.0, done / whole))


def compile_in_processes(names: Sequence[str]) -> bool:
    """Compile parts in processes of their own, which leave them in numba's cache; returns whether it worked.

    Waits for them. No more run at one time than this process may use cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(max_workers=max(1, min(cores, len(names)))) as pool:
        return all(pool.map(_compile_in_process, names))


def _compile_in_process(name: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "core.first_start", name], stdin=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0


def main(arguments: Sequence[str]) -> int:
    if arguments:
        for name in arguments:
            PARTS[name].compile()
        return 0
    begun = time.perf_counter()
    worked = compile_in_processes(["measures", "merges", "adapters"])  # who measures marks, too
    if worked:
        print(f"  Compiled in {time.perf_counter() - begun:.0f} s")
    return 0 if worked else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
