"""Recipe and headers become a plan: every output tensor, where its bytes come from and go to.

All validation is here. No weights are read, and torch is not imported.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path

from core.adapter_paths import join_adapters, split_adapters
from core.checkpoint.model import Checkpoint, model_names, open_checkpoint, read_config
from core.checkpoint.names import find_embedding
from core.checkpoint.output import check_output, free_disk_bytes, held_bytes
from core.checkpoint.shard_layout import OutputTensor, lay_out
from core.checkpoint.stage_folders import stages_bytes
from core.dtypes import DType
from core.errors import (
    CheckpointError,
    IncompatibleError,
    OutputError,
    RecipeError,
    addressed,
    merge_errors_only,
)
from core.kernels.interface import MapJob, Values
from core.methods import METHODS
from core.plan.adapter_bases import on_bases, other_bases
from core.plan.adapting import in_merge_dtype
from core.plan.belonging import check_belonging
from core.plan.correspond import TensorSources, correspond
from core.plan.merge_plan import LedgerEntry, MergePlan, TensorPlan
from core.plan.no_ops import same_inputs, unread_adapters
from core.plan.output_tokenizer import given_tokenizer
from core.plan.row_part import RowPart
from core.plan.row_parts import cut_rows, with_matched_rows
from core.plan.shared_tensors import Looked
from core.plan.slice_rows import refuse_changed_rows
from core.plan.slicing import bases_of_sources, plan_slices, without_whole_slices
from core.plan.stages import plan_in_stages, stage_bytes
from core.plan.tensor_jobs import tensor_job
from core.plan.tensor_values import idle_rules, plan_values
from core.plan.token_ids import source_folder
from core.plan.vocabularies import plan_vocabulary
from core.recipe.doubts import recipe_warnings
from core.recipe.reasons import Reasons
from core.recipe.recipe import Recipe
from core.text import is_text, shown

__all__ = ["DEFAULT_SHARD_SIZE_BYTES", "check_destination", "open_models", "plan_merge"]

DEFAULT_SHARD_SIZE_BYTES = 5_000_000_000

_READERS = 4
_SLOW_S = 2e-3
"""A file of a disk or network that is waited for is read beside others. What is in the page cache is not: its
readers would only wait for Python's lock, and take twice as long."""

_log = logging.getLogger(__name__)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Without Python's search for garbage.

    A plan of many models is hundreds of thousands of values that all stay, and looking through them again and
    again takes half of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@merge_errors_only()
@_no_collecting()
def plan_merge(
    recipe: Recipe,
    *,
    shard_size_bytes: int = DEFAULT_SHARD_SIZE_BYTES,
    looked: Looked | None = None,
    made: Mapping[Path, Checkpoint] | None = None,
) -> MergePlan:
    """Check everything that can be checked without reading weights.

    Args:
        recipe: what is asked.
        shard_size_bytes: the most data in one output file.
        looked: tensors that may share memory and whose bytes were compared; `run_merge` does that for the
            pairs of `MergePlan.to_look_at`, and plans again.
        made: models that are not on disk yet, as another merge makes them; by folder.

    Raises:
        CheckpointError: a model is missing or damaged.
        IncompatibleError: the models cannot be merged with one another.
        RecipeError: the recipe asks for what cannot be done with these models, or the values that a tensor
            gets by its rules make no sense together.
        OutputError: the shard size is not positive.
    """
    begun = time.perf_counter()
    if shard_size_bytes < 1:
        raise OutputError(f"the shard size of {shard_size_bytes} bytes is not positive", field="shard_size")
    if recipe.stages:
        return plan_in_stages(
            recipe,
            lambda one, made: plan_merge(one, shard_size_bytes=shard_size_bytes, looked=looked, made=made),
        )
    folders = [entry.path for entry in recipe.models]
    models, base, names = open_models(folders, recipe.base, made, bases_of_sources(recipe))
    if recipe.tokenizer_source is not None:
        inputs = dict(zip(folders, models, strict=True)) | (
            {recipe.base: base} if recipe.base and base else {}
        )
        with addressed(field="tokenizer_source"):
            source = source_folder(recipe.tokenizer_source, inputs)
            names = _check_tokenizer_source(source, models[0], names)
        recipe = replace(recipe, tokenizer_source=source)
    as_written, (recipe, models, base) = recipe, without_whole_slices(recipe, models, base)
    with addressed(field="models"):
        refuse_changed_rows(recipe, models, base, names)
        vocabulary = None if recipe.slices else plan_vocabulary(recipe, models, base, names)
        given = given_tokenizer(vocabulary, builds=False)
        belonging = check_belonging(
            models,
            base,
            recipe.tokenizer_source,
            tokenizer=given,
            sliced=bool(recipe.slices),
            has_template=recipe.chat_template is not None,
        )
        belonging += [*same_inputs(models, base), *unread_adapters(models, base), *other_bases(models)]
        sliced = plan_slices(recipe, models, base, looked)
        if sliced:
            sources = sliced.sources
        else:
            tokens = vocabulary.rows if vocabulary else None
            sources = correspond(models, base, missing=recipe.missing, looked=looked, tokens=tokens)
    ledger = [LedgerEntry(name, "omitted", reason) for name, reason in sources.omitted.items()]
    outputs: list[tuple[OutputTensor, TensorSources, MapJob | None]] = []
    parts: dict[str, tuple[RowPart, ...]] = {}
    values = sliced.values if sliced else plan_values(recipe, base or models[0], sources)
    checked: set[tuple[str, Values, DType]] = set()
    for found in sources.tensors:
        tensor = with_matched_rows(found)
        name, offered = tensor.name, tensor.offered
        if offered.dtype.is_float:
            asked = sliced.recipe_of(name) if sliced else recipe
            draw_name = sources.tied.get(name, name)
            job, how = tensor_job(asked, tensor, draw_name, values[name])
            parts[name] = cut_rows(asked, found, tensor, draw_name, values[name])
            if (of_values := (job.method, job.parameters, job.computing)) not in checked:
                checked.add(of_values)
                _check_values(asked, name, job)
            out_dtype = job.out_dtype
            draws_as = f"draws as {sources.tied[name]}" if name in sources.tied else ""
            of_rows = vocabulary.note_on(parts[name], job.method) if vocabulary and tensor.rows else ""
            reason = "; ".join(filter(None, (draws_as, tensor.note, how, of_rows)))
            if tensor.present == ():
                ledger.append(LedgerEntry(name, "copied", reason))
            else:
                ledger.append(LedgerEntry(name, "merged", reason, job.parameters.listed))
        else:
            job, out_dtype = None, offered.dtype
            note = f"; {tensor.note}" if tensor.note else ""
            reason = f"{offered.dtype} is not a floating-point type{note}"
            ledger.append(LedgerEntry(name, "copied", reason))
        size = prod(tensor.shape) * out_dtype.itemsize
        outputs.append((OutputTensor(name, out_dtype, tensor.shape, size), tensor, job))
    shards, placements = lay_out(
        [output for output, *_ in outputs],
        shard_size_bytes,
        weights_name=models[0].weights_name,
        components=models[0].components,
    )
    shapes = {output.name: output.shape for output, *_ in outputs}
    embedding = find_embedding(shapes)
    plan = MergePlan(
        recipe=recipe,
        models=models,
        base=base,
        names=names,
        tensors=tuple(
            TensorPlan(
                output,
                in_merge_dtype(tensor.models, job.merge_dtype) if job else tensor.models,
                in_merge_dtype([tensor.base], job.merge_dtype)[0] if job and tensor.base else tensor.base,
                job,
                placements[output.name],
                folds=METHODS[job.method].folds_of(job) if job else (),
                present=sliced.present(tensor) if sliced else tensor.present,
                tied_to=(sources.tied[output.name], sources.why_tied[output.name])
                if output.name in sources.tied
                else None,
                parts=parts.get(output.name, ()),
            )
            for output, tensor, job in _of_whole_rows(outputs, parts)
        ),
        shards=shards,
        ledger=tuple(ledger),
        warnings=(
            *_warnings(models, base),
            *recipe_warnings(recipe, names),
            *(vocabulary.notes if vocabulary else ()),
            *sources.notes,
            *belonging,
            *idle_rules(recipe, names, values.keys() - sources.tied.keys()),
        ),
        vocabulary=vocabulary.rows.rows if vocabulary else shapes[embedding][0] if embedding else None,
        unties=sources.unties,
        shard_size_bytes=shard_size_bytes,
        draws=sources.draws,
        to_look_at=sources.to_look_at,
        tokens=vocabulary,
        layers=sliced.layers if sliced else (),
        with_slices=as_written if as_written.slices and not recipe.slices else None,
    )
    _log.info(
        "planned %s of %d sub-models after %.3f s: %d tensors, %d bytes to read, %d to write, %d shards",
        recipe.method.name,
        len(models),
        time.perf_counter() - begun,
        len(plan.tensors),
        plan.bytes_to_read,
        plan.bytes_to_write,
        len(shards),
    )
    return plan


@merge_errors_only()
def check_destination(plan: MergePlan, out: Path, *, overwrite: bool, resume: bool = False) -> None:
    """Refuse an output folder that is taken, that is an input, or whose disk is too full.

    Args:
        plan: what is to be written, and what is made before it beside `out`.
        out: where to.
        overwrite: whether an output that is there may be replaced.
        resume: whether what an earlier merge into it left is to be gone on with.

    Raises:
        OutputError: with what to do.
    """
    check_output(out, plan.input_folders, overwrite=overwrite, resume=resume)
    free = free_disk_bytes(out) + (held_bytes(out) + stages_bytes(out) if resume else 0)
    between = stage_bytes(plan)
    if plan.bytes_to_write + between > free:
        more = f", what is merged before it {between:,} more until it is finished," if between else ""
        raise OutputError(
            f"the output needs {plan.bytes_to_write:,} bytes{more} and the disk of {out} has {free:,} free",
            hint="free some space, or choose an output folder on another disk",
            path=out,
            field="out",
        )


def open_models(
    folders: Sequence[Path],
    base_folder: Path | None,
    made: Mapping[Path, Checkpoint] | None = None,
    bases: Mapping[Path, Sequence[Path]] | None = None,
) -> tuple[tuple[Checkpoint, ...], Checkpoint | None, dict[Path, str]]:
    """Open the sub-models and the base, and refuse models of different architectures.

    Those in `made` are taken as they are there. An adapter goes on its base in `bases`, where it has one
    there, and not on the base. Returns the sub-models, the base, and a short name for each folder.

    Raises:
        CheckpointError: a model is missing or damaged; `entry` counts `folders`.
        RecipeError: an adapter has several in `bases`.
        IncompatibleError: they are of different architectures.
    """
    every = list(dict.fromkeys([*([base_folder] if base_folder else []), *folders]))
    names = dict(zip(every, model_names(every), strict=True))
    with ThreadPoolExecutor(_READERS) as slow, ThreadPoolExecutor(1) as fast:
        begun = time.perf_counter()
        known = made or {}
        opening = {folder: fast.submit(known.__getitem__, folder) for folder in every if folder in known}
        every = [folder for folder in every if folder not in known] or every[:1]
        if every[0] not in opening:
            opening[every[0]] = fast.submit(_opened, every[0], names[every[0]], known)
        wait(opening.values())
        pool = slow if time.perf_counter() - begun > _SLOW_S * _files(opening[every[0]]) else fast
        opening |= {folder: pool.submit(_opened, folder, names[folder], known) for folder in every[1:]}
    opened = {}
    entries = {folder: entry for entry, folder in reversed(list(enumerate(folders)))}
    reasons = Reasons()
    for folder, model in opening.items():
        is_base = folder == base_folder
        with (
            reasons.noted(),
            addressed(
                field="base_model" if is_base else "models", entry=None if is_base else entries[folder]
            ),
        ):
            _refuse_undecodable(folder, names[folder])
            opened[folder] = model.result()
    reasons.refuse()
    _put_on(opened, bases or {})
    models, base = on_bases([opened[at] for at in folders], opened[base_folder] if base_folder else None)
    reference = base or models[0]
    for entry, one in enumerate(models):
        if None not in (one.architecture, reference.architecture) and (
            one.architecture != reference.architecture
        ):
            raise IncompatibleError(
                f"{one.folder} is a {one.architecture} model and {reference.folder} a "
                f"{reference.architecture} model, and models of different architectures cannot be merged",
                hint="take the sub-models that were fine-tuned from this base",
                path=one.folder,
                field="models",
                entry=entry,
            )
    return models, base, names


def _opened(folder: Path, name: str, made: Mapping[Path, Checkpoint]) -> Checkpoint:
    """The model of a folder, or adapters on a model that is still to be made."""
    model, *adapters = split_adapters(folder)
    if not adapters or model not in made:
        return open_checkpoint(folder, name)
    stack = open_checkpoint(join_adapters(adapters[0], adapters[1:]), name)
    if not stack.adapters or stack.under is not None:
        raise CheckpointError(
            f"{stack.folder} is a whole model, and stands after a plus sign, where adapters stand",
            hint="list it as a model of its own, or name an adapter's folder there",
            path=stack.folder,
        )
    return stack.on(made[model])


def _put_on(opened: dict[Path, Checkpoint], bases: Mapping[Path, Sequence[Path]]) -> None:
    """Put the adapters among the models on the bases that slices have for them."""
    for folder, own in bases.items():
        model = opened[folder]
        if not model.adapters or model.under is not None:
            continue
        if len(own) > 1:
            raise RecipeError(
                f"{model.name} is an adapter in slices of different bases, and could go on each",
                hint="write it with its model, as BASE+ADAPTER",
                field="slices",
            )
        under = opened[own[0]]
        if not under.adapters or under.under is not None:
            opened[folder] = model.on(under)


def _of_whole_rows(
    outputs: Sequence[tuple[OutputTensor, TensorSources, MapJob | None]],
    parts: Mapping[str, Sequence[RowPart]],
) -> Iterator[tuple[OutputTensor, TensorSources, MapJob | None]]:
    """The same, with jobs that know of how many elements whole tensors are: of those that all inputs have."""
    for output, tensor, job in outputs:
        if job is not None and (cut := parts.get(output.name)):
            job = replace(job, elements=sum(part.elements for part in cut if part.is_whole))
        yield output, tensor, job


def _check_values(recipe: Recipe, name: str, job: MapJob) -> None:
    """Refuse values of a tensor that make no sense together."""
    try:
        METHODS[job.method].check(job.parameters, job.computing)
    except RecipeError as error:
        if job.models < len(recipe.models):
            raise RecipeError(
                f"tensor {name!r}, which only some of the sub-models have: {error.message}",
                hint="give one of those a weight above zero, or leave the tensor out with `missing: omit`",
                tensor=name,
                field=error.field,
            ) from error
        if not recipe.ruled:
            raise
        fields = " and ".join(f"parameters.{parameter}" for parameter in recipe.ruled)
        raise RecipeError(
            f"tensor {name!r}, by the rules of {fields}: {error.message}",
            hint=error.hint,
            tensor=name,
            field=error.field,
            entry=error.entry,
        ) from error


def _files(opened: Future[Checkpoint]) -> int:
    return 1 if opened.exception() is not None else len(opened.result().shards)


def _refuse_undecodable(folder: Path, name: str) -> None:
    if not is_text(name):
        raise CheckpointError(
            f"the name of the model folder {folder} is not valid text", hint="rename it", path=folder
        )


def _check_tokenizer_source(source: Path, model: Checkpoint, names: dict[Path, str]) -> dict[Path, str]:
    """`names` with that of the folder `source`, whose config.json goes into the output.

    So that it must describe the same architecture.
    """
    if not os.path.isdir(source):
        raise IncompatibleError(f"the tokenizer_source {source} is not a folder", path=source)
    if source not in names:
        names = {**names, source: model_names([source])[0]}
        _refuse_undecodable(source, names[source])
    kind = (read_config(source) or {}).get("model_type", model.architecture)
    kind = kind if isinstance(kind, str) else shown(kind)
    if model.architecture is not None and kind != model.architecture:
        raise IncompatibleError(
            f"the tokenizer_source {source} is a {kind} model, and the sub-models are not: "
            f"they are {model.architecture} models",
            hint="take the tokenizer of a model of the same architecture",
            path=source,
        )
    return names


def _warnings(models: Sequence[Checkpoint], base: Checkpoint | None) -> list[str]:
    if not models[0].components and all(
        model.config is None for model in (*models, *([base] if base else []))
    ):
        return [f"{models[0].name} has no config.json, so transformers cannot load the result"]
    return []
