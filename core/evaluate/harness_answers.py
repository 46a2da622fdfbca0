"""What lm-evaluation-harness says of each answer, read as right or wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import DataError
from core.evaluate.store.task_answers import TaskAnswer
from core.text import shown

__all__ = ["answers_of", "of_task"]


def of_task(name: str, found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The samples of a task, or of all tasks of a group, each with the name of its task."""
    samples: Mapping[str, Any] = found["samples"]
    if name in samples:
        return [(name, sample) for sample in samples[name]]
    groups: Mapping[str, Any] = found.get("group_subtasks") or {}
    return [pair for inner in groups.get(name, ()) for pair in of_task(inner, found)]


def answers_of(name: str, samples: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[str, list[TaskAnswer]]:
    """What says whether an answer is right, and each, in the order of tasks and questions."""
    if not samples:
        raise DataError(f"the task {name} has no questions", field="task")
    first = samples[0][1]
    filtered = first.get("filter", "none")
    listed = first.get("metrics") or [key for key in first if isinstance(first[key], int | float)]
    samples = [pair for pair in samples if pair[1].get("filter", "none") == filtered]
    metric = next((key for key in listed if all(_is_verdict(one.get(key)) for _, one in samples)), None)
    if metric is None:
        raise DataError(
            f"the task {name} says of no answer whether it is right: it has {', '.join(map(shown, listed))}",
            hint="choose one with acc or exact_match",
            field="task",
        )
    answers = [
        TaskAnswer(task, int(one["doc_id"]), _question(one), one[metric] in (1, True))
        for task, one in samples
    ]
    answers.sort(key=lambda answer: (answer.task, answer.number))
    return metric if filtered == "none" else f"{metric} ({filtered})", answers


def _is_verdict(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.number | np.bool_) and value in (0, 1)


def _question(sample: Mapping[str, Any]) -> str:
    """The question and its right answer, as a digest."""
    known = [sample.get(key) for key in ("doc_hash", "target_hash")]
    return "".join(map(str, known)) if all(known) else repr((sample.get("doc"), sample.get("target")))
