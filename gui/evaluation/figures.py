"""What stands in the table of an evaluation: its rows, and how its numbers are written. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from core.evaluate.scores import Scores
from core.evaluate.verdict.comparison import Comparison
from gui.evaluation.candidates import Candidate

__all__ = ["Figures", "ResultRow", "loss_text", "share_text"]


@dataclass(frozen=True)
class Figures:
    """The means over the rows of the data.

    Attributes:
        loss: nats a token; of classifiers the cross-entropy, nats a sample. NaN where nothing was scored.
        bits_per_byte: None for classifiers, and while it is not known.
        accuracy: the share that was right; None where nothing was right or wrong.
        n: how many rows.
    """

    loss: float
    bits_per_byte: float | None
    accuracy: float | None
    n: int

    @classmethod
    def of(cls, scores: Scores) -> Figures:
        bits = scores.mean_bits_per_byte if scores.task == "causal" else None
        return cls(scores.mean_loss, bits, scores.accuracy, len(scores.loss))

    @classmethod
    def said(cls, event: Mapping[str, Any]) -> Figures:
        """Those in an event "scores" of a child process. Raises KeyError, TypeError or ValueError."""
        return cls(
            nan if event["mean_loss"] is None else float(event["mean_loss"]),
            _number(event.get("bits_per_byte")),
            _number(event.get("accuracy")),
            int(event["n"]),
        )


@dataclass(frozen=True)
class ResultRow:
    """One line of the table.

    Attributes:
        candidate: the model.
        name: as short as it can be told from the others.
        ticked: whether it is evaluated at the next start; the reference always is.
        is_reference: whether the others are compared with it.
        figures: None while there are none.
        comparison: with the reference; None for the reference, and while there is none.
        state: what is going on with it, in words; "" for nothing.
    """

    candidate: Candidate
    name: str
    ticked: bool
    is_reference: bool = False
    figures: Figures | None = None
    comparison: Comparison | None = None
    state: str = ""

    @property
    def verdict(self) -> str:
        """In words; what is going on with it while there is none."""
        if self.state:
            return self.state
        if self.is_reference:
            return "reference"
        return self.comparison.verdict if self.comparison is not None else ""


def loss_text(value: float | None) -> str:
    """ "1.1790"; "–" for none."""
    return "–" if value is None or not isfinite(value) else f"{value:.4f}"


def share_text(value: float | None) -> str:
    """ "60.1 %"; "–" for none."""
    return "–" if value is None else f"{100 * value:.1f} %"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
