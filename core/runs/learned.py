"""What finished merges have shown of this machine: one small file beside the history of runs."""

from __future__ import annotations

import logging
from pathlib import Path

from core.disk import replace_file
from core.errors import MergeError, merge_errors_only
from core.plan.estimate import Throughput, Work
from core.small_files import read_if_there

__all__ = ["Learned"]

_MAX_BYTES = 64 * 1024

_log = logging.getLogger(__name__)


class Learned:
    """A Throughput in a file, which the window and the command line share.

    Where it cannot be read nothing is known, and where it cannot be written nothing is learned: neither is
    worth a merge. Of two processes that learn at once, one may be forgotten.

    Attributes:
        path: the file, beside the folder of the history; made when something is learned.
    """

    def __init__(self, history_folder: str | Path) -> None:
        self.path = Path(history_folder).with_name("throughput.json")

    def read(self) -> Throughput:
        """What is known."""
        return Throughput.from_json(self._text())

    def learn(self, seconds: float, work: Work) -> Throughput:
        """Learn from a merge that took so many seconds once it began; returns what is known now."""
        known = self.read()
        learned = known.updated(seconds, work)
        return known if learned == known else self._keep(learned)

    def learn_core(self, core: float) -> Throughput:
        """Learn how fast a core is, as `measured_core` found; returns what is known now."""
        return self._keep(self.read().with_core(core))

    def _keep(self, throughput: Throughput) -> Throughput:
        """Write it down, in the place of what is known; returns it."""
        try:
            with merge_errors_only():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self.path, throughput.to_json().encode() + b"\n")
        except MergeError as error:
            _log.warning("what was learned of this machine is not kept: %s", error)
        return throughput

    def _text(self) -> str:
        try:
            content = read_if_there(self.path, _MAX_BYTES, MergeError)
        except MergeError as error:
            _log.warning("what is known of this machine cannot be read: %s", error)
            return ""
        return (content or b"").decode("utf-8", "replace")
