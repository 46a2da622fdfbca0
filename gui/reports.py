"""What jobs tell the window: frozen values, no Qt."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core import MergeError, MergePlan, RunRecord
from core.deltas.findings import Findings
from core.estimate import Estimate, Work
from gui.merge_setup import MergeSetup

__all__ = [
    "Failure",
    "LedgerRow",
    "MergeResult",
    "ModelSummary",
    "PlanReport",
    "PlanSummary",
    "Problem",
    "sentence",
]


@dataclass(frozen=True)
class Failure:
    """Why something could not be done, for a person.

    Attributes:
        message: one sentence.
        hint: what to do about it, or None.
        details: a traceback where the fault is the program's own; None otherwise.
    """

    message: str
    hint: str | None = None
    details: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What to say about `error`."""
        if isinstance(error, MergeError):
            return cls(sentence(error.message), sentence(error.hint) if error.hint else None)
        return cls(
            "Something went wrong that should not have.",
            "The details help to find the fault.",
            "".join(traceback.format_exception(error)),
        )


@dataclass(frozen=True)
class ModelSummary:
    """What the headers of a model say.

    Attributes:
        folder: where it is.
        name: how it is called.
        parameters: elements of all tensors.
        dtypes: its floating-point types, the one with the most bytes first.
        size_bytes: of its weights.
        problem: why it is no model; the numbers are zero then.
    """

    folder: Path
    name: str
    parameters: int = 0
    dtypes: tuple[str, ...] = ()
    size_bytes: int = 0
    problem: Failure | None = None


@dataclass(frozen=True)
class PlanSummary:
    """What is about to happen.

    Attributes:
        bytes_to_read, bytes_to_write: of weights.
        tensors: of the output.
        models: K.
        warnings: sentences for the user.
    """

    bytes_to_read: int
    bytes_to_write: int
    tensors: int
    models: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class MergeResult:
    """A finished merge.

    Attributes:
        record: what it did.
        out: where it was written.
        warnings: the plan's.
        findings: what it counted; None for a method that looks at no deltas.
        measured: what the merge had to do, for `Throughput.updated`.
    """

    record: RunRecord
    out: Path
    warnings: tuple[str, ...]
    findings: Findings | None
    measured: Work


@dataclass(frozen=True)
class Problem:
    """Something that stands in the way of a merge, or that is good to know before it.

    Attributes:
        message: one sentence.
        hint: what to do about it, or None.
        target: the field that it is about: "base", "models", "method", a parameter's name, or a field of
            MergeSetup such as "seed", "out" and "tokenizer_source".
        path: the folder of the model that it is about, as the set-up names it; None where it is about none.
        missing: whether nothing is wrong, and something only has not been chosen yet.
        failure: a fault of the program, with its details; None for anything that the user can mend.
    """

    message: str
    hint: str | None
    target: str
    path: Path | None = None
    missing: bool = False
    failure: Failure | None = None


@dataclass(frozen=True)
class LedgerRow:
    """What happens to one tensor.

    Attributes:
        name: of the tensor.
        shape, dtype: as it will be written; () and "" where it will not be.
        elements: their number.
        action: "merged", "copied" or "omitted".
        reason: why it is not simply merged; "" otherwise.
        values: the method's parameters for this tensor, as text.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    elements: int
    action: str
    reason: str = ""
    values: str = ""


@dataclass(frozen=True)
class PlanReport:
    """What would happen if Merge were pressed now.

    Attributes:
        setup: what the report is about.
        plan: the merge, checked; None where there is none because of an error, and all numbers are zero
            and the ledger is empty then.
        bytes_to_read, bytes_to_write: of weights.
        memory_bytes: what the buffers take at most.
        free_disk_bytes: where the output goes; None where that is not known.
        estimate: how long it takes.
        tensors, parameters: of the output.
        ledger: a row for each tensor.
        warnings, errors: what to know, and what has to be done first.
        states: of the sub-models: why a model does not fit, or None where it does; one that is missing was
            not looked at.
    """

    setup: MergeSetup
    plan: MergePlan | None = field(default=None, repr=False)
    bytes_to_read: int = 0
    bytes_to_write: int = 0
    memory_bytes: int = 0
    free_disk_bytes: int | None = None
    estimate: Estimate | None = None
    tensors: int = 0
    parameters: int = 0
    ledger: tuple[LedgerRow, ...] = field(default=(), repr=False)
    warnings: tuple[Problem, ...] = ()
    errors: tuple[Problem, ...] = ()
    states: Mapping[Path, str | None] = field(default_factory=dict)

    @property
    def actions(self) -> Mapping[str, int]:
        """How many tensors are merged, copied and omitted; an action that none takes is missing."""
        return Counter(row.action for row in self.ledger)


def sentence(text: str) -> str:
    """The engine's words as a sentence: a capital where they begin with a word, and a full stop."""
    text = text.strip()
    first = text.split(" ", 1)[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
