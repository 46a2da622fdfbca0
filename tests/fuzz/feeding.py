"""What a target is, and feeding it: whether time, memory and messages stay in bounds."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ground import Ground

from core.errors import MergeError
from core.text import message_text

__all__ = ["TARGETS", "Target", "feed", "plain", "target"]

MOST_CPU_S = 2.0
MOST_BYTES = 200_000_000
MOST_CHARACTERS = 3_000


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        name: of it.
        form: of what it reads; one of mutations.FORMS.
        allowed: what it may raise.
        run: has it read bytes.
        seeds: what the program itself wrote for it.
    """

    name: str
    form: str
    allowed: tuple[type[MergeError], ...]
    run: Callable[[Ground, bytes], None]
    seeds: Callable[[Ground], list[bytes]]


TARGETS: dict[str, Target] = {}
"""By name, when the modules of the targets are imported: see targets.py."""


def target(
    name: str, form: str, seeds: Callable[[Ground], list[bytes]], *allowed: type[MergeError]
) -> Callable[[Callable[[Ground, bytes], None]], Callable[[Ground, bytes], None]]:
    def add(run: Callable[[Ground, bytes], None]) -> Callable[[Ground, bytes], None]:
        TARGETS[name] = Target(name, form, allowed, run, seeds)
        return run

    return add


def feed(what: Target, ground: Ground, data: bytes) -> bool:
    """Whether the parser takes `data`; False where it says in words that it does not.

    Raises:
        Exception: the parser is at fault; AssertionError where what it returned is not as it promises.
    """
    peak, begun = _peak_bytes(), time.process_time()
    said = None
    try:
        what.run(ground, data)
    except what.allowed as error:
        said = f"{error.message} {error.hint}"
    took, grown = time.process_time() - begun, _peak_bytes() - peak
    assert took <= MOST_CPU_S, f"{took:.1f} s"
    assert grown <= MOST_BYTES, f"{grown:,} bytes"
    assert said is None or len(said) <= MOST_CHARACTERS
    message_text(said or "").encode()
    return said is None


def plain(value: Any) -> str:
    """To compare values: NaN is not equal to itself."""
    return json.dumps(value, sort_keys=True)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
