"""The course of an evaluation that runs, from the events of its process. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.evaluate.verdict.comparison import Comparison
from gui.background.task import Task
from gui.evaluation.figures import Figures
from gui.evaluation.request import Request

__all__ = ["Course"]


class Course:
    """What an evaluation has said so far, of which nothing is taken for granted.

    Attributes:
        task: its process.
        request: what is evaluated.
        figures: by the paths of the models that are scored.
        comparisons: by the paths of the models that are compared.
    """

    def __init__(self, task: Task, request: Request) -> None:
        self.task, self.request = task, request
        self.figures: dict[Path, Figures] = {}
        self.comparisons: dict[Path, Comparison] = {}
        self._paths: dict[str, Path] = {}

    @property
    def in_hand(self) -> Path | None:
        """The model that is being scored: the first that is not."""
        return next((path for path in self.request.models if path not in self.figures), None)

    def take(self, event: Mapping[str, Any]) -> str:
        """Take what an event says; returns a sentence for the user, "" for none."""
        kind = event.get("kind")
        try:
            if kind == "scores":
                path = Path(event["path"])
                self.figures[path] = Figures.said(event)
                self._paths[str(event["name"])] = path
            elif kind == "comparisons":
                for said in event["comparisons"]:
                    comparison = Comparison.from_json(said)
                    self.comparisons[self._paths[comparison.name]] = comparison
            elif kind == "note":
                return str(event["text"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return ""
        return ""
