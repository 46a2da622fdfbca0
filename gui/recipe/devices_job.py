"""Looking for devices, which imports torch."""

from __future__ import annotations

import sys

from PySide6.QtCore import Signal

from gui.jobs import Job

__all__ = ["DevicesJob"]


class DevicesJob(Job):
    """Finds the devices other than the CPU that a merge can run on.

    Signals:
        found(object): a tuple of core.devices.Device.
    """

    found = Signal(object)

    def run(self) -> None:
        try:
            from core.devices import usable_devices

            self.found.emit(tuple(usable_devices()))
        except Exception as error:
            # A driver that fails here leaves the CPU; a merge says more when it is asked for that device.
            print(f"warning: no devices could be looked up: {error}", file=sys.stderr)
            self.found.emit(())
