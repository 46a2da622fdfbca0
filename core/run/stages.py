"""Several merges run one after the other: each stage beside the output, then the result, then they go."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import disk
from core.cancel import CancelToken
from core.checkpoint.output import discard, discard_command
from core.checkpoint.stage_folders import find_stages, remove_stages, stages_path
from core.errors import Cancelled, MergeError, OutputError
from core.plan.merge_plan import MergePlan
from core.plan.planning import check_destination, plan_merge
from core.progress import Progress, ProgressCallback
from core.recipe.stages import beginnings, in_folders, in_stages
from core.run.merging import TensorCallback
from core.run.record import RunRecord

__all__ = ["run_stages"]

RunOne = Callable[..., RunRecord]
"""`run_merge` for a plan without stages; `whole` is the plan with them, whose recipe the record
tells."""


def run_stages(
    plan: MergePlan,
    out: Path,
    run_one: RunOne,
    *,
    overwrite: bool,
    resume: bool,
    keep: bool,
    cancel: CancelToken,
    on_note: Callable[[str], None] | None,
    progress: ProgressCallback | None,
    on_tensor: TensorCallback | None,
    **how: Any,
) -> RunRecord:
    """Merge the stages of `plan`, which are planned again from what is there by then, and the result.

    Args:
        plan: with stages.
        out: the output folder.
        run_one: runs one of the merges.
        overwrite, resume, keep: as run_merge has them, for the result. What a stage finished is kept where
            the result could be gone on with.
        cancel: looked at in all merges.
        on_note: told of the merges that begin.
        progress: told how far all merges together are.
        on_tensor: called with the tensors of the result.
        how: what else run_merge takes.

    Raises:
        MergeError: as run_merge; of a stage with its name.
    """
    out = out.absolute()
    place = stages_path(out)
    check_destination(plan, out, overwrite=overwrite, resume=resume)
    recipe, shard_size, begins = plan.recipe, plan.shard_size_bytes, beginnings(plan.recipe.stages)
    told = _Together(progress, [*(planned for _, planned in plan.stages), plan])
    folders: dict[Path, Path] = {}
    try:
        _make(place)
        for number, stage in enumerate(recipe.stages, start=1):
            folder = place / stage.name
            if on_note is not None:
                on_note(begins[number - 1])
            with in_stages(stage.name), _told_of_others(out, folder):
                planned = plan_merge(in_folders(stage.recipe, folders), shard_size_bytes=shard_size)
                run_one(
                    planned,
                    folder,
                    overwrite=False,
                    resume=True,
                    keep=keep,
                    cancel=cancel,
                    on_note=on_note,
                    progress=told.of(number),
                    **how,
                )
            folders[stage.folder] = folder
        if on_note is not None:
            on_note(begins[-1])
        planned = plan_merge(in_folders(replace(recipe, stages=()), folders), shard_size_bytes=shard_size)
        record = run_one(
            planned,
            out,
            overwrite=overwrite,
            resume=True,  # beside what its stages made, it looks like one that was cut off
            keep=keep,
            cancel=cancel,
            on_note=on_note,
            whole=plan,
            progress=told.of(len(recipe.stages) + 1),
            on_tensor=on_tensor,
            **how,
        )
    except BaseException as error:
        is_kept = keep or resume if cancel.keeps is None else cancel.keeps
        if isinstance(error, Cancelled | KeyboardInterrupt) and not is_kept:
            remove_stages(out, discard)
        elif isinstance(error, MergeError):
            if find_stages(out) is not None:
                error.kept = place if error.kept is None or place in error.kept.parents else error.kept
            elif error.kept is None:
                remove_stages(out, discard)
        raise
    remove_stages(out, discard)
    return record


@contextlib.contextmanager
def _told_of_others(out: Path, folder: Path) -> Iterator[None]:
    """Say of what is in the place of a stage's result that it is not that."""
    try:
        yield
    except OutputError as error:
        if error.path != folder or not os.path.lexists(folder):
            raise
        if find_stages(out) is None:
            raise OutputError(
                f"{folder} is there, and no merge made it",
                hint="move it away, or choose another output folder",
                path=folder,
                field="out",
            ) from error
        raise OutputError(
            f"{folder}, which an earlier merge made, is of another recipe or of models that have changed "
            "since",
            hint="choose another output folder, or remove what the merge left: "
            + discard_command(stages_path(out)),
            path=folder,
            field="out",
        ) from error


class _Together:
    """Progress of several merges as that of one, which never goes back."""

    def __init__(self, tell: ProgressCallback | None, plans: Sequence[MergePlan]) -> None:
        self._tell = tell
        self._bytes = [planned.bytes_to_read + planned.bytes_to_write for planned in plans]
        self._tensors = [len(planned.tensors) for planned in plans]
        self._began_s = time.perf_counter()

    def of(self, number: int) -> ProgressCallback | None:
        """What merge `number`, from 1, reports to."""
        if self._tell is None:
            return None
        tell, before, earlier = self._tell, sum(self._bytes[: number - 1]), sum(self._tensors[: number - 1])

        def told(progress: Progress) -> None:
            tell(
                replace(
                    progress,
                    bytes_done=before + round(progress.fraction * self._bytes[number - 1]),
                    bytes_total=sum(self._bytes),
                    tensors_done=earlier + progress.tensors_done,
                    tensors_total=sum(self._tensors),
                    elapsed_s=time.perf_counter() - self._began_s,
                    bytes_before=0,
                )
            )

        return told


def _make(place: Path) -> None:
    try:
        disk.system.make_folder(place)
    except FileExistsError:
        if place.is_symlink() or not place.is_dir():
            raise OutputError(f"{place} is there, and is no folder", path=place, field="out") from None
    except OSError as error:
        raise disk.write_error(error, place) from error
