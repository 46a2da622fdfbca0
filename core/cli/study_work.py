"""What `paramosaic study` does: apart from its options, so that what it needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

from core.checkpoint.model import open_checkpoint
from core.cli.following import Following, followed, going_on
from core.cli.printing import print_result, say
from core.cli.score_output import score_event
from core.cli.session import cancellable, this_session
from core.cli.writable import check_writable
from core.data.remarks import with_remarks
from core.data.rows import read_data
from core.errors import MergeError
from core.evaluate.models.room import check_device
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import ScoreStore
from core.plan.planning import plan_merge
from core.progress import Share
from core.recipe.file import load_recipe
from core.recipe.recipe import Recipe
from core.recipe.writing import folders_of
from core.study.command import ScoreCommand
from core.study.document import STUDY_NAME, to_json, to_markdown
from core.study.evaluator import StudyEvaluator
from core.study.expecting import expected_left
from core.study.folder import study_folder, write_study
from core.study.rows import MeasuredModel
from core.study.samples import few_units_note
from core.study.studying import run_study
from core.study.table import Options
from core.study.values import Study
from core.text import one_line

__all__ = ["carry_out_study"]


def carry_out_study(
    *,
    recipe: Path,
    validation: Path,
    data: Path | None,
    ns: tuple[int, ...],
    lambdas: tuple[float, ...],
    seeds: int,
    out: Path | None,
    float32: tuple[Path, ...],
    no_soup: bool,
    score_command: str | None,
    score_better: str,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int | None,
    max_length: int | None,
    exact_match: bool,
    limit: int | None,
    train_limit: int,
    skip_bad_rows: bool,
    recompute: bool,
    progress: Path | None,
    background: bool,
    as_json: bool,
) -> None:
    """Study, write what was found, and print it; the arguments are the command's options.

    Raises:
        MergeError: it cannot be done.
        Cancelled: what was measured is kept.
    """
    command = None
    if score_command is not None:
        command = ScoreCommand.parse(score_command, higher_is_better=score_better == "higher")
    settings = Settings(
        dtype=dtype,
        batch_tokens=batch_tokens,
        max_length=max_length,
        device=device,
        threads=threads,
        exact_match=exact_match,
        limit=limit,
    )
    options = Options(
        ns=tuple(sorted({0, *ns})),
        seeds=seeds,
        float32=tuple(folder.absolute() for folder in float32),
        soup=not no_soup,
        lambdas=tuple(dict.fromkeys((1.0, *lambdas))),
        higher_is_better=score_better == "higher",
    )
    asked = load_recipe(recipe)
    inputs = (recipe, validation, data, *folders_of(asked), *float32)
    with (
        cancellable() as token,
        followed(progress, background=background, inputs=inputs, cancel=token) as following,
    ):
        report = _Report(following)
        check_device(device)
        _look_at(asked, options)
        rows = read_data(validation, skip_bad_rows=skip_bad_rows, limit=limit)
        few_units_note(rows)  # it refuses before a folder is made; what is only said the study says
        trained_on = whole = None
        if data is not None:
            trained_on = read_data(data, skip_bad_rows=skip_bad_rows, limit=train_limit)
            whole = read_data(data, skip_bad_rows=True)
        rows = with_remarks(rows, whole)
        for sentence in rows.notes:
            following.note(sentence)
        with study_folder(out or Path(f"{recipe.stem}-study"), folders_of(asked)) as folder:
            check_writable(folder / STUDY_NAME)
            evaluator = StudyEvaluator(
                folder,
                settings,
                ScoreStore(),
                command=command,
                validation_digest=rows.digest,
                train_limit=train_limit,
                recompute=recompute,
                cancel=token,
                on_note=following.note,
            )
            with going_on():
                found = run_study(
                    asked,
                    rows,
                    evaluator,
                    training=trained_on,
                    options=options,
                    expected_left=expected_left,
                    progress=report.progress,
                    on_measured=report.measured,
                    on_note=following.note,
                    cancel=token,
                )
            write_study(found, folder)
            pictures = _pictures(found, folder, following)
        compared = [row.comparison.as_json() for row in found.rows if row.comparison is not None]
        following.say("comparisons", comparisons=compared)
        following.say("done", result=str(folder))
    print_result(to_json(found).rstrip() if as_json else _summary(found, folder, pictures))


def _look_at(asked: Recipe, options: Options) -> None:
    """Refuse at once what would be found out after hours. Reads headers only. Raises MergeError."""
    plan_merge(asked)
    for folder in options.float32:
        config = open_checkpoint(folder).config or {}
        other = open_checkpoint(asked.models[0].path).config or {}
        if config.get("model_type") != other.get("model_type"):
            raise MergeError(
                f"--float32 {folder} is a {config.get('model_type')} model, and those of the recipe are "
                f"{other.get('model_type')} models",
                hint="name the float32 twin of a sub-model of the recipe",
                path=folder,
            )


def _pictures(found: Study, folder: Path, following: Following) -> list[Path]:
    """What the window draws of it; without a window that can, and where it fails, the tables stand alone."""
    draw = this_session().desktop.write_study_pictures
    if draw is None:
        return []
    try:
        return draw(found, folder)
    except MergeError as error:
        following.note(f"the pictures are left out: {error.message}")
        return []


def _summary(found: Study, folder: Path, pictures: list[Path]) -> str:
    lines = [to_markdown(found).rstrip(), "", f"study       {one_line(str(folder))}"]
    lines += [f"picture     {one_line(str(picture))}" for picture in pictures]
    return "\n".join(lines)


class _Report:
    """Says what is measured: a line a model on stderr, and events in the file."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._fraction = 0.0

    def progress(self, share: Share) -> None:
        self._fraction = share.fraction
        self._following.show(share)

    def measured(self, one: MeasuredModel) -> None:
        scores = one.scores
        right = "" if scores.accuracy is None else f", {100 * scores.accuracy:.2f} % right"
        own = "" if one.own_scores is None else f", score {one.own_scores.mean:.6g}"
        name = one_line(one.model.name)
        say(f"{100 * self._fraction:3.0f} %  {name}: loss {scores.mean_loss:.5f}{right}{own}")
        self._following.say("scores", **score_event(scores))
