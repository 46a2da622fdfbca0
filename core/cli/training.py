"""`paramosaic train`: makes sub-models in K orders of their data."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from core.cli.following import Following, followed, progress_options
from core.cli.printing import print_result, say
from core.cli.session import cancellable, json_option, path_type, to_json, verbose_option
from core.draws import MAX_SEED
from core.errors import Cancelled, OutputError
from core.text import one_line
from core.train.faults import says_what_is_kept
from core.train.presets import DEFAULT_PRESET, PRESETS, preset_of
from core.train.runs_folder import Training, log_path
from core.train.settings import KEEPS, SAVE_DTYPES, SCHEDULES, TrainSettings
from core.train.step_log import Step, read_log
from core.train.training import TrainRequest, train_sub_models
from core.units import duration_text

__all__ = ["train"]

_DEFAULTS = {item.name: item.default for item in fields(TrainSettings)}
_SAVE_EVERY_MIN = 10.0
_MICRO_BATCH = 8
_SAID_EVERY_S = 10.0
_TOLD_EVERY_S = 0.1


@click.argument("base", type=path_type)
@click.option("--data", type=path_type, required=True, help="JSONL, CSV or plain text to learn from.")
@click.option(
    "--orders", type=click.IntRange(1, 1000), required=True, metavar="K", help="How many sub-models."
)
@click.option("--epochs", type=click.IntRange(1, 1000), metavar="E", help="The preset's unless given.")
@click.option("--out", type=path_type, required=True, metavar="RUNS", help="The folder of the runs.")
@click.option("--validation", type=path_type, help="Held-out rows that losses are measured on.")
@click.option(
    "--preset",
    default=DEFAULT_PRESET,
    show_default=True,
    metavar="NAME",
    help=f"Settings by the name of the data: {', '.join(PRESETS)}.",
)
@click.option("--lr", type=float, help="The highest learning rate; the preset's unless given.")
@click.option("--batch", type=click.IntRange(min=1), help="Samples a step; the preset's unless given.")
@click.option(
    "--micro-batch", type=click.IntRange(min=1), help="Of them in memory at a time; 8 unless given."
)
@click.option("--max-length", type=click.IntRange(min=2), help="Tokens a sample; the preset's unless given.")
@click.option("--schedule", type=click.Choice(SCHEDULES), default=_DEFAULTS["schedule"], show_default=True)
@click.option(
    "--warm-up", type=float, default=_DEFAULTS["warm_up"], help="Share of the steps; 0.03 unless given."
)
@click.option("--weight-decay", type=float, default=_DEFAULTS["weight_decay"], help="0 unless given.")
@click.option(
    "--keep", type=click.Choice(KEEPS), default=_DEFAULTS["keep"], show_default=True, help="Epochs."
)
@click.option("--same-batches", is_flag=True, help="The batches of order 1 in all, in other places.")
@click.option(
    "--save-dtype", type=click.Choice(SAVE_DTYPES), default=_DEFAULTS["save_dtype"], show_default=True
)
@click.option(
    "--also-float32",
    is_flag=True,
    help="Save the last epochs as float32 too, in order-1/float32 and so on: a control for studies.",
)
@click.option("--eval-steps", type=click.IntRange(min=0), default=0, help="Validate after so many steps too.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=0, help="Of the orders; 0 unless given.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="One a core unless given.")
@click.option(
    "--save-every",
    type=click.FloatRange(min=0),
    default=_SAVE_EVERY_MIN,
    metavar="MIN",
    help="Minutes between what a stopped run goes on from; 10 unless given.",
)
@click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be used.")
@progress_options
@json_option
@verbose_option
def train(
    base: Path,
    data: Path,
    orders: int,
    epochs: int | None,
    out: Path,
    validation: Path | None,
    preset: str,
    lr: float | None,
    device: str,
    threads: int | None,
    save_every: float,
    skip_bad_rows: bool,
    progress: Path | None,
    background: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Make K sub-models of BASE: fine-tune it on the same data, each in an order of its own.

    The same command again goes on with what was stopped.
    """
    inputs = (base, data, validation)
    with (
        cancellable() as token,
        followed(progress, background=background, inputs=inputs, cancel=token) as following,
    ):
        found = preset_of(preset)
        for name in ("batch", "max_length"):
            given[name] = given[name] or getattr(found, name)
        given["micro_batch"] = given["micro_batch"] or min(_MICRO_BATCH, given["batch"])
        settings = TrainSettings(
            orders=orders,
            epochs=epochs or found.epochs,
            learning_rate=found.learning_rate if lr is None else lr,
            **given,
        )
        request = TrainRequest(
            base=base,
            data=data,
            out=out,
            settings=settings,
            validation=validation,
            resamples=found.resamples,
            device=device,
            threads=threads,
            save_every_s=60 * save_every,
            skip_bad_rows=skip_bad_rows,
        )
        report = _Report(settings, following)
        try:
            training = train_sub_models(
                request,
                on_note=report.note,
                on_step=report.step,
                on_order_done=report.order_done,
                cancel=token,
            )
        except Cancelled:
            say("hint: the same command again goes on from here")
            raise
        except OutputError as error:
            says_what_is_kept(error)
            raise
        following.say("done", result=str(out.absolute()))
    print_result(to_json(_document(training)) if as_json else _summary(training), needed=False)


class _Report:
    """Says how far a training is: on stderr every ten seconds and at the ends of runs, in the file often."""

    def __init__(self, settings: TrainSettings, following: Following) -> None:
        self._orders = settings.orders
        self._following = following
        self._said_at = time.monotonic()
        self._told_at = 0.0
        self._first: tuple[float, float] | None = None
        """When the first step of this process was done, and its share."""

    def note(self, sentence: str) -> None:
        self._following.note(sentence)

    def order_done(self, number: int, folder: Path) -> None:
        say(f"order {number} of {self._orders} is done")
        self._following.say("order_done", order=number, folder=str(folder))

    def step(self, step: Step) -> None:
        now = time.monotonic()
        share = (step.order - 1 + step.step / step.of) / self._orders
        if self._first is None:
            self._first = now, share
        remaining = None
        if share > self._first[1]:
            remaining = (now - self._first[0]) / (share - self._first[1]) * (1 - share)
        matters = step.eval_loss is not None or step.step == step.of
        if matters or now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            self._tell(step, share, remaining)
        if matters or now - self._said_at >= _SAID_EVERY_S:
            self._said_at = now
            say(_line(step, self._orders, remaining))

    def _tell(self, step: Step, share: float, remaining: float | None) -> None:
        self._following.say(
            "step",
            order=step.order,
            step=step.step,
            of=step.of,
            epoch=step.epoch,
            loss=step.loss,
            learning_rate=step.learning_rate,
            grad_norm=step.grad_norm,
            eval_loss=step.eval_loss,
        )
        text = f"order {step.order} of {self._orders}, step {step.step} of {step.of}"
        self._following.say("progress", share=share, text=text, remaining_s=remaining)


def _line(step: Step, orders: int, remaining: float | None) -> str:
    checked = "" if step.eval_loss is None else f", validation loss {step.eval_loss:.4f}"
    left = "" if not remaining else f", {duration_text(remaining)} left"
    place = f"order {step.order} of {orders}, step {step.step:,} of {step.of:,}"
    return f"{place}: loss {step.loss:.4f}{checked}{left}"


def _document(training: Training) -> dict[str, Any]:
    return {
        "folder": str(training.folder),
        "base": str(training.base),
        "recipe": str(training.folder / "recipe.yaml") if len(training.orders) > 1 else None,
        "best_epoch": training.best_epoch,
        "orders": [
            {
                "number": order.number,
                "folder": str(order.folder),
                "epochs": [str(path) for path in order.epochs],
                "steps": order.steps,
                "loss": _last(training, order.number, "loss"),
                "eval_loss": _last(training, order.number, "eval_loss"),
            }
            for order in training.orders
        ],
    }


def _summary(training: Training) -> str:
    lines = []
    for order in training.orders:
        loss, checked = (_last(training, order.number, name) for name in ("loss", "eval_loss"))
        told = "" if checked is None else f"  validation loss {checked:.4f}"
        lines.append(
            f"order {order.number:<4} {order.steps:,} steps  loss {loss:.4f}{told}  "
            f"{one_line(str(order.epochs[-1]))}"
        )
    if training.best_epoch is not None:
        lines.append(f"best        epoch {training.best_epoch}, by the mean validation loss of all orders")
    if len(training.orders) > 1:
        lines.append(f"recipe      {one_line(str(training.folder / 'recipe.yaml'))}")
    return "\n".join(lines)


def _last(training: Training, number: int, name: str) -> Any:
    log = read_log(log_path(training.folder, number))
    return log[-1].get(name) if log else None
