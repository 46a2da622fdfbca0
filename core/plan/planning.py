"""Recipe and headers become a plan: every output tensor, where its bytes come from and go to.

All validation is here. No weights are read, and torch is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path

from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import CONFIG_NAME, Checkpoint, model_names, open_checkpoint, read_json
from core.checkpoint.names import find_embedding, tied_heads
from core.checkpoint.output import check_output, free_disk_bytes
from core.checkpoint.shard_layout import OutputTensor, lay_out
from core.draws import philox_key
from core.dtypes import DType, promote
from core.errors import CheckpointError, IncompatibleError, OutputError
from core.kernels.interface import MapJob
from core.plan.merge_plan import LedgerEntry, MergePlan, TensorPlan
from core.plan.tensor_values import idle_rules, plan_values
from core.recipe.recipe import Recipe
from core.recipe.rules import TensorValues
from core.text import is_text

__all__ = ["DEFAULT_SHARD_SIZE_BYTES", "check_destination", "common_dtype", "open_models", "plan_merge"]

DEFAULT_SHARD_SIZE_BYTES = 5_000_000_000


def plan_merge(
    recipe: Recipe,
    *,
    shard_size_bytes: int = DEFAULT_SHARD_SIZE_BYTES,
) -> MergePlan:
    """Check everything that can be checked without reading weights.

    Args:
        recipe: what is asked.
        shard_size_bytes: the most data in one output file.

    Raises:
        CheckpointError: a model is missing or damaged.
        IncompatibleError: the models cannot be merged with one another.
        RecipeError: the values that a tensor gets by the recipe's rules make no sense together.
    """
    if shard_size_bytes < 1:
        raise OutputError(f"the shard size of {shard_size_bytes} bytes is not positive")
    models, base, names = open_models([entry.path for entry in recipe.models], recipe.base)
    if recipe.tokenizer_source is not None and not recipe.tokenizer_source.is_dir():
        raise IncompatibleError(
            f"the tokenizer_source {recipe.tokenizer_source} is not a folder", path=recipe.tokenizer_source
        )
    if recipe.tokenizer_source is not None and recipe.tokenizer_source not in names:
        names = {**names, recipe.tokenizer_source: model_names([recipe.tokenizer_source])[0]}
    _refuse_undecodable(names)
    if recipe.tokenizer_source is not None:
        _check_tokenizer_source(recipe.tokenizer_source, models[0])
    omitted = _omitted_heads(models, base)
    ledger = [LedgerEntry(name, "omitted", reason) for name, reason in omitted.items()]
    reference = base or models[0]
    outputs: list[tuple[OutputTensor, tuple[StoredTensor, ...], StoredTensor | None, MapJob | None]] = []
    tied = _tied_names(models, base)
    values = plan_values(recipe, reference, tied)
    for name, stored in reference.tensors.items():
        if name in omitted:
            continue
        everywhere = _everywhere(name, models, base)
        if stored.dtype.is_float:
            job = _job(recipe, name, tied.get(name, name), values[name], everywhere, stored if base else None)
            out_dtype = job.out_dtype
            reason = f"draws as {tied[name]}" if name in tied else ""
            ledger.append(LedgerEntry(name, "merged", reason, values[name].listed))
        else:
            job, out_dtype = None, stored.dtype
            ledger.append(LedgerEntry(name, "copied", f"{stored.dtype} is not a floating-point type"))
        size = prod(stored.shape) * out_dtype.itemsize
        output = OutputTensor(name, out_dtype, stored.shape, size)
        outputs.append((output, everywhere, stored if base else None, job))
    _refuse_extra_tensors(models, reference, omitted)
    shards, placements = lay_out([output for output, *_ in outputs], shard_size_bytes)
    embedding = find_embedding({output.name: output.shape for output, *_ in outputs})
    return MergePlan(
        recipe=recipe,
        models=models,
        base=base,
        names=names,
        tensors=tuple(
            TensorPlan(output, stored, base_stored, job, placements[output.name])
            for output, stored, base_stored, job in outputs
        ),
        shards=shards,
        ledger=tuple(ledger),
        warnings=(
            *_warnings(models, recipe.tokenizer_source or models[0].folder),
            *idle_rules(recipe, names, values.keys() - tied.keys()),
        ),
        vocabulary=reference.tensors[embedding].shape[0] if embedding else None,
    )


def check_destination(plan: MergePlan, out: Path, *, overwrite: bool) -> None:
    """Refuse an output folder that is taken, that is an input, or whose disk is too full.

    Raises:
        OutputError: with what to do.
    """
    check_output(out, plan.input_folders, overwrite=overwrite)
    free = free_disk_bytes(out)
    if plan.bytes_to_write > free:
        raise OutputError(
            f"the output needs {plan.bytes_to_write:,} bytes and the disk of {out} has {free:,} free",
            hint="free some space, or choose an output folder on another disk",
            path=out,
        )


def open_models(
    folders: Sequence[Path], base_folder: Path | None
) -> tuple[tuple[Checkpoint, ...], Checkpoint | None, dict[Path, str]]:
    """Open the sub-models and the base, and refuse models of different architectures.

    Returns the sub-models, the base, and a short name for each folder.
    """
    every = list(dict.fromkeys([*([base_folder] if base_folder else []), *folders]))
    names = dict(zip(every, model_names(every), strict=True))
    with ThreadPoolExecutor(max_workers=4) as pool:
        opened = dict(zip(every, pool.map(open_checkpoint, every, names.values()), strict=True))
    models = tuple(opened[folder] for folder in folders)
    base = opened[base_folder] if base_folder else None
    reference = base or models[0]
    for model in models:
        if None not in (model.architecture, reference.architecture) and (
            model.architecture != reference.architecture
        ):
            raise IncompatibleError(
                f"{model.folder} is a {model.architecture} model and {reference.folder} a "
                f"{reference.architecture} model, and models of different architectures cannot be merged",
                hint="take the sub-models that were fine-tuned from this base",
                path=model.folder,
            )
    return models, base, names


def common_dtype(name: str, stored: Sequence[StoredTensor]) -> DType:
    """The sub-models' common storage type, or the one that torch promotes them to."""
    dtype = promote(tensor.dtype for tensor in stored)
    if dtype is None:
        raise IncompatibleError(
            f"tensor {name!r} is stored in different 8-bit types by the sub-models",
            hint="say in the recipe in which type to merge, with dtype: bfloat16",
            tensor=name,
        )
    return dtype


def _everywhere(name: str, models: Sequence[Checkpoint], base: Checkpoint | None) -> tuple[StoredTensor, ...]:
    """The tensor `name` in each sub-model, checked to be the same kind of thing in all."""
    reference = base or models[0]
    expected = reference.tensors[name]
    result = []
    for model in models:
        stored = model.tensors.get(name)
        if stored is None:
            raise IncompatibleError(
                f"tensor {name!r} of {reference.folder} is missing in {model.folder}",
                hint="take sub-models that were fine-tuned from this base, saved whole",
                path=model.folder,
                tensor=name,
            )
        if stored.shape != expected.shape:
            raise IncompatibleError(
                f"tensor {name!r} has shape {_shape(stored.shape)} in {model.folder} "
                f"and {_shape(expected.shape)} in {reference.folder}",
                hint="take sub-models that were fine-tuned from this base without changes of shape",
                path=model.folder,
                tensor=name,
            )
        if stored.dtype.is_float != expected.dtype.is_float:
            raise IncompatibleError(
                f"tensor {name!r} is stored as {stored.dtype} in {model.folder} "
                f"and as {expected.dtype} in {reference.folder}",
                hint="quantised checkpoints cannot be merged; take the original ones",
                path=model.folder,
                tensor=name,
            )
        if not stored.dtype.is_float and stored.dtype != expected.dtype:
            raise IncompatibleError(
                f"tensor {name!r}, which would be copied, is stored as {stored.dtype} in {model.folder} "
                f"and as {expected.dtype} in {reference.folder}",
                hint="store it in one type in all models",
                path=model.folder,
                tensor=name,
            )
        result.append(stored)
    return tuple(result)


def _job(
    recipe: Recipe,
    name: str,
    draw_name: str,
    values: TensorValues,
    stored: tuple[StoredTensor, ...],
    base: StoredTensor | None,
) -> MapJob:
    merge_dtype = recipe.dtype or common_dtype(name, stored)
    return MapJob(
        method=recipe.method.name,
        model_dtypes=tuple(tensor.dtype for tensor in stored),
        base_dtype=base.dtype if base is not None and recipe.method.needs_base else None,
        merge_dtype=merge_dtype,
        out_dtype=recipe.out_dtype or merge_dtype,
        weights=values.weights,
        resamples=values.resamples,
        key=philox_key(recipe.seed, draw_name),
        zero_tolerance=recipe.zero_tolerance,
    )


def _shapes(model: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in model.tensors.items()}


def _all_tie(models: Sequence[Checkpoint], base: Checkpoint | None) -> bool:
    return all(model.ties_embeddings for model in [*models, *([base] if base else [])])


def _tied_names(models: Sequence[Checkpoint], base: Checkpoint | None) -> dict[str, str]:
    """Heads that draw under their embedding's name, so that the two stay equal."""
    return tied_heads(_shapes(base or models[0])) if _all_tie(models, base) else {}


def _omitted_heads(models: Sequence[Checkpoint], base: Checkpoint | None) -> dict[str, str]:
    """Tied heads that some inputs store and others, rightly, do not: the embedding says it all."""
    if not _all_tie(models, base):
        return {}
    every = [*models, *([base] if base else [])]
    heads = {head: embedding for model in every for head, embedding in tied_heads(_shapes(model)).items()}
    return {
        head: f"tied to {embedding}, and not every input stores it"
        for head, embedding in heads.items()
        if not all(head in model.tensors for model in every)
    }


def _refuse_undecodable(names: Mapping[Path, str]) -> None:
    for folder, name in names.items():
        if not is_text(name):
            raise CheckpointError(
                f"the name of the model folder {folder} is not valid text", hint="rename it", path=folder
            )


def _refuse_extra_tensors(
    models: Sequence[Checkpoint], reference: Checkpoint, omitted: Mapping[str, str]
) -> None:
    for model in models:
        for name in model.tensors:
            if name not in reference.tensors and name not in omitted:
                raise IncompatibleError(
                    f"tensor {name!r} of {model.folder} is missing in {reference.folder}",
                    hint="take sub-models that were fine-tuned from this base",
                    path=model.folder,
                    tensor=name,
                )


def _check_tokenizer_source(source: Path, model: Checkpoint) -> None:
    """Its config.json goes into the output, so that it must describe the same architecture."""
    config = read_json(source / CONFIG_NAME) if (source / CONFIG_NAME).exists() else {}
    kind = config.get("model_type", model.architecture)
    if model.architecture is not None and kind != model.architecture:
        raise IncompatibleError(
            f"the tokenizer_source {source} is a {kind} model, and the sub-models are not: "
            f"they are {model.architecture} models",
            hint="take the tokenizer of a model of the same architecture",
            path=source,
        )


def _warnings(models: Sequence[Checkpoint], source: Path) -> list[str]:
    warnings = []
    if models[0].config is None:
        warnings.append(f"{models[0].name} has no config.json, so transformers cannot load the result")
    patterns = ("token*", "vocab*", "*.model", "tekken.json")
    if not any(any(source.glob(pattern)) for pattern in patterns):
        warnings.append(f"{source.name} has no tokenizer, so the result has none either")
    return warnings


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape) if shape else "scalar"
