"""What stands in the table of an evaluation: its rows, and how its numbers are written. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor, isfinite, log10, nan
from typing import Any

from core.evaluate.comparison import Comparison
from core.evaluate.scores import Scores
from gui.evaluation.candidates import Candidate
from gui.words import signed_text

__all__ = ["Figures", "ResultRow", "decimals_of", "difference_text", "loss_text", "share_text"]

_FEWEST, _USUAL, _MOST = 2, 4, 6
"""Decimals of differences."""


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


def decimals_of(comparisons: Iterable[Comparison | None]) -> int:
    """With how many decimals a column of differences is written: as many as the narrowest interval gives a
    meaning to."""
    found = (None if one is None else _decimals(one) for one in comparisons)
    return max((number for number in found if number is not None), default=_USUAL)


def difference_text(
    comparison: Comparison | None, decimals: int | None = None, *, interval: bool = True
) -> str:
    """ "−0.0231 (−0.0253 to −0.0209)"; with as many decimals as have a meaning where none are given."""
    if comparison is None or not isfinite(comparison.difference):
        return ""
    if decimals is None:
        decimals = decimals_of([comparison])
    low, high = comparison.low, comparison.high
    mean = _signed(comparison.difference, decimals)
    if not interval or not (isfinite(low) and isfinite(high)):
        return mean
    return f"{mean} ({_signed(low, decimals)} to {_signed(high, decimals)})"


def _decimals(comparison: Comparison) -> int | None:
    width = comparison.high - comparison.low
    return min(max(1 - floor(log10(width)), _FEWEST), _MOST) if isfinite(width) and width > 0 else None


def _signed(value: float, decimals: int) -> str:
    text = signed_text(value, decimals)
    return f"+{text}" if round(value, decimals) > 0 else text


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
