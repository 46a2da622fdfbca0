"""`paramosaic evaluate`: losses and scores of models on a data file, and what can be told from noise."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.following import Following, followed, progress_options
from core.cli.printing import print_result
from core.cli.score_output import score_document, score_event, score_rows, score_summary
from core.cli.session import cancellable, json_option, path_type, to_json, verbose_option
from core.data.rows import DataSet, read_data
from core.disk import replace_file
from core.errors import OutputError
from core.evaluate.comparison import Comparison
from core.evaluate.evaluation import evaluate_models
from core.evaluate.settings import DTYPES, Settings
from core.evaluate.store import ScoreStore, score_key
from core.evaluate.verdict import compare

if TYPE_CHECKING:
    from core.evaluate.scores import Scores

__all__ = ["evaluate"]

_NEW_TOKENS = Settings().max_new_tokens


@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", type=path_type, required=True, help="JSONL, CSV or plain text.")
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
@click.option("--out", type=path_type, metavar="FILE.csv", help="Write every sample of every model there.")
@progress_options
@json_option
@verbose_option
def evaluate(
    models: tuple[str, ...],
    data: Path,
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
    out: Path | None,
    progress: Path | None,
    background: bool,
    as_json: bool,
) -> None:
    """Measure MODELs on your own data, and say which differences are more than noise.

    A MODEL is a folder, BASE+ADAPTER, or a recipe. What was measured before is not measured again, and what
    was cut off goes on.
    """
    with cancellable() as token, followed(progress, background=background) as following:
        settings = Settings(
            dtype=dtype,
            batch_tokens=batch_tokens,
            max_length=max_length,
            device=device,
            threads=threads,
            exact_match=exact_match,
            max_new_tokens=max_new_tokens,
            limit=limit,
        )
        _check_out(out)
        rows = read_data(data, skip_bad_rows=skip_bad_rows, limit=limit)
        for sentence in rows.notes:
            following.note(sentence)
        store = ScoreStore()
        asked, of_reference = _in_order(models, reference)
        scores = evaluate_models(
            asked,
            rows,
            settings=settings,
            store=store,
            recompute=recompute,
            on_scores=lambda one: _say_scores(following, one),
            on_note=following.note,
            progress=following.show,
            cancel=token,
        )
        others = [one for number, one in enumerate(scores) if number != of_reference]
        comparisons: tuple[Comparison, ...] = ()
        if others:
            comparisons = compare(scores[of_reference], others, groups=rows.groups, cancel=token)
            following.say("comparisons", comparisons=[one.as_json() for one in comparisons])
        _write_rows(out, rows, scores, store)
        following.say("done", result=None if out is None else str(out.absolute()))
    if as_json:
        document = score_document(
            {
                "path": str(data),
                "kind": rows.kind,
                "rows": len(rows.rows),
                "groups": len(set(rows.groups)) if rows.groups else None,
                "digest": rows.digest,
                "notes": list(rows.notes),
            },
            scores,
            comparisons,
            reference=scores[of_reference].name,
            keys=[_key(one) for one in scores],
        )
        print_result(to_json(document))
    else:
        print_result(score_summary(scores, comparisons))


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


def _say_scores(following: Following, scores: Scores) -> None:
    following.say("scores", **score_event(scores), key=_key(scores))


def _key(scores: Scores) -> str:
    return score_key(scores.model_digest, scores.data_digest, scores.settings)


def _check_out(out: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    if out is None:
        return
    if out.is_dir():
        raise OutputError(
            f"{out} is a folder", hint="name a file for the samples, such as samples.csv", path=out
        )
    if not out.absolute().parent.is_dir():
        raise OutputError(
            f"cannot write {out}: there is no folder {out.absolute().parent}", hint="make it first", path=out
        )


def _write_rows(out: Path | None, data: DataSet, scores: Sequence[Scores], store: ScoreStore) -> None:
    if out is None:
        return
    answers = [None if (known := store.known(_key(one))) is None else known.answers for one in scores]
    replace_file(out, score_rows(data, scores, answers))
