"""Making the kernels ready before they are needed: importing, compiling, and measuring their speed."""

from __future__ import annotations

import sys

from PySide6.QtCore import Signal

from core.plan.estimate import Throughput
from gui.jobs import Job

__all__ = ["CalibrateJob", "WarmUpJob"]


class WarmUpJob(Job):
    """Imports and compiles what a merge needs, so that the first click does not have to.

    Signals:
        compiling(float): the share that is done, 0 to 1, where something has to be compiled.
    """

    compiling = Signal(float)

    def run(self) -> None:
        try:
            from core.first_start import PARTS, compile_here

            compile_here(tuple(PARTS), self.compiling.emit)
        except Exception as error:
            # Whatever is wrong here will be wrong in a merge too, and be reported there.
            print(f"warning: the kernels could not be warmed up: {error}", file=sys.stderr)


class CalibrateJob(Job):
    """Measures how fast the kernels are here. To be started when they have been warmed up.

    Signals:
        calibrated(object): the Throughput with what was measured.
    """

    calibrated = Signal(object)

    def __init__(self, throughput: Throughput) -> None:
        super().__init__()
        self._throughput = throughput

    def run(self) -> None:
        try:
            from core.plan.estimate import calibrated

            self.calibrated.emit(calibrated(self._throughput))
        except Exception as error:
            # Estimates are less good without it, and that is all.
            print(f"warning: the kernels could not be measured: {error}", file=sys.stderr)
