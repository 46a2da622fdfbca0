"""Folders for results: beside the models, under names that nothing has. No Qt."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.checkpoint.stage_folders import STAGES_END

__all__ = ["free_name", "output_beside"]


def free_name(out: Path) -> Path:
    """`out`, or `out-2`, `out-3`, … : the first that neither exists nor is being written."""
    if not _taken(out):
        return out
    found = re.fullmatch(r"(.+)-(\d+)", out.name)
    stem, number = (found[1], int(found[2]) + 1) if found and int(found[2]) >= 2 else (out.name, 2)
    while _taken(candidate := out.with_name(f"{stem}-{number}")):
        number += 1
    return candidate


def output_beside(model: Path) -> Path:
    """Where a merge of `model` could go: beside it, or in the home folder where that cannot be written."""
    parent = model.absolute().parent
    if parent.name == "snapshots" or not os.access(parent, os.W_OK):  # not into the Hub's cache
        parent = Path.home()
    return free_name(parent / "merged")


def _taken(out: Path) -> bool:
    beside = [out.with_name(out.name + end) for end in (".partial", STAGES_END)]
    return any(map(os.path.lexists, [out, *beside]))
