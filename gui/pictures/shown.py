"""What the pictures show at one moment, and the sentence on where it comes from. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core import Progress
from core.deltas.findings import Findings, MergeName
from core.text import one_line
from core.units import duration_text, share_text
from gui.failure import Failure

__all__ = ["Activity", "Shown"]

_MOST_NAMED = 3

Activity = Literal["", "looking", "measuring", "merging"]
"""What goes on: nothing, a first look, measuring everything, or the merge that counts."""


@dataclass(frozen=True)
class Shown:
    """The numbers that the pictures show, and everything that is said about where they come from.

    Numbers of a merge carry its name: the sentence is made from the same value as the pictures.

    Attributes:
        findings: the numbers; None where nothing is known.
        activity: what goes on to find out more.
        progress: how far measuring everything is, as far as it is known.
        failure: why looking at the models failed; None where it did not.
        can_measure: whether nothing is in the way of measuring everything.
        left_out: the names of sub-models that do not fit, which the numbers say nothing of.
    """

    findings: Findings | None = None
    activity: Activity = ""
    progress: Progress | None = None
    failure: Failure | None = None
    can_measure: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def merge(self) -> MergeName | None:
        """The merge that counted some of the numbers; None for none."""
        counted = self.findings.counted if self.findings is not None else None
        return counted.name if counted is not None else None

    @property
    def offers_to_measure(self) -> bool:
        """Whether exact numbers can be had in the place of estimates."""
        if not self.can_measure or self.activity:
            return False
        inspected, predicted = self._shares
        return min(inspected, predicted) < 1 and (self.merge is None or bool(inspected))

    @property
    def source(self) -> str:
        """Where the numbers come from, and of whom they say nothing, in one sentence; "" for none."""
        told = self._told
        if not told or not self.left_out:
            return told
        return f"{told}; without {_listed(self.left_out)}, which {_fits(self.left_out)} not fit"

    @property
    def _told(self) -> str:
        """Where the numbers come from: one sentence; "" where there are none."""
        merge = f" counted by the merge with {self.merge}" if self.merge is not None else ""
        if self.activity == "measuring":
            return _measuring_text(self.progress) + (f"; draws{merge}" if merge else "")
        if self.failure is not None:
            reason = f"{self.failure.message} {self.failure.hint or ''}".strip()
            return f"{reason} Draws{merge}." if merge else reason
        looked = self._looked_text()
        if merge:
            how = f"Being{merge}" if self.activity == "merging" else f"C{merge[2:]}"
            return f"{how}; norms and cosines {looked}" if looked else how
        if not looked:
            return "Looking at the models…" if self.activity == "looking" else ""
        return f"{looked[:1].upper()}{looked[1:]}"

    @property
    def _shares(self) -> tuple[float, float]:
        """The share of the parameters that a look has read, and the one behind what is expected of draws."""
        findings = self.findings
        if findings is None:
            return 0.0, 0.0
        if findings.equal_weights:
            return findings.sample, findings.sample
        parameters = sum(statistics.parameters for statistics in findings.inspected.values())
        read = sum(statistics.elements for statistics in findings.predicting.values())
        return findings.sample, read / parameters if parameters else findings.sample

    def _looked_text(self) -> str:
        """What a look at the models found; "" for nothing."""
        inspected, predicted = self._shares
        if not inspected:
            return ""
        found = self._share_text(inspected)
        if predicted == inspected:
            return found
        if predicted:
            return f"{found}; the expected curve {self._share_text(predicted)}"
        rest = "on its way" if self.activity == "looking" else "not known for these weights"
        return f"{found}; the expected curve is {rest}"

    def _share_text(self, share: float) -> str:
        if share >= 1:
            return "measured on every parameter"
        so_far = " so far" if self.activity == "looking" else ""
        return f"estimated from {share_text(share)} of the parameters{so_far}"


def _measuring_text(progress: Progress | None) -> str:
    if progress is None:
        return "Measuring every parameter…"
    left = progress.remaining_s
    rest = f", {duration_text(left)} left" if left is not None else ""
    return f"Measuring every parameter: {int(100 * progress.fraction)} %{rest}"


def _listed(names: tuple[str, ...]) -> str:
    """The first names, so that the sentence stays one."""
    shown = [one_line(name) for name in names[:_MOST_NAMED]]
    if len(names) > len(shown):
        return f"{', '.join(shown)} and {len(names) - len(shown)} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _fits(names: tuple[str, ...]) -> str:
    return "does" if len(names) == 1 else "do"
