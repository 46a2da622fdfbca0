"""Plans of several merges, one after the other, before any of them is made.

A later merge reads what an earlier one makes. What that will be is known from its plan: names, types and
shapes of the tensors, and the small files, which are put into a folder for as long as the others are planned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import Checkpoint, read_config
from core.plan.merge_plan import MergePlan
from core.plan.small_files import planned_companions
from core.recipe.reasons import Reasons
from core.recipe.recipe import Recipe, Stage
from core.recipe.stages import in_folders, in_stages, moved, on_stage
from core.recipe.writing import folders_of
from core.text import shown
from core.units import bytes_text

__all__ = ["plan_in_stages", "stage_bytes"]

Planner = Callable[[Recipe, Mapping[Path, Checkpoint]], MergePlan]
"""Plans a recipe without stages; the mapping holds models that are not on disk yet."""


def plan_in_stages(recipe: Recipe, plan: Planner) -> MergePlan:
    """The plan of the result of `recipe`, with those of its stages.

    Raises:
        MergeError: as `plan`, with the name of the stage that cannot be merged.
    """
    plans: list[tuple[str, MergePlan]] = []
    made: dict[Path, Checkpoint] = {}
    folders: dict[Path, Path] = {}
    with tempfile.TemporaryDirectory(prefix="paramosaic-") as place:
        reasons = Reasons()
        for stage in recipe.stages:
            folder = folders[stage.folder] = Path(place) / stage.name
            if not _lacks(stage.recipe, recipe.stages, folders, made):
                with reasons.noted(), in_stages(stage.name):
                    planned = plan(in_folders(stage.recipe, folders), made)
                    made[folder] = _to_be_made(planned, folder)
                    plans.append((stage.name, planned))
        if reasons.found and not _lacks(recipe, recipe.stages, folders, made):
            with reasons.noted():
                plan(in_folders(replace(recipe, stages=()), folders), made)
        reasons.refuse()
        result = plan(in_folders(replace(recipe, stages=()), folders), made)
    size = sum(planned.bytes_to_write for _, planned in plans)
    names = " and ".join(map(shown, (name for name, _ in plans)))
    before = (
        f"{names} {'is' if len(plans) == 1 else 'are'} merged first, beside the output, and removed at the "
        f"end: until then the disk holds {bytes_text(size)} more"
    )
    warnings = [f"{shown(name)}: {warning}" for name, planned in plans for warning in planned.warnings]
    named = {folder: stage for stage, folder in folders.items()}
    every = [result, *(planned for _, planned in plans)]
    names_of = {moved(path, named): name for planned in every for path, name in planned.names.items()}
    made_names = {stage.name for stage in recipe.stages}
    for path, name in names_of.items():  # a folder that is called like what a document makes is not that
        if name in made_names and on_stage(path, recipe.stages) is None:
            names_of[path] = f"{path.absolute().parent.name}/{name}"
    sliced = result.with_slices
    return replace(
        result,
        recipe=replace(in_folders(result.recipe, named), stages=recipe.stages),
        with_slices=sliced and replace(in_folders(sliced, named), stages=recipe.stages),
        names=names_of,
        stages=tuple(plans),
        warnings=(before, *warnings, *result.warnings),
    )


def _lacks(
    recipe: Recipe,
    stages: Sequence[Stage],
    folders: Mapping[Path, Path],
    made: Mapping[Path, Checkpoint],
) -> bool:
    """Whether it reads what an earlier one cannot make."""
    reads = (on_stage(path, stages) for path in folders_of(replace(recipe, stages=())))
    return any(on is not None and folders[on[0].folder] not in made for on in reads)


def stage_bytes(plan: MergePlan) -> int:
    """How much disk what the stages make takes until the result is finished."""
    return sum(planned.bytes_to_write for _, planned in plan.stages)


def _to_be_made(plan: MergePlan, folder: Path) -> Checkpoint:
    """The model that `plan` makes, as if it lay in `folder`, where its small files are written."""
    folder.mkdir()
    for name, companion in planned_companions(plan).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"".join(companion.chunks()))
    tensors = {}
    for tensor in plan.tensors:
        output = tensor.output
        path = folder / plan.shards[tensor.placement.shard].file_name
        tensors[output.name] = StoredTensor(
            output.name, output.dtype, output.shape, path, tensor.placement.offset, output.size_bytes
        )
    return Checkpoint(folder, folder.name, read_config(folder), (), tensors)
