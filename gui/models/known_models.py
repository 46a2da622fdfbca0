"""What is known of models: their headers, and whether they fit. Plain data, no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path

from core.checkpoint.model import model_names
from core.units import bytes_text, count_text
from gui.failure import Failure
from gui.models.summary import ModelSummary

__all__ = ["KnownModels", "State", "types_text"]


class State(Enum):
    """How a model stands. The value is the sign that the window shows."""

    READING = "…"
    UNCHECKED = ""
    FITS = "✓"
    PROBLEM = "!"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    State.READING: "Being read",
    State.UNCHECKED: "Not checked",
    State.FITS: "Compatible",
    State.PROBLEM: "Not compatible",
}


class KnownModels:
    """What the headers say of each folder, and what the plan says of it.

    Attributes:
        summaries: of the folders that were read.
        reasons: why a model is not compatible, None where it is; without those that were not checked.
        base: the folder of the base, on which adapters are put; or None.
    """

    def __init__(self) -> None:
        self.summaries: dict[Path, ModelSummary] = {}
        self.reasons: Mapping[Path, str | None] = {}
        self.base: Path | None = None

    def add(self, summaries: Iterable[ModelSummary]) -> None:
        self.summaries.update((summary.folder, summary) for summary in summaries)

    def set_made(self, folders: Iterable[Path]) -> None:
        """Which of them a merge of the recipe makes first; all others are read."""
        made = set(folders)
        gone = [folder for folder, one in self.summaries.items() if one.is_made and folder not in made]
        for folder in gone:
            del self.summaries[folder]
        self.add(ModelSummary(folder, folder.name, is_made=True) for folder in made)

    def state(self, folder: Path) -> State:
        if folder not in self.summaries:
            return State.READING
        if self.problem(folder) is not None:
            return State.PROBLEM
        return State.FITS if folder in self.reasons else State.UNCHECKED

    def is_unreadable(self, folder: Path) -> bool:
        """Whether it is no model that can be read, whatever the others are."""
        summary = self.summaries.get(folder)
        return summary is not None and summary.problem is not None

    def problem(self, folder: Path) -> Failure | None:
        """Why the model cannot be merged: it cannot be read, or does not fit the other models."""
        summary = self.summaries.get(folder)
        if summary is None:
            return None
        if summary.problem is not None:
            return summary.problem
        reason = self.reasons.get(folder)
        return Failure(reason) if reason else None

    def parameters_text(self, folder: Path) -> str:
        """ "7.24 B", or "rank 16" of an adapter; "" while that is not known, as below.

        Of a model that is made first it says that.
        """
        if (known := self.summaries.get(folder)) is not None and known.is_made:
            return "first"
        summary = self._readable(folder)
        return summary.adapter_kind or count_text(summary.parameters) if summary else ""

    def types_text(self, folder: Path) -> str:
        summary = self._readable(folder)
        return types_text(summary.dtypes) if summary else ""

    def size_text(self, folder: Path) -> str:
        summary = self._readable(folder)
        return bytes_text(summary.size_bytes) if summary else ""

    def facts_text(self, folder: Path) -> str:
        """ "7.24 B parameters, bf16, 14.5 GB"; of an adapter with what it is put on before."""
        if (known := self.summaries.get(folder)) is not None and known.is_made:
            return "merged first, as the recipe says"
        summary = self._readable(folder)
        if summary is None:
            return ""
        facts = (
            f"{count_text(summary.parameters)} parameters",
            types_text(summary.dtypes),
            self.size_text(folder),
        )
        return "; ".join(filter(None, (self.adapter_text(folder), ", ".join(facts))))

    def adapter_text(self, folder: Path) -> str:
        """ "adapter on llama, rank 16"; "" for a whole model."""
        summary = self._readable(folder)
        if summary is None or not summary.adapter:
            return ""
        alone = " on " not in summary.adapter and self.base is not None and self.base != folder
        if not alone or self.base is None:
            return summary.adapter
        kind, comma, rest = summary.adapter.partition(",")
        return f"{kind} on {model_names([self.base])[0]}{comma}{rest}"

    def _readable(self, folder: Path) -> ModelSummary | None:
        summary = self.summaries.get(folder)
        if summary is None or summary.problem is not None or summary.is_made:
            return None
        return summary


def types_text(dtypes: tuple[str, ...]) -> str:
    """ "bf16", or "bf16 +1" where there are more."""
    if not dtypes:
        return "–"
    return dtypes[0].lower() + (f" +{len(dtypes) - 1}" if len(dtypes) > 1 else "")
