"""A study: the table of the paper for one family of models, with controls, and what it says.

Source: arXiv:2410.03743, Tables 1 and 2 (single, weighted average, selection, selection and resampling, means
over five seeds) and Figures 1, 3 and 4. Beside these: a greedy soup (arXiv:2203.05482), and controls, which
are other ways to the same effect. A resampled parameter is one that fine-tuning moved, so that resampling
takes a merge further from the base; a task vector that is scaled goes as far without any choice. And an
average in a narrow type is rounded, where a selection is not.

Deviations from the paper: losses are compared, sample by sample, with those of the median single model; its
tables give scores without intervals.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from core import devices
from core.cancel import CancelToken
from core.checkpoint.model import model_names
from core.cores import usable_cores
from core.data.rows import DataSet
from core.errors import Cancelled, MergeError, merge_errors_only
from core.progress import ShareCallback
from core.recipe.recipe import Recipe
from core.recipe.writing import folders_of, recipe_as_dict
from core.run.record import software_versions
from core.study.advising import advice_of
from core.study.comparing import compared_rows, luck_sentences
from core.study.controls import best_beside_controls
from core.study.family import Family, family_of
from core.study.figures import Figures, figures_of, models_of_figures, trained_by
from core.study.making import table_of
from core.study.measuring import Evaluator, MeasuredCallback, Measuring, NoteCallback
from core.study.rows import MeasuredRow
from core.study.samples import few_units_note
from core.study.sentence import study_sentence
from core.study.table import Options, Table, models_of
from core.study.values import ChangedSample, Study
from core.text import cut

__all__ = ["Options", "run_study"]

_LONGEST_TEXT = 400
"""Characters of a sample that changed much."""


@merge_errors_only()
def run_study(
    recipe: Recipe,
    validation: DataSet,
    evaluator: Evaluator,
    *,
    training: DataSet | None = None,
    options: Options | None = None,
    expected_left: Callable[[Family, CancelToken], Sequence[float]] | None = None,
    progress: ShareCallback | None = None,
    on_measured: MeasuredCallback | None = None,
    on_note: NoteCallback | None = None,
    cancel: CancelToken | None = None,
) -> Study:
    """Measure a family of models and its merges, and say what can be told from noise.

    Args:
        recipe: names the base and the K sub-models; where its own method is none of the table's, it is a row.
        validation: the rows to compare on.
        evaluator: measures one model.
        training: the rows that were trained on, or the first of them, for the losses by position.
        options: what to look at.
        expected_left: the share of parameters on a zero delta with n = 0, 1, … resamples, for the advice.
        progress: told how far all of it is.
        on_measured: called with each model that was measured on the validation rows.
        on_note: told what is left out, and why.
        cancel: looked at between models and within.

    Raises:
        RecipeError: the recipe has no base.
        DataError: the data cannot be used, or are too few; nothing is measured then.
        MergeError: a sub-model cannot be measured.
        Cancelled: after `cancel`; what was measured is known to the evaluator's store.
    """
    options = options or Options()
    token = cancel or CancelToken()
    few = few_units_note(validation)
    family = family_of(recipe)
    trained = trained_by(family)
    expected = models_of(family, recipe, options)
    if not isinstance(trained, str):
        expected += models_of_figures(trained, with_positions=training is not None)
    measuring = Measuring(
        evaluator,
        validation,
        expected=expected,
        progress=progress,
        on_measured=on_measured,
        on_note=on_note,
        cancel=token,
    )
    if few:
        measuring.note(few)
    table = table_of(family, recipe, options, measuring, digest=validation.digest, groups=validation.groups)
    groups = _groups(validation, measuring)
    figures = Figures()
    if isinstance(trained, str):
        measuring.note(f"the figures of the training are left out: {trained}")
    else:
        figures = figures_of(family, trained, table, measuring, training)
        if training is None:
            measuring.note(
                "losses by position are left out: the data that were trained on are not given (--data)"
            )
    rows = compared_rows(
        table,
        groups=groups,
        of_lines=_groups_of_lines(validation),
        higher_is_better=options.higher_is_better,
        cancel=token,
    )
    best = table.best_merge
    said = next((row for row in rows if best is not None and row.key == best.key), None)
    controls = best_beside_controls(table, rows, groups=groups, cancel=token)
    left = _left(expected_left, family, measuring, token)
    scores = table.reference.scores
    return Study(
        rows=rows,
        sentence=study_sentence(said, controls),
        advice=advice_of(left, table, groups=groups, cancel=token),
        choosing=luck_sentences(table, groups=groups),
        positions=figures.positions,
        differences=figures.differences,
        anchor=figures.anchor,
        steps=figures.steps,
        changed=_changed(table, best, validation, measuring, options.changed),
        reference=table.reference.model.name,
        best="" if best is None else best.key,
        n_samples=len(scores.loss),
        n_groups=None if groups is None else len(set(groups)),
        unit=scores.loss_unit,
        imbalance=figures.imbalance,
        reference_right="" if table.reference_right is None else table.reference_right.model.name,
        notes=tuple(dict.fromkeys((*validation.notes, *scores.notes, *measuring.notes))),
        score=None if table.reference.own_scores is None else {"better": _better(options)},
        recipe=recipe_as_dict(recipe, _names(recipe)),
        data={"validation": _data(validation), "training": None if training is None else _data(training)},
        settings=dict(scores.settings),
        software=_software(),
        machine=machine_text(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(measuring.seconds, 3),
    )


def machine_text() -> str:
    """ "Linux x86_64, 2 cores", and cards that are known of: what seconds depend on."""
    cards = [device for device in devices.known_devices() or () if device.kind != "cpu"]
    with_cards = f", {devices.describe(cards)}" if cards else ""
    cores = usable_cores()
    kind = f"{platform.system()} {platform.machine()}"
    return f"{kind}, {cores} core{'' if cores == 1 else 's'}{with_cards}"


def _groups(validation: DataSet, measuring: Measuring) -> tuple[str, ...] | None:
    """Of the samples that count."""
    groups = validation.groups
    if groups is None or len(groups) != len(measuring.kept):
        return None
    return tuple(groups[row] for row in np.flatnonzero(measuring.kept))


def _groups_of_lines(validation: DataSet) -> dict[int, str] | None:
    groups = validation.groups
    if groups is None:
        return None
    return dict(zip((row.line for row in validation.rows), groups, strict=True))


def _left(
    expected_left: Callable[[Family, CancelToken], Sequence[float]] | None,
    family: Family,
    measuring: Measuring,
    token: CancelToken,
) -> Sequence[float]:
    if expected_left is None:
        return ()
    try:
        return expected_left(family, token)
    except Cancelled:
        raise
    except MergeError as error:
        measuring.note(f"there is no advice on n: {error.message}")
        return ()


def _changed(
    table: Table, best: MeasuredRow | None, validation: DataSet, measuring: Measuring, most: int
) -> tuple[ChangedSample, ...]:
    """The samples whose losses the best merge changed most, the largest change first."""
    if best is None:
        return ()
    before, after = table.reference.scores, best.scores
    order = np.argsort(-np.abs(after.loss - before.loss), kind="stable")[:most]
    rows = np.flatnonzero(measuring.kept)
    texts: dict[int, str] = {}
    if len(validation.rows) == len(measuring.kept):
        texts = {int(at): validation.rows[int(rows[at])].shown for at in order}
    return tuple(
        ChangedSample(
            line=int(before.lines[at]),
            text=cut(texts.get(int(at), ""), _LONGEST_TEXT),
            reference_loss=float(before.loss[at]),
            loss=float(after.loss[at]),
        )
        for at in order
        if after.loss[at] != before.loss[at]
    )


def _data(data: DataSet) -> dict[str, object]:
    return {"name": data.path.name, "digest": data.digest, "rows": len(data.rows)}


def _better(options: Options) -> str:
    return "higher" if options.higher_is_better else "lower"


def _names(recipe: Recipe) -> dict[Path, str]:
    """No paths of whoever's machine it was: a study is shown to others."""
    folders = list(folders_of(recipe))
    return dict(zip(folders, model_names(folders), strict=True))


def _software() -> dict[str, str]:
    try:
        return {**software_versions(), "transformers": version("transformers")}
    except PackageNotFoundError:
        return software_versions()
