"""One merge, in a job."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Signal

from core import (
    Cancelled,
    CancelToken,
    MergeError,
    MergePlan,
    Progress,
    TensorRecord,
    leftover_of,
    plan_merge,
    run_merge,
)
from core.deltas.findings import Findings, MergeName, MergeTally
from core.deltas.preview import nothing_found
from core.plan.choice import Choice
from core.recipe.stages import beginnings
from core.runs.history import History, HistoryEntry
from core.runs.learned import Learned
from gui.document.merge_setup import MergeSetup
from gui.failure import Failure, sentence
from gui.jobs import Job
from gui.run.result import MergeResult, PlanSummary

__all__ = [
    "MergeJob",
]


_FINDINGS_EVERY_S = 0.25


class MergeJob(Job):
    """One merge: recipe, plan, execution.

    Signals:
        planned(object): a PlanSummary; the models fit together.
        noted(object): a Failure that does not stop the merge.
        told(str): a sentence about what does not stop it either, from the engine.
        stage_begun(str): of several merges one begins: "Merge 1 of 2: first."
        progressed(object): a core.Progress, about ten times a second.
        findings_changed(object): Findings with the tensors finished so far.
        kept(object): a core.Leftover: what it has finished, when it did not come to its end.
        succeeded(object): a MergeResult.
        failed(object): a Failure.
        cancelled(): it was stopped; nothing is left of it but what was `kept`.
        ended(): after exactly one of the three before.
    """

    planned = Signal(object)
    noted = Signal(object)
    told = Signal(str)
    stage_begun = Signal(str)
    progressed = Signal(object)
    findings_changed = Signal(object)
    kept = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    ended = Signal()

    def __init__(
        self,
        setup: MergeSetup,
        history: History,
        begun: Findings | None = None,
        *,
        resume: bool = False,
    ) -> None:
        """Args:
        setup: what to merge.
        history: where the run is written down.
        begun: what is known of the same models from looking at them.
        resume: whether to go on with what an earlier merge left.
        """
        super().__init__()
        self._resume = resume
        self._begun = begun
        self._setup = setup
        self._history = history
        self._entry: HistoryEntry | None = None
        self._token = CancelToken()
        self._findings: Findings | None = None
        self._tally: MergeTally | None = None
        self._beginnings: frozenset[str] = frozenset()
        self._news = False
        self._next_findings_s = 0.0

    def cancel(self, *, keep: bool = True) -> None:
        """Ask the merge to stop; `keep` what it has finished, or remove it."""
        self._token.cancel(keep=keep)

    def run(self) -> None:
        try:
            result = self._merge()
        except Cancelled as error:
            self._note(lambda entry: entry.cancelled())
            self._tell_what_is_kept(error)
            self.cancelled.emit()
        except BaseException as error:
            failure = Failure.of_setup(error)
            self._note(lambda entry: entry.failed(failure.message))
            self._tell_what_is_kept(error)
            self.failed.emit(failure)
        else:
            self._note(lambda entry: entry.done(result.record, result.before_s))
            self.succeeded.emit(result)
        self.ended.emit()

    def _merge(self) -> MergeResult:
        setup = self._setup
        out = Path(setup.out).expanduser().absolute()
        recipe = setup.recipe()
        self._entry = HistoryEntry.begin(recipe, out, setup.device)
        self._note(lambda entry: entry)
        plan = plan_merge(recipe, shard_size_bytes=setup.shard_size_bytes)
        self._token.raise_if_cancelled()
        self.planned.emit(_plan_summary(plan))
        self._findings = self._begun or nothing_found(plan)
        name = MergeName.of_recipe(recipe)
        self._tally = MergeTally(name, self._findings.grid, equal_weights=plan.draws_equally)
        counts = any(job.counts for tensor in plan.tensors for job in tensor.jobs)
        learned = Learned(self._history.folder)
        choices: list[Choice] = []
        self._beginnings = frozenset(beginnings(recipe.stages))
        began_s = time.monotonic()
        record = run_merge(
            plan,
            out,
            device=setup.device,
            threads=setup.threads,
            throughput=learned.read(),
            overwrite=setup.overwrite,
            resume=self._resume,
            progress=self._on_progress,
            on_tensor=self._on_tensor if counts else None,
            on_note=self._on_note,
            on_choice=choices.append,
            cancel=self._token,
        )
        whole = bool(choices) and not self._resume
        if whole and choices[-1].is_whole:
            learned.learn(record.seconds, choices[-1].chosen.work)
        before_s = max(time.monotonic() - began_s - record.seconds, 0.0) if recipe.stages else 0.0
        findings = self._findings_so_far() if counts else None
        warnings = tuple(sentence(warning) for warning in _news_first(record.warnings, plan.warnings))
        return MergeResult(record, out, warnings, findings, whole, before_s)

    def _tell_what_is_kept(self, error: BaseException) -> None:
        """Emit `kept` where the merge can be gone on with. A fault of the program does not say whether."""
        if isinstance(error, MergeError) and error.kept is None:
            return
        with contextlib.suppress(MergeError):
            left = leftover_of(Path(self._setup.out).expanduser())
            if left is not None and not left.runs:
                self.kept.emit(left)

    def _on_note(self, text: str) -> None:
        (self.stage_begun if text in self._beginnings else self.told).emit(sentence(text))

    def _note(self, of: Callable[[HistoryEntry], HistoryEntry]) -> None:
        """Write the run into the history; the merge goes on where that fails."""
        if self._entry is not None:
            try:
                self._history.add(of(self._entry))
            except MergeError as error:
                self.noted.emit(Failure.of(error))

    def _on_tensor(self, tensor: TensorRecord) -> None:
        if self._tally is not None:
            self._tally.add(tensor)
            self._news = True

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)
        started = time.monotonic()
        if not self._news or started < self._next_findings_s:
            return
        self._news = False
        self.findings_changed.emit(self._findings_so_far())
        # Summing up takes a while: spend a tenth of the time on it at most.
        ended = time.monotonic()
        self._next_findings_s = ended + max(_FINDINGS_EVERY_S, 9 * (ended - started))

    def _findings_so_far(self) -> Findings:
        assert self._findings is not None
        assert self._tally is not None
        findings = self._tally.added_to(self._findings)
        findings.prepare()
        return findings


def _news_first(warnings: Sequence[str], known: Sequence[str]) -> list[str]:
    """What a merge warned of; what was `known` before it began comes last."""
    return sorted(warnings, key=lambda warning: warning in known)


def _plan_summary(plan: MergePlan) -> PlanSummary:
    every = [*dict(plan.stages).values(), plan]
    return PlanSummary(
        bytes_to_read=sum(one.bytes_to_read for one in every),
        bytes_to_write=sum(one.bytes_to_write for one in every),
        tensors=len(plan.tensors),
        models=len(plan.models),
        warnings=plan.warnings,
    )
