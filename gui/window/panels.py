"""The panels of the window, and what their fields say together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.methods import METHODS, MethodSpec
from core.recipe.stages import on_stage
from gui.document.merge_setup import MergeSetup
from gui.evaluation.panel import EvaluationPanel
from gui.history.panel import HistoryPanel
from gui.models.panel import ModelsPanel
from gui.pictures.panel import PicturesPanel
from gui.preflight.panel import PreflightPanel
from gui.preflight.report import Problem
from gui.recipe.panel import RecipePanel
from gui.run.panel import RunPanel
from gui.training.panel import TrainingPanel
from gui.trying.panel import TryPanel
from gui.window.log_panel import LogPanel

__all__ = ["Panels"]


def for_list(method: MethodSpec, *, sliced: bool) -> MethodSpec:
    """What the list of sub-models is to know of `method`: of slices each takes as many as it takes."""
    return replace(method, least_models=1, most_models=None) if sliced else method


@dataclass(frozen=True)
class Panels:
    """The panels of the window.

    Attributes:
        models, recipe, preflight: what you do.
        pictures, run: what you see.
        history, log: what happened.
        evaluation: what the result is worth.
        training: sub-models that are being made.
        trying: what the models answer.
    """

    models: ModelsPanel
    recipe: RecipePanel
    preflight: PreflightPanel
    pictures: PicturesPanel
    run: RunPanel
    history: HistoryPanel
    log: LogPanel
    evaluation: EvaluationPanel
    training: TrainingPanel
    trying: TryPanel

    def setup(self) -> MergeSetup:
        """What the fields say."""
        before = MergeSetup(
            method=self.recipe.method.name,
            base=self.models.base_folder,
            models=self.models.choices(),
            k=self.models.k,
            parameters={},
        )
        return self.recipe.read_into(before)

    def show_method(self) -> None:
        """Ask for the models as the method that was chosen takes them."""
        self.models.set_method(for_list(self.recipe.method, sliced=self.recipe.is_sliced))

    def apply(self, setup: MergeSetup) -> None:
        """Set every field from `setup`."""
        self.models.set_method(for_list(METHODS[setup.method], sliced=bool(setup.slices)))
        listed = [*(one.folder for one in setup.models), *([setup.base] if setup.base is not None else [])]
        made = [stage.folder for stage in setup.stages]
        made += [folder for folder in listed if on_stage(folder, setup.stages) is not None]
        self.models.apply(setup.base, setup.models, setup.k, made)
        self.recipe.apply(setup)

    def go_to(self, problem: Problem) -> None:
        """Put the focus on the field or the model that `problem` is about."""
        if problem.path is not None and problem.path in {choice.folder for choice in self.models.choices()}:
            self.models.show_model(problem.path)
        elif problem.target == "base":
            self.models.show_base()
        elif problem.target == "models":
            self.models.table.setFocus()
        else:
            self.recipe.show_field(problem.target)
