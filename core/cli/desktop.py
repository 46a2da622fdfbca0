"""What the commands are given of the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.run.record import RunRecord

if TYPE_CHECKING:
    from core.study.values import Study

__all__ = ["Desktop"]


@dataclass(frozen=True)
class Desktop:
    """What the commands need of the window, which this package does not import.

    Attributes:
        has_display: whether a window can be shown.
        open_window: shows the window, on the demo models if told so; returns the exit status, 130 where a
            signal closed it.
        write_pictures: draws a run's pictures into a folder and returns their paths.
        write_study_pictures: the same of a study; None where nothing draws them.
    """

    has_display: Callable[[], bool]
    open_window: Callable[[bool], int]
    write_pictures: Callable[[RunRecord, Path], list[Path]]
    write_study_pictures: Callable[[Study, Path], list[Path]] | None = None
