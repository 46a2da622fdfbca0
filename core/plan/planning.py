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
from core.checkpoint.names import find_embedding
from core.checkpoint.output import check_output, free_disk_bytes
from core.checkpoint.shard_layout import OutputTensor, lay_out
from core.draws import philox_key
from core.dtypes import DType, promote
from core.errors import CheckpointError, IncompatibleError, OutputError, RecipeError
from core.kernels.interface import MapJob, Values
from core.methods import MethodSpec
from core.plan.correspond import TensorSources, correspond
from core.plan.merge_plan import LedgerEntry, MergePlan, TensorPlan
from core.plan.tensor_values import idle_rules, plan_values
from core.recipe.recipe import Recipe
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
    sources = correspond(models, base)
    ledger = [LedgerEntry(name, "omitted", reason) for name, reason in sources.omitted.items()]
    outputs: list[tuple[OutputTensor, TensorSources, MapJob | None]] = []
    values = plan_values(recipe, base or models[0], sources)
    checked: set[tuple[Values, DType]] = set()
    for tensor in sources.tensors:
        name, stored = tensor.name, tensor.stored
        if stored.dtype.is_float:
            job = _job(recipe, tensor, sources.tied.get(name, name), values[name])
            if (of_values := (job.parameters, job.computing)) not in checked:
                checked.add(of_values)
                _check_values(recipe, name, job)
            out_dtype = job.out_dtype
            reason = f"draws as {sources.tied[name]}" if name in sources.tied else tensor.note
            ledger.append(LedgerEntry(name, "merged", reason, values[name].listed))
        else:
            job, out_dtype = None, stored.dtype
            ledger.append(LedgerEntry(name, "copied", f"{stored.dtype} is not a floating-point type"))
        size = prod(stored.shape) * out_dtype.itemsize
        outputs.append((OutputTensor(name, out_dtype, stored.shape, size), tensor, job))
    shards, placements = lay_out([output for output, *_ in outputs], shard_size_bytes)
    shapes = {output.name: output.shape for output, *_ in outputs}
    embedding = find_embedding(shapes)
    return MergePlan(
        recipe=recipe,
        models=models,
        base=base,
        names=names,
        tensors=tuple(
            TensorPlan(
                output,
                tensor.models,
                tensor.base,
                job,
                placements[output.name],
                folds=len(recipe.method.folds) if job else 0,
                chunk_step=_chunk_step(recipe.method, output.shape),
            )
            for output, tensor, job in outputs
        ),
        shards=shards,
        ledger=tuple(ledger),
        warnings=(
            *_warnings(models, recipe.tokenizer_source or models[0].folder),
            *idle_rules(recipe, names, values.keys() - sources.tied.keys()),
        ),
        vocabulary=shapes[embedding][0] if embedding else None,
        unties=sources.unties,
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


def _job(recipe: Recipe, tensor: TensorSources, draw_name: str, values: Values) -> MapJob:
    method = recipe.method
    merge_dtype = recipe.dtype or common_dtype(tensor.name, tensor.stored_in_models)
    reads_base = tensor.base is not None and method.reads_base
    return MapJob(
        method=method.name,
        model_dtypes=tuple(source.dtype for source in tensor.models),
        base_dtype=tensor.base.dtype if tensor.base is not None and reads_base else None,
        merge_dtype=merge_dtype,
        out_dtype=recipe.out_dtype or merge_dtype,
        parameters=values,
        key=philox_key(recipe.seed, draw_name),
        zero_tolerance=recipe.zero_tolerance,
        counts=method.counts,
        draws=method.most_draws(values),
    )


def _check_values(recipe: Recipe, name: str, job: MapJob) -> None:
    """Refuse values of a tensor that make no sense together."""
    try:
        recipe.method.check(job.parameters, job.computing)
    except RecipeError as error:
        if not recipe.ruled:
            raise
        fields = " and ".join(f"parameters.{parameter}" for parameter in recipe.ruled)
        raise RecipeError(
            f"tensor {name!r}, by the rules of {fields}: {error.message}",
            hint=error.hint,
            tensor=name,
            field=error.field,
        ) from error


def _chunk_step(method: MethodSpec, shape: tuple[int, ...]) -> int:
    return shape[-1] if method.granularity == "row" and shape and shape[-1] else 1


def _refuse_undecodable(names: Mapping[Path, str]) -> None:
    for folder, name in names.items():
        if not is_text(name):
            raise CheckpointError(
                f"the name of the model folder {folder} is not valid text", hint="rename it", path=folder
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
