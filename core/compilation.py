"""Says when numba compiles, which it does once after an installation; later it loads what it has kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["SENTENCE", "compilation_noted"]

SENTENCE = "compiling the arithmetic for this machine, once after the installation: up to half a minute"


@contextlib.contextmanager
def compilation_noted(note: Callable[[str], None]) -> Iterator[None]:
    """Call `note`, with a sentence, when something is compiled within this; once. Imports numba.

    It is called in the thread that compiles. Loading from numba's cache is no compilation.
    """
    from numba.core import event

    noted: list[None] = []

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            if not noted:
                noted.append(None)
                note(SENTENCE)

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
