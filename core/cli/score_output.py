"""What `evaluate` prints: a table with the verdicts, a document, and every sample as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.evaluate.scores import Scores
from core.evaluate.verdict.comparison import Comparison, difference_text
from core.text import message_text, one_line
from core.units import share_text

__all__ = ["SampleTable", "score_document", "score_event", "score_rows", "score_summary"]

_SAMPLE_FIELDS = (
    *("model", "line", "group", "loss", "tokens", "text_bytes", "bits_per_byte", "correct", "answer"),
)


def score_summary(
    scores: Sequence[Scores], comparisons: Sequence[Comparison], notes: Sequence[str] = ()
) -> str:
    """A line for each model, and below them a sentence for each comparison.

    Args:
        scores: of the models, in the order of the table.
        comparisons: of each model but one, the reference, with that.
        notes: sentences on all of it.
    """
    compared = {one.name: one for one in comparisons}
    units = {one.unit for one in comparisons}
    columns: list[tuple[str, list[str], bool]] = [("model", [one_line(one.name) for one in scores], False)]
    if any(math.isfinite(one.mean_loss) for one in scores):
        columns.append(("loss", [_number(one.mean_loss) for one in scores], True))
    if any(math.isfinite(_bits(one)) for one in scores):
        columns.append(("bits a byte", [_number(_bits(one)) for one in scores], True))
    if any(one.accuracy is not None for one in scores):
        title = "exact match" if any(one.settings.get("exact_match") for one in scores) else "accuracy"
        title = str(scores[0].settings.get("metric", title))
        shares = ["" if one.accuracy is None else share_text(one.accuracy) for one in scores]
        columns.append((title, shares, True))
    if comparisons:
        unit = f", {next(iter(units))}" if len(units) == 1 else ""
        texts = [difference_text(compared.get(one.name), unit=len(units) > 1) for one in scores]
        columns.append((f"difference{unit} (95 %)", texts, False))
        verdicts = ["reference" if one.name not in compared else compared[one.name].verdict for one in scores]
        columns.append(("verdict", verdicts, False))
    lines = _table(columns)
    if comparisons:
        lines += ["", *(message_text(one.sentence) for one in comparisons)]
    lines += [f"note: {message_text(note)}" for note in notes]
    return "\n".join(lines)


def score_document(
    data: Mapping[str, Any],
    scores: Sequence[Scores],
    comparisons: Sequence[Comparison],
    *,
    reference: str,
    keys: Sequence[str | None],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything but the samples, for a program.

    Args:
        data: what they were evaluated on.
        scores: of the models.
        comparisons: with the reference.
        reference: its name.
        keys: what the scores are kept under, of each.
        notes: sentences on all of it.
    """
    models = []
    for one, key in zip(scores, keys, strict=True):
        models.append(
            score_event(one)
            | {
                "key": key,
                "model_digest": one.model_digest,
                "task": one.task,
                "tokens": int(one.tokens.sum()),
                "text_bytes": int(one.text_bytes.sum()),
                "seconds": round(one.seconds, 3),
                "max_length": one.max_length,
                "notes": list(one.notes),
            }
        )
    return {
        "data": dict(data),
        "settings": dict(scores[0].settings) if scores else {},
        "reference": reference,
        "models": models,
        "comparisons": [one.as_json() for one in comparisons],
        "notes": list(notes),
    }


def score_event(scores: Scores) -> dict[str, Any]:
    """The means of one model; what is not a number is None."""
    return {
        "name": scores.name,
        "path": scores.path,
        "n": len(scores.loss),
        "mean_loss": _finite(scores.mean_loss),
        "bits_per_byte": _finite(_bits(scores)),
        "accuracy": scores.accuracy,
    }


@dataclass(frozen=True)
class SampleTable:
    """The samples of one model.

    Attributes:
        scores: of the model.
        groups: what each sample belongs to, or the task that it is of. [N]
        answers: what the model wrote, [N]; None where it wrote nothing.
    """

    scores: Scores
    groups: tuple[str, ...]
    answers: tuple[str, ...] | None


def score_rows(tables: Sequence[SampleTable]) -> bytes:
    """One record a model and sample as CSV, in UTF-8: what the samples cost, and what was answered."""
    file = io.StringIO(newline="")
    written = csv.writer(file)
    written.writerow(_SAMPLE_FIELDS)
    for table in tables:
        one = table.scores
        bits = one.bits_per_byte
        for row in range(len(one.loss)):
            written.writerow(
                [
                    one.name,
                    int(one.lines[row]),
                    table.groups[row],
                    _exact(one.loss[row]),
                    int(one.tokens[row]),
                    int(one.text_bytes[row]),
                    _exact(bits[row]) if one.task == "causal" else "",
                    "" if one.correct is None else int(one.correct[row]),
                    "" if table.answers is None else table.answers[row],
                ]
            )
    return file.getvalue().encode("utf-8", "backslashreplace")


def _table(columns: Sequence[tuple[str, list[str], bool]]) -> list[str]:
    """The lines of a table; numbers at the right of their column."""
    lines = []
    for row in range(-1, len(columns[0][1])):
        cells = []
        for title, texts, is_number in columns:
            width = max(len(title), *map(len, texts))
            text = title if row < 0 else texts[row]
            cells.append(text.rjust(width) if is_number else text.ljust(width))
        lines.append("  ".join(cells).rstrip())
    return lines


def _bits(scores: Scores) -> float:
    return scores.mean_bits_per_byte if scores.task == "causal" else math.nan


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _exact(value: Any) -> str:
    return repr(float(value)) if math.isfinite(value) else ""
