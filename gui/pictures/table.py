"""The numbers behind a picture, as text that spreadsheets read. No Qt."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Rows of plain values under headings.

    Attributes:
        name: what the file is called, without a suffix.
        headings: of the columns.
        rows: numbers are written with all of their digits, and those that are none as nothing.
    """

    name: str
    headings: Sequence[str]
    rows: Iterable[Sequence[object]]

    def text(self, delimiter: str = ",") -> str:
        """As CSV, or with tabs as the clipboard has it."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
        writer.writerow(self.headings)
        writer.writerows([_plain(value) for value in row] for row in self.rows)
        return out.getvalue()


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    return value
