"""What a merge reports: its plan, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core import RunRecord
from core.deltas.findings import Findings

__all__ = [
    "MergeResult",
    "PlanSummary",
]


@dataclass(frozen=True)
class PlanSummary:
    """What is about to happen.

    Attributes:
        bytes_to_read, bytes_to_write: of weights.
        tensors: of the output.
        models: K.
        warnings: sentences for the user.
    """

    bytes_to_read: int
    bytes_to_write: int
    tensors: int
    models: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class MergeResult:
    """A finished merge.

    Attributes:
        record: what it did.
        out: where it was written.
        warnings: the record's as sentences; what the merge found comes first, then what its plan had said.
        findings: what it counted; None for a method that looks at no deltas.
        whole: whether it did all of the work, so that `seconds` say how long that takes.
        before_s: seconds of the merges that had to come before.
    """

    record: RunRecord
    out: Path
    warnings: tuple[str, ...]
    findings: Findings | None
    whole: bool
    before_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Of all merges together."""
        return self.before_s + self.record.seconds
