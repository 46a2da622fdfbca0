"""`paramosaic study`: measures a family of sub-models and its merges, with controls."""

from __future__ import annotations

from typing import Any

import click

from core.cli.following import progress_options
from core.cli.session import json_option, path_type, verbose_option
from core.evaluate.settings import DTYPES
from core.methods.parameter_selection import MAX_RESAMPLES
from core.study.family import LAMBDAS

__all__ = ["study"]

_TRAIN_LIMIT = 2_000


class _Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them, ascending and each once."""

    def __init__(self, kind: type[int] | type[float], most: float, example: str) -> None:
        self._kind, self._most, self._example = kind, most, example
        self.name = example

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = sorted({self._kind(part) for part in str(value).split(",")})
        except ValueError:
            numbers = []
        if not numbers or not all(0 <= number <= self._most for number in numbers):
            kind = "whole numbers" if self._kind is int else "numbers"
            self.fail(
                f"{value!r} is no list of {kind} from 0 to {self._most:g}, as {self._example}", param, ctx
            )
        return tuple(numbers)


@click.argument("recipe", type=path_type)
@click.option(
    "--validation", type=path_type, required=True, metavar="VAL", help="Held-out rows to compare on."
)
@click.option("--data", type=path_type, metavar="TRAIN", help="What was trained on, for losses by position.")
@click.option(
    "--n",
    "ns",
    type=_Numbers(int, MAX_RESAMPLES, "0,1,2,4"),
    default="0,1,2,4",
    show_default=True,
    help="Numbers of resamples.",
)
@click.option(
    "--lambda",
    "lambdas",
    type=_Numbers(float, 1000, "1.25,2"),
    default=",".join(f"{one:g}" for one in LAMBDAS),
    show_default=True,
    help="By which the controls multiply task vectors.",
)
@click.option("--seeds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Draws of each.")
@click.option("--out", type=path_type, metavar="DIR", help="The folder to write; RECIPE-study unless given.")
@click.option(
    "--float32", type=path_type, multiple=True, metavar="FOLDER", help="A sub-model saved as float32; repeat."
)
@click.option("--no-soup", is_flag=True, help="Without a greedy soup, of up to 2 (K - 1) merges.")
@click.option(
    "--score-command", metavar="CMD", help="A program that scores a model's folder, its last argument."
)
@click.option(
    "--score-better",
    type=click.Choice(["higher", "lower"]),
    default="higher",
    show_default=True,
    help="Of what it prints.",
)
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(min=1), help="One a core unless given.")
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Of one batch; what suits unless given.")
@click.option("--max-length", type=click.IntRange(min=2), help="Tokens of a sample at most.")
@click.option("--exact-match", is_flag=True, help="Compare generated answers with the responses too.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only so many rows of VAL.")
@click.option(
    "--train-limit",
    type=click.IntRange(min=1),
    default=_TRAIN_LIMIT,
    show_default=True,
    metavar="N",
    help="Only so many rows of TRAIN.",
)
@click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be used.")
@click.option("--recompute", is_flag=True, help="Measure again what is known.")
@progress_options
@json_option
@verbose_option
def study(**given: Any) -> None:
    """Do the merges of RECIPE's models help? The paper's table for them, with controls.

    Measures the base, the sub-models, their average, selections with each n of several seeds, a greedy soup,
    and other ways to the same effect. Nothing is measured twice: the same command again goes on with what was
    stopped.
    """
    from core.cli.study_work import carry_out_study

    carry_out_study(**given)
