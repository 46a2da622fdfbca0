"""`paramosaic evaluate`: losses and scores of models on a data file, and what can be told from noise."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from core.cancel import CancelToken
from core.cli.following import Following, followed, going_on, progress_options
from core.cli.own_files import refuse_inputs
from core.cli.printing import print_result
from core.cli.score_output import SampleTable, score_document, score_event, score_rows, score_summary
from core.cli.session import cancellable, json_option, path_type, to_json, verbose_option
from core.cli.writable import check_new_file
from core.data.remarks import with_remarks
from core.data.rows import DataSet, read_data
from core.disk import replace_file
from core.evaluate.evaluation import evaluate_models
from core.evaluate.models.references import check_work_folder
from core.evaluate.models.room import check_device
from core.evaluate.scores import Scores
from core.evaluate.settings import DTYPES, Settings
from core.evaluate.store.score_store import ScoreStore, score_key
from core.evaluate.verdict.comparing import adjusted_together, compare
from core.evaluate.verdict.comparison import Comparison
from core.evaluate.verdict.winners_curse import winners_curse_sentence

__all__ = ["evaluate"]

_NEW_TOKENS = Settings().max_new_tokens


@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", type=path_type, help="JSONL, CSV or plain text.")
@click.option(
    "--task",
    "tasks",
    metavar="NAME,...",
    help="Instead of data: tasks of lm-evaluation-harness, or files of such (needs lm-eval).",
)
@click.option("--reference", help="The model that others are compared with; the first unless given.")
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default=DTYPES[0],
    show_default=True,
    help="What is computed in; what bfloat16 costs in accuracy is measured and said.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=int, help="One a core unless given.")
@click.option("--batch-tokens", type=int, help="Of a batch, padding among them; by the device unless given.")
@click.option("--max-length", type=int, help="Tokens of a sample; what the model takes unless given.")
@click.option("--exact-match", is_flag=True, help="Have answers written and compare them with the responses.")
@click.option(
    "--max-new-tokens", type=int, default=_NEW_TOKENS, help=f"Of an answer; {_NEW_TOKENS} unless given."
)
@click.option("--limit", type=click.IntRange(min=1), help="Of the rows only so many, from the first.")
@click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be used, and say so.")
@click.option("--recompute", is_flag=True, help="Leave aside what is known from earlier evaluations.")
@click.option(
    "--work-folder",
    type=path_type,
    metavar="DIR",
    help="Where recipes and adapters are merged for the time being; beside the scores unless given.",
)
@click.option("--out", type=path_type, metavar="FILE.csv", help="Write every sample of every model there.")
@progress_options
@json_option
@verbose_option
def evaluate(
    models: tuple[str, ...],
    data: Path | None,
    tasks: str | None,
    reference: str | None,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int | None,
    max_length: int | None,
    exact_match: bool,
    max_new_tokens: int,
    limit: int | None,
    skip_bad_rows: bool,
    recompute: bool,
    work_folder: Path | None,
    out: Path | None,
    progress: Path | None,
    background: bool,
    as_json: bool,
) -> None:
    """Measure MODELs on your own data, and say which differences are more than noise.

    A MODEL is a folder, BASE+ADAPTER, or a recipe. What was measured before is not measured again, and what
    was cut off goes on.
    """
    if (data is None) == (tasks is None):
        raise click.UsageError("Name the data (--data FILE), or else tasks (--task NAME).")
    inputs = (data, reference, *models)
    with (
        cancellable() as token,
        followed(progress, background=background, inputs=inputs, cancel=token) as following,
    ):
        settings = Settings(
            dtype=dtype,
            batch_tokens=batch_tokens,
            max_length=max_length,
            device=device,
            threads=threads,
            exact_match=exact_match,
            max_new_tokens=max_new_tokens,
            limit=limit,
            work_folder=work_folder,
        )
        check_device(device)
        refuse_inputs(out, (*inputs, progress), option="--out")
        check_new_file(out, example="samples.csv")
        asked, of_reference = _in_order(models, reference)
        check_work_folder(asked, work_folder)
        run = _Run(asked, of_reference, settings, following, token)
        if data is not None:
            parts = [run.on_data(data, skip_bad_rows=skip_bad_rows, recompute=recompute)]
        else:
            parts = run.on_tasks([one for one in (tasks or "").split(",") if one], recompute=recompute)
        if out is not None:
            replace_file(out, score_rows([table for part in parts for table in part.tables]))
        following.say("done", result=None if out is None else str(out.absolute()))
    if not as_json:
        print_result("\n\n".join(part.summary for part in parts))
    else:
        documents = [part.document for part in parts]
        print_result(to_json(documents[0] if data is not None else {"tasks": documents}))


@dataclass(frozen=True)
class _Part:
    """What came of one data set or task.

    Attributes:
        data: what it is, for a document.
        scores: of the models.
        of_reference: which of them is the reference.
        comparisons: of the others with it.
        rows: of the data; None for tasks.
        answers: what each model wrote; None where it wrote none.
        title: above the table; "" for none.
        notes: sentences on all of it.
    """

    data: Mapping[str, Any]
    scores: Sequence[Scores]
    of_reference: int
    comparisons: Sequence[Comparison]
    rows: DataSet | None = None
    answers: Sequence[tuple[str, ...] | None] = ()
    title: str = ""
    notes: Sequence[str] = ()

    @property
    def tables(self) -> list[SampleTable]:
        groups = None if self.rows is None else tuple(row.group or "" for row in self.rows.rows)
        answers = self.answers or [None] * len(self.scores)
        return [
            SampleTable(one, groups or (self.title,) * len(one.loss), said)
            for one, said in zip(self.scores, answers, strict=True)
        ]

    @property
    def summary(self) -> str:
        text = score_summary(self.scores, self.comparisons, self.notes)
        return f"{self.title}\n{text}" if self.title else text

    @property
    def document(self) -> dict[str, Any]:
        keys = [_key(one) if self.rows is not None else None for one in self.scores]
        name = self.scores[self.of_reference].name
        return score_document(
            self.data, self.scores, self.comparisons, reference=name, keys=keys, notes=self.notes
        )


@dataclass(frozen=True)
class _Run:
    """The models, and how they are evaluated."""

    models: Sequence[str]
    of_reference: int
    settings: Settings
    following: Following
    token: CancelToken

    def on_data(self, path: Path, *, skip_bad_rows: bool, recompute: bool) -> _Part:
        following = self.following
        rows = with_remarks(read_data(path, skip_bad_rows=skip_bad_rows, limit=self.settings.limit))
        for sentence in rows.notes:
            following.note(sentence)
        store = ScoreStore()
        with going_on():
            scores = evaluate_models(
                self.models,
                rows,
                settings=self.settings,
                store=store,
                recompute=recompute,
                on_scores=lambda one: following.say("scores", **score_event(one), key=_key(one)),
                on_note=following.note,
                progress=following.show,
                cancel=self.token,
            )
        data = {
            "path": str(path),
            "kind": rows.kind,
            "rows": len(rows.rows),
            "groups": len(set(rows.groups)) if rows.groups else None,
            "digest": rows.digest,
            "notes": list(rows.notes),
        }
        comparisons = self._compared(scores, rows.groups)
        self._say_comparisons(comparisons)
        answers = [None if (known := store.stored(_key(one))) is None else known.answers for one in scores]
        notes = self._on_choosing(scores, rows.groups)
        return _Part(data, scores, self.of_reference, comparisons, rows, answers, notes=notes)

    def on_tasks(self, tasks: Sequence[str], *, recompute: bool) -> list[_Part]:
        from core.evaluate.harness import evaluate_tasks

        following = self.following
        parts = []
        with going_on():
            scores = evaluate_tasks(
                self.models,
                tasks,
                settings=self.settings,
                store=ScoreStore(),
                recompute=recompute,
                on_note=following.note,
                progress=following.show,
                cancel=self.token,
            )
        for found in scores:
            for one in found.scores:
                following.say("scores", **score_event(one), task=found.task)
            comparisons = self._compared(found.scores, None)
            data: dict[str, Any] = {"task": found.task, "metric": found.metric}
            data |= {"rows": len(found.scores[0].loss), "digest": found.scores[0].data_digest}
            notes = self._on_choosing(found.scores, None)
            parts.append(
                _Part(data, found.scores, self.of_reference, comparisons, title=found.task, notes=notes)
            )
        together = adjusted_together([part.comparisons for part in parts])
        parts = [replace(part, comparisons=found) for part, found in zip(parts, together, strict=True)]
        for part in parts:
            self._say_comparisons(part.comparisons)
        return parts

    def _compared(self, scores: Sequence[Scores], groups: tuple[str, ...] | None) -> tuple[Comparison, ...]:
        others = [one for number, one in enumerate(scores) if number != self.of_reference]
        if not others:
            return ()
        return compare(scores[self.of_reference], others, groups=groups, cancel=self.token)

    def _on_choosing(self, scores: Sequence[Scores], groups: tuple[str, ...] | None) -> tuple[str, ...]:
        """Whoever takes the best of several is told how much of its gain is the luck of that: in the table's
        notes, and in the file of events, which the window follows."""
        others = [one for number, one in enumerate(scores) if number != self.of_reference]
        said = winners_curse_sentence(scores[self.of_reference], others, groups=groups)
        if not said:
            return ()
        self.following.say("note", text=said)
        return (said,)

    def _say_comparisons(self, comparisons: Sequence[Comparison]) -> None:
        if comparisons:
            self.following.say("comparisons", comparisons=[one.as_json() for one in comparisons])


def _in_order(models: Sequence[str], reference: str | None) -> tuple[list[str], int]:
    """The models without those that are named twice, and which of them is the reference; one that is not
    among them comes first."""
    by_place: dict[str, str] = {}
    for model in models:
        by_place.setdefault(os.path.abspath(model), model)
    places, asked = list(by_place), list(by_place.values())
    if reference is None:
        return asked, 0
    if os.path.abspath(reference) in places:
        return asked, places.index(os.path.abspath(reference))
    return [reference, *asked], 0


def _key(scores: Scores) -> str:
    return score_key(scores.model_digest, scores.data_digest, scores.settings)
