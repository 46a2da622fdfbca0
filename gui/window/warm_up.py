"""Importing and compiling what the first clicks want, while nobody waits for it."""

from __future__ import annotations

import sys

from gui.jobs import Job

__all__ = [
    "WarmUpJob",
]


class WarmUpJob(Job):
    """Imports and compiles what a merge needs, so that the first click does not have to."""

    def run(self) -> None:
        try:
            from core.dtypes import FLOATS
            from core.kernels.deltas.workspace import compile_measures
            from core.table import warm_up

            compile_measures(FLOATS["BF16"])  # first: a preview wants them at once
            warm_up(FLOATS["BF16"])
        except Exception as error:
            # Whatever is wrong here will be wrong in a merge, too, and be told there.
            print(f"warning: the kernels could not be warmed up: {error}", file=sys.stderr)
