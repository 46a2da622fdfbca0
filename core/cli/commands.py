"""The commands. Results go to stdout, progress and errors to stderr.

Exit status: 0 done, 1 the request cannot be carried out, 2 usage, 130 cancelled.
"""

from __future__ import annotations

import json
import logging
import platform
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from core.checkpoint.output import discard, discard_command, free_disk_bytes
from core.cli.desktop import Desktop
from core.cli.evaluating import evaluate
from core.cli.inspection_output import inspection_document, inspection_summary
from core.cli.output import merge_summary, plan_document, plan_summary
from core.cli.printing import lenient_streams, print_error, print_result, print_usage, say
from core.cli.progress_display import ProgressDisplay
from core.cli.session import (
    Session,
    cancellable,
    json_option,
    path_type,
    say_note,
    this_session,
    to_json,
    verbose_option,
)
from core.cli.signals import Signals
from core.cli.studying import study
from core.cli.training import train
from core.cli.trying import try_models
from core.cli.types import Size, Weights
from core.cli.verify_output import verification_document, verification_summary
from core.deltas.inspection import inspect_models
from core.draws import MAX_SEED
from core.errors import Cancelled, MergeError, VerificationError, merge_errors_only
from core.log import Log
from core.plan.choice import Choice, choose
from core.plan.merge_plan import MergePlan
from core.plan.planning import DEFAULT_SHARD_SIZE_BYTES, plan_merge
from core.recipe.file import load_recipe
from core.recipe.stages import with_seed
from core.run.merge import run_merge
from core.run.output_files import add_files
from core.run.record import RunRecord
from core.run.verify import verify_output
from core.runs.history import default_history_folder
from core.runs.learned import Learned
from core.text import message_text, one_line

__all__ = ["main"]

_log = logging.getLogger(__name__)

_CANCELLED = 130

_DEMO_OUT = Path("paramosaic-demo")


class _Command(click.Command):
    """A command that leaves in the log that it was given, and that it was done."""

    def invoke(self, ctx: click.Context) -> Any:
        given = [f"{name} {value}" for name, value in ctx.params.items() if value is not None]
        _log_start(f"{self.name}: {', '.join(given)}")
        begun = time.perf_counter()
        try:
            result = super().invoke(ctx)
        except KeyboardInterrupt:
            raise Cancelled from None  # click would begin a new line, on a terminal that may be gone
        _log.info("%s is done, after %.3f s", self.name, time.perf_counter() - begun)
        return result


class _Commands(click.Group):
    command_class = _Command


@click.group(
    cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="paramosaic")
@verbose_option
@click.pass_context
def _paramosaic(context: click.Context) -> None:
    """Merge fine-tuned language models. Without a command, open the window."""
    if context.invoked_subcommand is None:
        _log_start("the window")
        context.exit(_open_window(context.obj.desktop, demo=False))


@_paramosaic.command("merge")
@click.argument("recipe", type=path_type)
@click.option("--out", type=path_type, required=True, help="The folder to make.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), help="Instead of the recipe's seed.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto for the fastest, cpu, cuda, cuda:N, or cards with commas.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="At most so many work, of them as many as get the most done; one a core unless given.",
)
@click.option(
    "--shard-size", type=Size(), default=DEFAULT_SHARD_SIZE_BYTES, help="Of one file; 5GB unless given."
)
@click.option("--resume", is_flag=True, help="Go on with what an earlier merge left in OUT.partial.")
@click.option("--keep", is_flag=True, help="When cancelled, keep what is finished, to go on later.")
@click.option(
    "--take-over", is_flag=True, help="With --resume, take OUT.partial from a process of another machine."
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists, when the merge is done.")
@json_option
@verbose_option
def _merge(
    recipe: Path,
    out: Path,
    seed: int | None,
    device: str,
    threads: int | None,
    shard_size: int,
    resume: bool,
    keep: bool,
    take_over: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Merge as RECIPE says."""
    asked = load_recipe(recipe)
    if seed is not None:
        asked = with_seed(asked, seed)
    plan = plan_merge(asked, shard_size_bytes=shard_size)
    record = _run(
        plan,
        out,
        device=device,
        threads=threads,
        overwrite=overwrite,
        resume=resume,
        keep=keep,
        take_over=take_over,
    )
    for warning in plan.warnings:
        say(f"warning: {message_text(warning)}")
    report = to_json(json.loads(record.to_json())) if as_json else merge_summary(plan, record, out)
    print_result(report, needed=False)


@_paramosaic.command("discard")
@click.argument("folder", type=path_type, metavar="DIR.partial")
@click.option("--take-over", is_flag=True, help="Even if a process of another machine may work in it.")
@verbose_option
def _discard(folder: Path, take_over: bool) -> None:
    """Remove what a merge that was cut off left in DIR.partial."""
    left = discard(folder, take_over=take_over)
    print_result(f"removed {one_line(str(left.path))}: a merge that was {left}")


@_paramosaic.command("plan")
@click.argument("recipe", type=path_type)
@json_option
@verbose_option
def _plan(recipe: Path, as_json: bool) -> None:
    """Say what merging RECIPE would do. Reads headers only."""
    plan = plan_merge(load_recipe(recipe))
    free = free_disk_bytes(recipe)
    throughput = Learned(default_history_folder()).read()
    choice = choose(plan, throughput=throughput)
    if as_json:
        stages = [choose(one, throughput=throughput) for _, one in plan.stages]
        print_result(to_json(plan_document(plan, choice, free, stages)))
    else:
        print_result(plan_summary(plan, choice, free))


@_paramosaic.command("inspect")
@click.argument("base", type=path_type)
@click.argument("models", type=path_type, nargs=-1, required=True)
@click.option("--sample", type=float, default=1.0, help="Fraction of the weights to read; 1 unless given.")
@click.option("--details", is_flag=True, help="Measure norms, cosines, signs and magnitudes too; slower.")
@click.option(
    "--weights", type=Weights(), help="Of the draws that are predicted, as 1,1,2.5; equal unless given."
)
@json_option
@verbose_option
def _inspect(
    base: Path,
    models: tuple[Path, ...],
    sample: float,
    details: bool,
    weights: tuple[float, ...] | None,
    as_json: bool,
) -> None:
    """Count what fine-tuning changed in MODELS, compared with BASE. Merges nothing."""
    with cancellable() as token, ProgressDisplay() as display:
        inspection = inspect_models(
            base,
            models,
            sample=sample,
            details=details,
            weights=weights,
            cancel=token,
            progress=display.show,
            on_note=say_note,
        )
    print_result(to_json(inspection_document(inspection)) if as_json else inspection_summary(inspection))


@_paramosaic.command("verify")
@click.argument("folder", type=path_type, metavar="DIR")
@json_option
@verbose_option
def _verify(folder: Path, as_json: bool) -> None:
    """Check the output in DIR, every file of it, against its run record."""
    said = verification_document if as_json else verification_summary
    try:
        with cancellable() as token, ProgressDisplay() as display:
            report = verify_output(folder, cancel=token, progress=display.show)
    except VerificationError as error:
        if error.report is not None:
            print_result(said(error.report, folder))
        raise
    print_result(said(report, folder))


@_paramosaic.command("demo")
@click.option("--headless", is_flag=True, help="Merge without a window.")
@click.option("--out", type=path_type, help=f"The folder to make without a window; {_DEMO_OUT} unless given.")
@verbose_option
@click.pass_obj
def _demo(session: Session, headless: bool, out: Path | None) -> None:
    """Open the window on the demo models, or merge them without one."""
    from resources import DEMO_FOLDER

    desktop = session.desktop
    if not headless and out is None:
        if desktop.has_display():
            raise SystemExit(_open_window(desktop, demo=True))
        say("There is no display: merging the demo models without a window.")
    plan = plan_merge(load_recipe(DEMO_FOLDER / "recipe.yaml"))
    target = out or _DEMO_OUT
    record = _run(plan, target, device="auto", threads=None, overwrite=out is None)
    print_result(merge_summary(plan, record, target), needed=False)
    with tempfile.TemporaryDirectory() as drawn:
        pictures = {
            f"pictures/{picture.name}": picture.read_bytes()
            for picture in desktop.write_pictures(record, Path(drawn))
        }
    for picture in add_files(target, pictures):
        print_result(f"picture     {one_line(str(picture.absolute()))}", needed=False)


_paramosaic.command("evaluate")(evaluate)
_paramosaic.command("study")(study)
_paramosaic.command("train")(train)
_paramosaic.command("try")(try_models)


def main(desktop: Desktop, arguments: Sequence[str] | None = None, *, last: bool = False) -> int:
    """Run one command and return its exit status.

    Args:
        desktop: the window.
        arguments: the command line; None for the process's own.
        last: whether the process ends after it.
    """
    with Signals(last=last) as signals, lenient_streams(), Log() as log:
        try:
            return _status(Session(desktop, log, signals), arguments)
        except Exception:
            _log.exception("a fault of the program")
            raise


def _status(session: Session, arguments: Sequence[str] | None) -> int:
    try:
        with merge_errors_only():  # the engine's are; this is about what is printed
            result = _paramosaic.main(
                args=None if arguments is None else list(arguments),
                prog_name="paramosaic",
                standalone_mode=False,
                obj=session,
            )
    except click.UsageError as error:
        _log.info("not understood: %s", error.format_message())
        print_usage(error)
        return 2
    except (Cancelled, KeyboardInterrupt, click.Abort) as error:
        _log.info("cancelled")
        say("cancelled")
        _say_kept(error)
        return _CANCELLED
    except MergeError as error:
        _log.info("refused: %s (%s)", error.message, _address(error))
        print_error(error)
        _say_kept(error)
        return 1
    except SystemExit as error:  # of click too, where whoever read has left
        return error.code if isinstance(error.code, int) else 0
    return result if isinstance(result, int) else 0


def _log_start(asked: str) -> None:
    try:
        ours = version("paramosaic")
    except PackageNotFoundError:
        ours = "of unknown version"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    _log.info("paramosaic %s, Python %s, %s: %s", ours, platform.python_version(), system, asked)


def _address(error: MergeError) -> str:
    """ "RecipeError, field weight, entry 1"."""
    parts = {name: getattr(error, name) for name in ("field", "entry", "tensor", "path")}
    known = [f"{name} {value}" for name, value in parts.items() if value is not None]
    return ", ".join([type(error).__name__, *known])


def _open_window(desktop: Desktop, *, demo: bool) -> int:
    """Show the window, whose plans are not logged: it makes one or more at every change.

    Raises:
        Cancelled: a signal closed it.
    """
    plans = logging.getLogger("core.plan")
    before = plans.level
    plans.setLevel(logging.WARNING)
    try:
        status = desktop.open_window(demo)
    finally:
        plans.setLevel(before)
    if status == _CANCELLED:
        raise Cancelled
    return status


def _run(plan: MergePlan, out: Path, **how: Any) -> RunRecord:
    """Merge; `how` are the arguments of run_merge."""
    learned = Learned(default_history_folder())
    choices: list[Choice] = []

    def say_choice(choice: Choice) -> None:
        choices.append(choice)
        say(f"device: {message_text(choice.sentence)}")

    with cancellable() as token, ProgressDisplay() as display:
        record = run_merge(
            plan,
            out,
            throughput=learned.read(),
            progress=display.show,
            on_note=say_note,
            on_choice=say_choice,
            cancel=token,
            **how,
        )
        this_session().signals.output_is_whole()
    if choices and choices[-1].is_whole and not how.get("resume"):  # else another has done a part
        learned.learn(record.seconds, choices[-1].chosen.work)
    return record


def _say_kept(error: BaseException) -> None:
    """What can be done with what a merge had finished."""
    kept = error.kept if isinstance(error, MergeError) else None
    if kept is not None:
        folder = one_line(str(kept))
        say(
            f"hint: what is finished is kept in {folder}: go on with it (--resume), or remove it: "
            f"{one_line(discard_command(kept))}"
        )
