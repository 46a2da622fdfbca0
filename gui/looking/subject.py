"""What is looked at: models, and the weights with which they are to be drawn."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from core import MergePlan
from core.checkpoint.files import FileState
from core.deltas.findings import Findings
from core.methods import METHODS
from gui.document.merge_setup import MergeSetup
from gui.preflight.report import PlanReport

__all__ = ["Merge", "Subject", "as_selection", "same_merge", "same_models"]

Files = tuple[tuple[Path, FileState], ...]


@dataclass(frozen=True, eq=False)
class Merge:
    """A merge that runs or was done, and what it has counted.

    Attributes:
        setup: what is merged.
        began_s: when it began, in seconds since 1970.
        files: the files of its models as a Subject has them; None where they are not known.
        findings: with the cells that it has finished; None where it has counted nothing.
    """

    setup: MergeSetup
    began_s: float
    files: Files | None = None
    findings: Findings | None = None


@dataclass(frozen=True)
class Subject:
    """The models of a set-up that was checked.

    Attributes:
        setup: of a method that reads the base.
        method: that of the set-up that was checked.
        plan: of it; None where it is still to be made.
        equal_weights: whether every sub-model is as likely to be drawn as any other, in every tensor.
        files: every file of the models: its path, its size in bytes and when it was written, in nanoseconds
            since 1970.
    """

    setup: MergeSetup
    method: str
    plan: MergePlan | None
    equal_weights: bool
    files: Files

    @classmethod
    def of(cls, report: PlanReport) -> Subject | None:
        """What there is to be looked at; None where there is no base, or the models do not fit.

        Models that give some of their layers are looked at as a whole.
        """
        setup, plan = report.setup, report.plan
        if setup.base is None or plan is None or setup.stages:  # of which some are not made yet
            return None
        files = tuple((shard.path, shard.state) for shard in plan.headers.values())
        if METHODS[setup.method].reads_base and not setup.slices:
            return cls(setup, setup.method, plan, plan.draws_equally, files)
        return cls(as_selection(setup), setup.method, None, True, files)

    @cached_property
    def models(self) -> Hashable:
        """Equal for two that have the same deltas."""
        return _deltas(self.setup), self.files

    @cached_property
    def draws(self) -> Hashable:
        """Equal for two that have the same deltas and the same chances of being drawn."""
        return self.models, _chances(self.setup, self.equal_weights)

    def draws_as(self, setup: MergeSetup) -> bool:
        """Whether `setup` is about the same models, as far as it says, with the same weights."""
        return _deltas(setup) == _deltas(self.setup) and _weights(setup) == _weights(self.setup)

    def is_merged_by(self, merge: Merge) -> bool:
        """Whether `merge` has counted, and these models as they are now, with the same method and chances."""
        if merge.findings is None or merge.setup.method != self.method:
            return False
        unchanged = merge.files == self.files if merge.files is not None else self._modified_s < merge.began_s
        chances = _chances(merge.setup, merge.findings.equal_weights)
        return (
            unchanged
            and _deltas(merge.setup) == _deltas(self.setup)
            and chances == _chances(self.setup, self.equal_weights)
        )

    @property
    def _modified_s(self) -> float:
        """When the newest of the files was written, in seconds since 1970."""
        return max((state.modified_ns for _, state in self.files), default=0) / 1e9


def same_models(one: MergeSetup, other: MergeSetup) -> bool:
    """Whether two set-ups name the same base and the same sub-models."""
    return _folders(one) == _folders(other)


def same_merge(one: MergeSetup, other: MergeSetup) -> bool:
    """Whether what a merge of one has counted holds for the other, but for the draws."""
    what = (
        (setup.method, setup.stages, setup.slices, _deltas(setup), _weights(setup)) for setup in (one, other)
    )
    return next(what) == next(what)


def _folders(setup: MergeSetup) -> Hashable:
    return setup.base, tuple(choice.folder for choice in setup.taking_part)


def _deltas(setup: MergeSetup) -> Hashable:
    rows = (setup.vocab, setup.tokenizer_source, setup.tokenizer, setup.missing)  # which are compared
    return _folders(setup), setup.dtype, setup.zero_tolerance, rows


def _weights(setup: MergeSetup) -> Hashable:
    rules = tuple(rule for rule in setup.rules if rule.parameter == "weight")
    return tuple(choice.weight for choice in setup.taking_part), rules


def _chances(setup: MergeSetup, equal: bool) -> Hashable:
    """Of being drawn, of every sub-model; `equal` where they are the same in every tensor."""
    return None if equal else _weights(setup)


def as_selection(setup: MergeSetup) -> MergeSetup:
    """The same models for a method that reads the base and draws with equal weights."""
    return replace(
        setup,
        method="parameter_selection",
        models=tuple(replace(choice, weight=1.0) for choice in setup.models),
        parameters={},
        rules=(),
        slices=(),
        chat_template=None,
        stages=(),
        seed=0,
    )
