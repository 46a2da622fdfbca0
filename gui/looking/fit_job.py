"""Planning without the models that do not fit, so that one misfit takes nobody else's pictures away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken, MergeError, plan_merge
from core.checkpoint.model import model_names
from core.methods import METHODS
from gui.document.merge_setup import MergeSetup
from gui.jobs import Job
from gui.looking.subject import as_selection
from gui.preflight.addresses import problem_of
from gui.preflight.report import PlanReport, Problem

__all__ = ["FitJob", "Fitting", "misfits_of"]


@dataclass(frozen=True)
class Fitting:
    """What is left of a set-up that cannot be planned as it is.

    Attributes:
        report: of the models that fit; its plan is None where they are none, or something else is wrong.
        left_out: the names of the others that take part, in their order.
        problem: what is wrong beside them; None for nothing.
    """

    report: PlanReport
    left_out: tuple[str, ...]
    problem: Problem | None = None


def misfits_of(report: PlanReport) -> Mapping[Path, str]:
    """Why sub-models that take part cannot be read, or do not fit the base, as far as the report says."""
    parts = {choice.folder for choice in report.setup.taking_part}
    found = {folder: reason for folder, reason in report.states.items() if reason and folder in parts}
    for problem in report.errors:  # one that could not even be looked at has no state
        if problem.path in parts and problem.path not in report.states:
            found[problem.path] = problem.message
    return found


class FitJob(Job):
    """Plans with the models of a report that fit.

    Signals:
        fitted(object): a Fitting, once; not after it was cancelled.
    """

    fitted = Signal(object)

    def __init__(self, report: PlanReport) -> None:
        super().__init__()
        self._report = report
        self._token = CancelToken()

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        try:
            fitting = self._fitting()
        except Cancelled:
            return
        if not self._token.cancelled:
            self.fitted.emit(fitting)

    def _fitting(self) -> Fitting:
        whole = self._report.setup
        out = set(misfits_of(self._report))
        as_it_is = METHODS[whole.method].reads_base
        while True:
            self._token.raise_if_cancelled()
            setup = _without(whole, out)
            report = PlanReport(setup, states=self._report.states)
            if not setup.taking_part:
                return Fitting(report, _names(whole, out))
            try:
                plan = plan_merge((setup if as_it_is else as_selection(setup)).recipe())
                return Fitting(replace(report, plan=plan), _names(whole, out))
            except MergeError as error:
                problem = problem_of(error, setup)
            if problem.path in {choice.folder for choice in setup.taking_part}:
                out.add(problem.path)
            elif as_it_is:  # as a method that takes two models, or a parameter that is wrong
                as_it_is = False
            else:
                return Fitting(report, _names(whole, out), problem)


def _without(setup: MergeSetup, out: Iterable[Path]) -> MergeSetup:
    """The same with only those that take part, but for those that are `out`."""
    kept = tuple(choice for choice in setup.taking_part if choice.folder not in set(out))
    return replace(setup, models=kept, k=len(kept))


def _names(setup: MergeSetup, out: Iterable[Path]) -> tuple[str, ...]:
    folders = [choice.folder for choice in setup.taking_part]
    named = zip(folders, model_names(folders), strict=True)
    return tuple(name for folder, name in named if folder in set(out))
