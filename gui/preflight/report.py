"""What a merge would do, and what stands in its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core import Leftover, MergePlan
from core.plan.choice import Choice
from core.plan.estimate import TimeEstimate
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure
from gui.preflight.taken import Taken

__all__ = [
    "LedgerRow",
    "PlanReport",
    "Problem",
    "TokenRow",
    "TokensReport",
]


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
        failure: a fault of the program, with its details; None for anything that the user can correct.
        left: what another merge left in the output folder, or is writing there; None for any other problem.
        taken: what is in the place of the output; None for any other problem.
        base: the model that can be the base that is missing; None for any other problem.
    """

    message: str
    hint: str | None
    target: str
    path: Path | None = None
    missing: bool = False
    failure: Failure | None = None
    left: Leftover | None = None
    taken: Taken | None = None
    base: Path | None = None


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
class TokenRow:
    """What happens to one token that is not in the same row everywhere.

    Attributes:
        token: its text.
        row: of the result; None where the result lacks it.
        what: "added", "moved" or "left out".
        origin: the models whose rows are merged.
    """

    token: str
    row: int | None
    what: str
    origin: str


@dataclass(frozen=True)
class TokensReport:
    """How the vocabularies of the models become one.

    Attributes:
        summary: a few words, for a line of the window.
        sizes: how many rows each model and the result have.
        rows: a row for each token that changes, up to some.
        total: how many there are.
    """

    summary: str = ""
    sizes: str = ""
    rows: tuple[TokenRow, ...] = field(default=(), repr=False)
    total: int = 0


@dataclass(frozen=True)
class PlanReport:
    """What would happen if Merge were pressed now.

    Attributes:
        setup: what the report is about.
        plan: the merge, checked; None where there is none because of an error, and all numbers are zero
            and the ledger is empty then.
        bytes_to_read, bytes_to_write: of weights, with the merges that come before.
        bytes_of_a_pass: what is to be read, each input once.
        passes: how often an input is read at most.
        memory_bytes: what the buffers take at most.
        free_disk_bytes: where the output goes; None where that is not known.
        estimate: how long it takes; merges that come before count as the time until it can begin.
        choice: on what it runs and why, and what is expected of the other devices.
        tensors, parameters: of the output.
        ledger: a row for each tensor.
        tokens: how vocabularies that differ become one; None where they do not differ.
        warnings, errors: what to know, and what has to be done first.
        states: of the sub-models: why a model does not fit, or None where it does; one that is missing was
            not looked at.
    """

    setup: MergeSetup
    plan: MergePlan | None = field(default=None, repr=False)
    bytes_to_read: int = 0
    bytes_to_write: int = 0
    bytes_of_a_pass: int = 0
    passes: int = 1
    memory_bytes: int = 0
    free_disk_bytes: int | None = None
    estimate: TimeEstimate | None = None
    choice: Choice | None = field(default=None, repr=False)
    tensors: int = 0
    parameters: int = 0
    ledger: tuple[LedgerRow, ...] = field(default=(), repr=False)
    tokens: TokensReport | None = None
    warnings: tuple[Problem, ...] = ()
    errors: tuple[Problem, ...] = ()
    states: Mapping[Path, str | None] = field(default_factory=dict)

    @property
    def left(self) -> Leftover | None:
        """What another merge left in the output folder, or is writing there."""
        return next((problem.left for problem in self.errors if problem.left is not None), None)

    @property
    def can_resume(self) -> bool:
        """Whether an earlier merge can be gone on with: nothing but what it left is in the way."""
        return bool(self.errors) and all(
            problem.left is not None and not problem.left.runs for problem in self.errors
        )

    @property
    def actions(self) -> Mapping[str, int]:
        """How many tensors are merged, copied and omitted; an action that none takes is missing."""
        return Counter(row.action for row in self.ledger)
