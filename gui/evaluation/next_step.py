"""What an evaluation waits for, and what the user can do next, in a sentence. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gui.evaluation.figures import ResultRow
from gui.evaluation.look_job import Known
from gui.failure import Failure

__all__ = ["what_next", "why_not"]

_NO_DATA = (
    "Choose a file with held-out samples: JSONL or CSV with “text”, with “prompt” and “response”, with "
    "“messages” or with “text” and “label”; or plain text."
)
_NO_MODELS = "Choose the models of a merge on the left, or add a folder with a model."
_START = "Start scores what is ticked; nothing is scored twice."
_SELECT = "Select a model to read what its difference means."
_COMPARING = "Comparing what is known…"


def why_not(data: Path | None, rows: Sequence[ResultRow], unusable: Failure | None) -> str:
    """Why nothing can be started now; "" where it can.

    Args:
        data: the file; None for none.
        rows: the models that are listed.
        unusable: why the data cannot be used; None where they can.
    """
    if data is None:
        return _NO_DATA
    if not rows:
        return _NO_MODELS
    return "" if unusable is None else unusable.message


def what_next(rows: Sequence[ResultRow], known: Known | None, why: str) -> str:
    """What to do while none runs.

    Args:
        rows: the models that are listed.
        known: what is known of them; None for nothing.
        why: why nothing can be started now.
    """
    if known is not None and not known.whole:
        return _COMPARING
    if any(row.comparison is not None for row in rows):
        return _SELECT
    return _START if not why else ""
