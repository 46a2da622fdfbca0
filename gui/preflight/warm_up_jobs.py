"""Making the kernels ready before they are needed: importing, compiling, and measuring their speed."""

from __future__ import annotations

import sys

from PySide6.QtCore import Signal

from core.runs.learned import Learned
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
    """Measures how fast the kernels are here, where that is not known yet. To be started when they are warm.

    Signals:
        calibrated(): it has been learned.
    """

    calibrated = Signal()

    def __init__(self, learned: Learned) -> None:
        super().__init__()
        self._learned = learned

    def run(self) -> None:
        try:
            from core.plan.estimate import measured_core

            if self._learned.read().core is None:
                self._learned.learn_core(measured_core())
                self.calibrated.emit()
        except Exception as error:
            # Estimates are less good without it, and that is all.
            print(f"warning: the kernels could not be measured: {error}", file=sys.stderr)
