"""What one model answered in one task of lm-evaluation-harness, as it is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from core.small_files import parse_json

__all__ = ["KeptAnswers", "TaskAnswer", "answer_bytes", "read_answers"]

_KIND, _VERSION = "paramosaic task answers", 1
_MOST_PARTS = 50_000_000


@dataclass(frozen=True)
class TaskAnswer:
    """Whether one is right, and what the question is.

    Attributes:
        task: of a group, the one that the question is of.
        number: of the question in it.
        question: it and its right answer, or their digests.
    """

    task: str
    number: int
    question: str
    right: bool


@dataclass(frozen=True)
class KeptAnswers:
    """The answers of a model to a task.

    Attributes:
        metric: what says whether one is right.
        answers: in the order of tasks and questions.
        chat: whether the model was asked through its chat template.
        max_length: the most tokens that it was given at once.
        seconds: what all tasks that were asked together took.
    """

    metric: str
    answers: Sequence[TaskAnswer]
    chat: bool
    max_length: int
    seconds: float

    @property
    def questions(self) -> str:
        """The digest of what was asked, as 32 hexadecimal digits."""
        digest = blake2b(digest_size=16)
        for one in self.answers:
            digest.update(f"{one.task}\n{one.number}\n{one.question}\n".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()


def answer_bytes(key: str, kept: KeptAnswers) -> bytes:
    """A file of answers."""
    document = {
        "kind": _KIND,
        "version": _VERSION,
        "key": key,
        "metric": kept.metric,
        "chat": kept.chat,
        "max_length": kept.max_length,
        "seconds": kept.seconds,
        "answers": [[one.task, one.number, one.question, one.right] for one in kept.answers],
    }
    return json.dumps(document).encode() + b"\n"


def read_answers(content: bytes, key: str) -> KeptAnswers:
    """What a file holds. Raises ValueError, KeyError or TypeError where it is none of ours, or not that of
    `key`."""
    document = parse_json(content, _MOST_PARTS)
    if [document[name] for name in ("kind", "version", "key")] != [_KIND, _VERSION, key]:
        raise ValueError("something else")
    answers = [
        TaskAnswer(str(task), int(number), str(question), right is True)
        for task, number, question, right in document["answers"]
    ]
    return KeptAnswers(
        str(document["metric"]),
        tuple(answers),
        document["chat"] is True,
        int(document["max_length"]),
        float(document["seconds"]),
    )
