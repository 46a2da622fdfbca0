"""Adding models that were dropped or chosen: finding them, asking where there is a choice, saying why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from core.checkpoint.model import model_names
from core.text import one_line
from gui.document.made_models import MadeModels
from gui.failure import Failure
from gui.jobs import JobKeeper
from gui.models.bases import is_called_base
from gui.models.finding import FoundModels
from gui.models.questions import ask_to_add, ask_what_a_base_is
from gui.models.read_jobs import FindModelsJob
from gui.widgets.dropped import Dropped
from gui.words import plural

__all__ = ["Adding", "hover_texts"]

Models = tuple[Path | None, Sequence[Path]]
"""The base and the sub-models."""


class Adding(QObject):
    """Finds out which models are meant, in jobs, and has them added.

    Signals:
        decided(object, object): the Path of the model that is to be the base, or None for the one that is,
            and a list of Path of those that are to be added; none of them is there already.
        answered(object): a Failure: what was dropped or chosen and cannot be taken, and what to do.
        noted(str): a remark of no consequence.
    """

    decided = Signal(object, object)
    answered = Signal(object)
    noted = Signal(str)

    def __init__(self, jobs: JobKeeper, present: Callable[[], Models], parent: QWidget) -> None:
        """Args:
        jobs: keeps the jobs.
        present: which models there are.
        parent: above which is asked.
        """
        super().__init__(parent)
        self._jobs, self._present, self._window = jobs, present, parent

    def take(self, dropped: Dropped, *, onto_base: bool = False) -> None:
        """Add what was dropped, to the list or `onto_base`, or say why not."""
        places = (*dropped.models, *dropped.unusable)
        if places:
            self._start(places, onto_base=onto_base)
        if dropped.links:
            self.answered.emit(_answer_to_link(dropped.links[0]))

    def add(self, places: Sequence[Path], *, runs: bool = False) -> None:
        """Add the models in `places`; `runs`: all of these are training runs."""
        if places:
            self._start(places, runs=runs)

    def _start(self, places: Sequence[Path], *, runs: bool = False, onto_base: bool = False) -> None:
        job = FindModelsJob(places, runs=runs, listed=self._present()[1])
        job.found.connect(self._on_found_base if onto_base else self._on_found)
        self._jobs.start(job)

    @Slot(object)
    def _on_found(self, found: FoundModels) -> None:
        base, listed = self._present()
        there = {*listed, *([base] if base is not None else [])}
        new = [model for model in found.models if model not in there]
        offered = found.base if found.base in new else None
        others = [model for model in new if model != offered]
        present = len(found.models) - len(new)
        before = one_line(model_names([base])[0]) if base is not None else ""
        if found.refused:
            self.answered.emit(_all_answers(found.refused))
        if offered is not None and not others:
            ask_what_a_base_is(self._window, offered, before, partial(self._decide, offered, []))
        elif others and (found.holders or offered is not None):
            ask_to_add(
                self._window,
                others,
                holder=_holder_of(others, found.holders),
                about=_epochs_text(found.trained),
                present=present,
                base=offered,
                before=before,
                then=partial(self._decide, offered, new),
            )
        elif others:
            self.decided.emit(None, others)
            if present:
                self.noted.emit(_are_there_text([model for model in found.models if model in there], base))
            elif found.runs:
                run = one_line(found.runs[0].name)
                where = run if len(found.runs) == 1 else plural(len(found.runs), "training run")
                self.noted.emit(f"Added {plural(len(others), 'model')} of {where}")
        elif found.models:
            self.noted.emit(_are_there_text(found.models, base))

    def _decide(self, offered: Path | None, new: Sequence[Path], as_base: bool) -> None:
        """Add `new`, and `offered` as the base or with them in the order of their names."""
        everything = new or ([offered] if offered is not None else [])
        rest = [model for model in everything if not (as_base and model == offered)]
        self.decided.emit(offered if as_base else None, rest)

    @Slot(object)
    def _on_found_base(self, found: FoundModels) -> None:
        base, _ = self._present()
        if found.refused and not found.models:
            self.answered.emit(_all_answers(found.refused))
        elif found.models == (base,):
            self.noted.emit(_are_there_text(found.models, base))
        elif len(found.models) == 1:
            self.decided.emit(found.models[0], [])
        elif found.base is not None:
            self._on_found(found)
        else:
            what = f"{len(found.models)} models"
            if found.runs:
                what = f"{len(found.models)} checkpoints of {one_line(found.runs[0].name)}"
            self.answered.emit(
                Failure(
                    f"There is one base, and these are {what}.",
                    "Drop the one that all were fine-tuned from here, and the others on the list.",
                )
            )


def hover_texts(dropped: Dropped, *, onto_base: bool = False) -> tuple[str, str]:
    """What dropping it would do to the base and to the list, in a few words; "" for nothing.

    No disk is looked at: what is in the folders is asked once they are dropped.
    """
    if not dropped.models or dropped.recipe is not None:
        return "", ""
    one = one_line(dropped.models[0].name) if len(dropped.models) == 1 else ""
    if onto_base:
        return (f"Drop to use {one} as the base" if one else "Drop one model here"), ""
    bases = [model for model in dropped.models if is_called_base(model)]
    listed = f"Drop to add {one or plural(len(dropped.models), 'folder')}"
    if len(bases) != 1:
        return "", listed
    base = f"Drop to use {one_line(bases[0].name)} as the base, after a question"
    return base, "" if one else listed


def _are_there_text(models: Sequence[Path], base: Path | None) -> str:
    first = one_line(models[0].name)
    if models[0] == base and len(models) == 1:
        return f"{first} is the base already"
    rest = f" and {len(models) - 1} more are" if len(models) > 1 else " is"
    return f"{first}{rest} in the list already"


def _holder_of(models: Sequence[Path], holders: Sequence[Path]) -> str:
    """How the folder is called that holds all `models`; "" where they are from several places."""
    if len(holders) != 1 or not all(model.is_relative_to(holders[0]) for model in models):
        return ""
    return one_line(holders[0].name)


def _epochs_text(trained: Sequence[MadeModels]) -> str:
    """Which epochs of trainings are added, and how to have others; "" where there is nothing to say."""
    told = []
    for made in trained:
        if made.others:
            which = "best" if made.best else "last"
            example = one_line(str(made.others[0].relative_to(made.folder)))
            told.append(
                f"Of {one_line(made.folder.name)} these are the models after epoch {made.epoch}, the {which} "
                f"one of each order. For other epochs add their folders, such as {example}."
            )
        if made.missing:
            are = "has" if made.missing == 1 else "have"
            told.append(f"{plural(made.missing, 'order')} {are} not got so far yet.")
    return " ".join(told)


def _answer_to_link(link: str) -> Failure:
    return Failure(
        f"{one_line(link)} is not on this computer.",
        "Download the model first, for example with `hf download`, and drop its folder.",
    )


def _all_answers(refused: Sequence[Failure]) -> Failure:
    """The first of them, and how many more there are."""
    more = len(refused) - 1
    if not more:
        return refused[0]
    rest = f"{plural(more, 'other')} cannot be taken either."
    return Failure(f"{refused[0].message} {rest}", refused[0].hint)
