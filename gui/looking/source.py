"""Where the numbers of the pictures come from, in words."""

from __future__ import annotations

from dataclasses import dataclass

from core import Progress
from core.deltas.findings import Findings
from core.units import duration_text, share_text
from gui.failure import Failure

__all__ = ["Known", "Source"]


@dataclass(frozen=True)
class Source:
    """Where the numbers of the pictures come from.

    Attributes:
        text: one sentence.
        can_measure: whether exact numbers can be had.
        measuring: whether they are on their way.
    """

    text: str = ""
    can_measure: bool = False
    measuring: bool = False

    @classmethod
    def measured(cls, progress: Progress | None) -> Source:
        """While everything is measured, which is so far."""
        if progress is None:
            return cls("Measuring every parameter…", measuring=True)
        left = progress.remaining_s
        rest = f", {duration_text(left)} left" if left is not None else ""
        return cls(f"Measuring every parameter: {int(100 * progress.fraction)} %{rest}", measuring=True)


@dataclass(frozen=True)
class Known:
    """How much is known of the models that are looked at.

    Attributes:
        inspected: the share of the parameters behind what does not depend on weights.
        predicted: the share behind what is expected of draws; less where the weights are others now.
        looking: whether more is on its way.
        merge: what to call the merge that has counted them: "n = 4, seed 7"; "" for none.
        merging: whether it still runs.
        failure: why looking at them failed; None where it did not.
    """

    inspected: float = 0.0
    predicted: float = 0.0
    looking: bool = False
    merge: str = ""
    merging: bool = False
    failure: Failure | None = None

    @classmethod
    def of(cls, findings: Findings | None) -> Known:
        """What a look found."""
        if findings is None:
            return cls()
        if findings.equal_weights:
            return cls(findings.sample, findings.sample)
        parameters = sum(statistics.parameters for statistics in findings.inspected.values())
        read = sum(statistics.elements for statistics in findings.predicting.values())
        return cls(findings.sample, read / parameters if parameters else findings.sample)

    def source(self, *, can_measure: bool) -> Source:
        """The sentence; `can_measure` says whether nothing is in the way of exact numbers."""
        more = can_measure and min(self.inspected, self.predicted) < 1
        if self.failure is not None:
            return Source(f"{self.failure.message} {self.failure.hint or ''}".strip(), more)
        found = self._found_text()
        if self.merge:
            how = "Being counted by the merge" if self.merging else f"Counted by the merge with {self.merge}"
            return Source(f"{how}; norms and cosines {found}" if found else how, more and bool(found))
        if not found:
            return Source("Looking at the models…" if self.looking else "", more)
        return Source(f"{found[:1].upper()}{found[1:]}", more)

    def _found_text(self) -> str:
        if not self.inspected:
            return ""
        found = self._share_text(self.inspected)
        if self.predicted == self.inspected:
            return found
        if self.predicted:
            return f"{found}; the expected curve {self._share_text(self.predicted)}"
        rest = "on its way" if self.looking else "not known for these weights"
        return f"{found}; the expected curve is {rest}"

    def _share_text(self, share: float) -> str:
        if share >= 1:
            return "measured on every parameter"
        return f"estimated from {share_text(share)} of the parameters{' so far' if self.looking else ''}"
