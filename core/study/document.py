"""A study as files: JSON for programs and the window, a table in Markdown for people, CSV for other tools."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from math import isfinite
from pathlib import Path
from typing import Any

from core.errors import MergeError
from core.evaluate.verdict.comparison import Comparison, difference_text
from core.small_files import parse_json, read_small
from core.study.values import Advice, ChangedSample, Curve, Spread, Study, StudyRow
from core.text import one_line

__all__ = ["STUDY_NAME", "from_json", "read_study", "to_csv", "to_document", "to_json", "to_markdown"]

STUDY_NAME = "study.json"
SCHEMA_VERSION = 1

_KIND = "paramosaic study"
_COMPARISONS = ("comparison", "accuracy_comparison", "score_comparison")
_BESIDE = ("difference", "low", "high", "p", "p_holm", "verdict")
_FIELDS = {"groups": "clusters"}
"""Of a comparison, where the table has another word for it."""

_MOST_BYTES, _MOST_PARTS = 256 * 1024**2, 10_000_000


def to_document(study: Study) -> dict[str, Any]:
    """Plain values; numbers that are not finite are null."""
    values: dict[str, Any] = {
        field.name: _plain(getattr(study, field.name)) for field in fields(study) if field.name != "rows"
    }
    return {
        "kind": _KIND,
        "schema_version": SCHEMA_VERSION,
        "rows": [_row_document(row) for row in study.rows],
        **values,
    }


def to_json(study: Study) -> str:
    """One JSON document, which `from_json` reads."""
    return json.dumps(to_document(study), indent=2, allow_nan=False) + "\n"


def from_json(text: str | bytes) -> Study:
    """The study in a document. What a later version of the program added is passed over.

    Raises:
        MergeError: it is none, or damaged.
    """
    try:
        data = parse_json(text.encode() if isinstance(text, str) else text, _MOST_PARTS)
        if not isinstance(data, dict) or data.get("kind") != _KIND:
            raise MergeError("this is no study", hint=f"open the {STUDY_NAME} of a study")
        version = data["schema_version"]
        if type(version) is not int or version > SCHEMA_VERSION:
            raise MergeError("this study was written by a later version of this program")
        return _study(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MergeError(f"this study is damaged: {error}") from error


def read_study(path: str | Path) -> Study:
    """The study in a file, or in the folder of one.

    Raises:
        MergeError: there is none, or it is damaged.
    """
    path = Path(path)
    path = path / STUDY_NAME if path.is_dir() else path
    content = read_small(path, _MOST_BYTES, MergeError, "the study ")
    try:
        return from_json(content)
    except MergeError as error:
        raise MergeError(f"{path}: {error.message}", hint=error.hint, path=path) from error


# -- tables


def to_markdown(study: Study) -> str:
    """The table, what it says, and what it was made with, for a README or a paper's appendix."""
    columns = _columns(study)
    lines = [
        "| " + " | ".join(heading for heading, _ in columns) + " |",
        "|"
        + "|".join("---" if number in (0, len(columns) - 1) else "---:" for number in range(len(columns)))
        + "|",
    ]
    lines += ["| " + " | ".join(_cell(text(row)) for _, text in columns) + " |" for row in study.rows]
    said = [study.sentence]
    if study.advice is not None and study.advice.sentence:
        said.append(f"n: {study.advice.sentence}")
    said += [*study.choosing, study.imbalance]
    lines += ["", *(f"{one_line(sentence)}\n" for sentence in said if sentence)]
    lines += [f"- {one_line(row.title)}: {one_line(row.note)}" for row in study.rows if row.note]
    lines += [f"- {one_line(note)}" for note in study.notes]
    lines += ["", _footer(study), ""]
    return "\n".join(lines)


def to_csv(study: Study) -> str:
    """A line a row, numbers in full: of the loss without a prefix, of right answers and of own scores with
    one."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    spreads = ("loss", "accuracy", "bits", "score")
    numbers = (
        "n",
        "groups",
        "measure",
        "difference",
        "low",
        "high",
        "p",
        "p_holm",
        "verdict",
        "samples_needed",
        "mcnemar_p",
        "mcnemar_p_holm",
    )
    beside = [f"{what}_{part}" for what in ("accuracy", "score") for part in _BESIDE]
    writer.writerow(
        ["key", "title", "kind", "models"]
        + [f"{name}_{part}" for name in spreads for part in ("mean", "spread", "best")]
        + [*numbers, *beside, "note"]
    )
    for row in study.rows:
        cells: list[object] = [row.key, row.title, row.kind, len(row.members)]
        for name in spreads:
            spread: Spread | None = getattr(row, name)
            cells += [None] * 3 if spread is None else [spread.mean, spread.spread, spread.best]
        cells += [
            None if row.comparison is None else getattr(row.comparison, _FIELDS.get(name, name))
            for name in numbers
        ]
        cells += [*_answers(row), *_numbers(row.score_comparison), row.note]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return file.getvalue()


def _answers(row: StudyRow) -> list[object]:
    """Of right answers: of several seeds by the bootstrap, of one model by McNemar's test, without an
    interval."""
    one = row.comparison
    if row.accuracy_comparison is not None or one is None:
        return _numbers(row.accuracy_comparison)
    p_values = (one.mcnemar_p, one.mcnemar_p_holm)
    return [one.accuracy_difference, None, None, *p_values, one.accuracy_verdict]


def _numbers(comparison: Comparison | None) -> list[object]:
    return [None if comparison is None else getattr(comparison, name) for name in _BESIDE]


def _columns(study: Study) -> list[tuple[str, Callable[[StudyRow], str]]]:
    """What the table shows of a row, by the heading."""
    measured = study.rows[0].bits is not None and any(
        row.comparison is not None and row.comparison.measure == "bits a byte" for row in study.rows
    )
    columns: list[tuple[str, Callable[[StudyRow], str]]] = [("model", lambda row: row.title)]
    columns.append(("loss", lambda row: _spread(row.loss, 4)))
    columns.append(("best", lambda row: f"{row.loss.best:.4f}" if row.loss.spread is not None else ""))
    if measured:
        columns.append(("bits a byte", lambda row: _spread(row.bits, 4)))
    if any(row.accuracy is not None for row in study.rows):
        columns.append(("right, %", lambda row: _spread(row.accuracy, 2, 100)))
    if any(row.score is not None for row in study.rows):
        better = (study.score or {}).get("better", "higher")
        columns.append((f"score ({better} is better)", lambda row: _spread(row.score, 4)))
    columns.append(("against the median single (95 %)", lambda row: difference_text(row.comparison)))
    columns.append(("verdict", lambda row: _verdict(row)))
    return columns


def _spread(spread: Spread | None, decimals: int, factor: float = 1) -> str:
    if spread is None:
        return ""
    mean = f"{factor * spread.mean:.{decimals}f}"
    return mean if spread.spread is None else f"{mean} ± {factor * spread.spread:.{decimals}f}"


def _verdict(row: StudyRow) -> str:
    said = [] if row.comparison is None else [row.comparison.verdict]
    if row.comparison is not None and row.comparison.accuracy_verdict is not None:
        said.append(f"right answers: {row.comparison.accuracy_verdict}")
    if row.accuracy_comparison is not None:
        said.append(f"right answers: {row.accuracy_comparison.verdict}")
    if row.score_comparison is not None:
        said.append(f"score: {row.score_comparison.verdict}")
    return "; ".join(said)


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")


def _footer(study: Study) -> str:
    compared = next((row.comparison for row in study.rows if row.comparison is not None), None)
    among = (
        f"adjusted for {compared.compared} compared, each measure by itself" if compared is not None else ""
    )
    losses = f"Losses: {study.unit}, means over {study.samples_text}, ± between models (standard deviation)"
    over = "intervals are over samples, not over seeds or orders" if compared is not None else ""
    median = f"the median single model is {study.reference}"
    if study.reference_right:
        median += f", and by right answers {study.reference_right}"
    parts = [losses, over, median, among, study.machine, study.time_text]
    return one_line("; ".join(part for part in parts if part)) + "."


# -- from and to plain values


def _row_document(row: StudyRow) -> dict[str, Any]:
    document = {field.name: _plain(getattr(row, field.name)) for field in fields(row)}
    for name in _COMPARISONS:
        comparison: Comparison | None = getattr(row, name)
        document[name] = None if comparison is None else comparison.as_json()
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Comparison):
        return value.as_json()
    if isinstance(value, Spread | Curve | ChangedSample | Advice):
        return _plain(asdict(value))
    return value


def _study(data: Mapping[str, Any]) -> Study:
    known = {name: data[name] for name in (field.name for field in fields(Study)) if name in data}
    known["rows"] = tuple(_row(row) for row in data["rows"])
    advice = data["advice"]
    if "unit" not in known:  # of an earlier version
        known["unit"] = next(
            (
                row.comparison.unit
                for row in known["rows"]
                if row.comparison and row.comparison.measure == "loss"
            ),
            "nats a token",
        )
    if "n_groups" not in known:  # of an earlier version
        compared = next((row.comparison for row in known["rows"] if row.comparison is not None), None)
        known["n_groups"] = None if compared is None else compared.clusters
    known["advice"] = None if advice is None else Advice(**{**advice, "left": tuple(advice["left"])})
    for name in ("positions", "differences", "anchor", "steps"):
        known[name] = tuple(_curve(curve) for curve in data.get(name, ()))
    known["changed"] = tuple(ChangedSample(**sample) for sample in data["changed"])
    for name in ("choosing", "notes"):
        known[name] = tuple(map(str, data[name]))
    return Study(**known)


def _row(data: Mapping[str, Any]) -> StudyRow:
    known = {name: data[name] for name in (field.name for field in fields(StudyRow)) if name in data}
    for name in ("loss", "accuracy", "bits", "score"):
        spread = known.get(name)
        known[name] = None if spread is None else Spread(**spread)
    for name in _COMPARISONS:
        comparison = known.get(name)
        known[name] = None if comparison is None else Comparison.from_json(comparison)
    known["members"] = tuple(map(str, data["members"]))
    return StudyRow(**known)


def _curve(data: Mapping[str, Any]) -> Curve:
    numbers: dict[str, Sequence[float]] = {name: tuple(data[name]) for name in ("x", "mean", "low", "high")}
    return Curve(str(data["label"]), str(data["role"]), **numbers)  # type: ignore[arg-type]
