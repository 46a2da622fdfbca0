"""What `verify` prints: the verdict in parts, and what was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from core.checkpoint.contents import CARD_NAME
from core.checkpoint.record_file import RECORD_NAME
from core.run.verify_report import VerificationFinding, VerificationReport
from core.text import one_line
from core.units import bytes_text

__all__ = ["verification_document", "verification_summary"]

_MOST_FINDINGS = 50
"""What a person reads; documents hold them all."""

_KINDS = {"missing": "missing", "changed": "changed", "extra": "added"}


def verification_document(report: VerificationReport, folder: Path) -> str:
    """Everything that was found, as one JSON document."""
    document = {
        "verdict": _verdict(report),
        "schema_version": report.schema_version,
        "tensors": report.tensors,
        "files_checked": report.files_checked,
        "bytes_checked": report.bytes_checked,
        "weights": [asdict(one) for one in report.weights],
        "files": [asdict(one) for one in report.files],
        "card": [asdict(one) for one in report.card],
    }
    return json.dumps(document, indent=2)  # escapes only: stdout may not be UTF-8


def verification_summary(report: VerificationReport, folder: Path) -> str:
    """A line for each part, and one for each finding."""
    weights = f"{report.tensors:,} tensor{'' if report.tensors == 1 else 's'}"
    if report.structural:
        lines = [
            f"folder   {folder.absolute()}",
            f"weights  {weights}, headers and index are sound",
            f"note     there is no run record ({RECORD_NAME}), so only the structure was checked",
        ]
        return "\n".join(map(one_line, lines))
    lines = [
        f"folder   {folder.absolute()}",
        f"weights  {weights}: {_said(report.weights)}",
        f"files    that are loaded or run: {_said(report.files)}",
        f"card     {CARD_NAME}: {_said(report.card)}",
        f"checked  {bytes_text(report.bytes_checked)}",
    ]
    if not report.lists_files:
        unknown = "not known, the record does not list them"
        lines[2:4] = [f"files    that are loaded or run: {unknown}", f"card     {CARD_NAME}: {unknown}"]
    found = (*report.weights, *report.files, *report.card)
    lines += [f"{_KINDS[one.what]:8} {_place(one)}" for one in found[:_MOST_FINDINGS]]
    if len(found) > _MOST_FINDINGS:
        lines.append(f"…        and {len(found) - _MOST_FINDINGS:,} more; --json shows them all")
    return "\n".join(map(one_line, lines))


def _verdict(report: VerificationReport) -> str:
    if report.structural:
        return "structure only"
    if report.weights or report.files:
        return "not as written"
    return "as written" if report.lists_files else "tensors as written"


def _said(findings: Sequence[VerificationFinding]) -> str:
    kinds = [one.what for one in findings]
    counts = [f"{kinds.count(kind):,} {said}" for kind, said in _KINDS.items() if kind in kinds]
    return ", ".join(counts) or "as written"


def _place(one: VerificationFinding) -> str:
    return one.name if one.tensor is None else f"tensor {one.tensor!r} {f'of {one.name}' if one.name else ''}"
