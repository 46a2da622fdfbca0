"""Models for training: read in float32, given a new head, written. Imported when a training begins."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from core import disk
from core.checkpoint.companion_names import Kind
from core.checkpoint.copies import Companion, real_file
from core.checkpoint.files import check_unchanged
from core.checkpoint.folder_files import FolderFiles
from core.checkpoint.model import CONFIG_NAME, Checkpoint, read_config
from core.checkpoint.output_config import describe_output
from core.disk import sync_folder
from core.errors import InputChangedError, MergeError, TrainingError, error_of_memory
from core.pretrained.finite import first_non_finite
from core.pretrained.models import read_model, read_tokenizer
from core.pretrained.quiet import first_line
from core.train.faults import is_of_full_disk, not_finite, not_saved
from core.train.resuming import remove_folder, sync_files

__all__ = ["load_base", "load_model", "load_tokenizer", "make_new_head", "refuse_other_kinds", "save_model"]

_COPIED = (Kind.TOKENIZER, Kind.TEMPLATE, Kind.GENERATION)
_GENERATION = "generation_config.json"
PART = ".partial"


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model. Raises TrainingError: it has none that can be read."""
    try:
        return read_tokenizer(folder)
    except Exception as error:  # of many kinds, by the kind of tokenizer
        raise TrainingError(
            f"{folder} has no tokenizer that transformers can read: {first_line(error)}",
            hint="put the tokenizer's files beside the weights",
            path=folder,
            field="base",
        ) from error


def load_model(folder: Path, task: str, **how: Any) -> Any:
    """A model with all its weights in float32, in training mode.

    Args:
        folder: of the model.
        task: "causal" or "classifier".
        how: further arguments of `from_pretrained`; with any, weights may be missing.

    Raises:
        TrainingError: transformers cannot load it, or it lacks weights.
    """
    try:
        model, missing = read_model(folder, task, "float32", **how)
    except MemoryError as error:
        raise error_of_memory(error) from error
    except Exception as error:
        what = "a language model" if task == "causal" else "a classifier of texts"
        raise TrainingError(
            f"transformers cannot load {folder} as {what}: {first_line(error)}",
            hint="look at its config.json; a model that is newer than transformers needs a newer one",
            path=folder,
            field="base",
        ) from error
    if missing and not how:
        raise TrainingError(
            f"{folder} lacks {len(missing)} tensors of its model, {missing[0]} among them",
            hint="take a model whose config.json fits its weights",
            path=folder,
            tensor=missing[0],
            field="base",
        )
    model.missing = missing
    model.train()
    return model


def load_base(base: Checkpoint, task: str, **how: Any) -> Any:
    """What load_model gives of a base whose headers were read before, perhaps hours ago.

    Args:
        base: as it was then.
        task, how: as load_model takes them.

    Raises:
        InputChangedError: its files are not those whose headers were read, so that the runs would begin with
            different models.
        TrainingError: transformers cannot load it, it lacks weights, or some are NaN or infinite.
    """
    _refuse_changed(base)
    try:
        model = load_model(base.folder, task, **how)
    finally:  # files that changed between are why it failed, too
        _refuse_changed(base)
    found = first_non_finite(model)
    if found is not None:
        raise not_finite(base, found)
    return model


def _refuse_changed(base: Checkpoint) -> None:
    for shard in base.shards:
        check_unchanged(shard.path, shard.state)
    if read_config(base.folder) != base.config:
        path = base.folder / CONFIG_NAME
        raise InputChangedError(
            f"{path} has changed since it was read",
            hint="put it back as it was, and the same command goes on",
            path=path,
            field="base",
        )


def refuse_other_kinds(checkpoint: Checkpoint) -> None:
    """Raises TrainingError: `checkpoint` is no causal language model.

    transformers makes one of a masked language model's weights too, whose tokens see those that they are to
    predict.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = checkpoint.config or {}
    given = config.get("architectures")
    kinds = [str(kind) for kind in given] if isinstance(given, list) else []
    known: set[str] = set()
    for names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        known.update((names,) if isinstance(names, str) else names)
    seq2seq = config.get("is_encoder_decoder") is True
    if seq2seq or (kinds and not known.intersection(kinds)):
        what = "an encoder–decoder model" if seq2seq else "a model of another kind"
        raise TrainingError(
            f"{checkpoint.name} is {what}{f' ({kinds[0]})' if kinds else ''}: only causal language models "
            "and classifiers of text can be trained",
            hint="name a model whose config.json has architectures such as LlamaForCausalLM, or give rows "
            "with labels",
            path=checkpoint.folder,
            field="base",
        )


def make_new_head(
    base: Checkpoint, target: Path, *, labels: Sequence[str], seed: int, dtype: str, pad_id: int | None
) -> bool:
    """Write the base with a head for `labels` to `target`, whole when it has that name.

    A classifier of as many other labels keeps its head.

    Args:
        base: the model, as its headers were read.
        target: the folder to make.
        labels: names of the classes.
        seed: of the head's random weights, which are made by torch and rounded to bfloat16, so that whatever
            the runs are saved in holds them exactly.
        dtype: what it is written in: the type of the base's own weights, as torch spells it.
        pad_id: the token that is padded with, which the config of a decoder has to name.

    Returns whether its weights are new.

    Raises:
        TrainingError, InputChangedError: as load_base. OutputError: it cannot be written.
    """
    names = dict(enumerate(labels))
    torch.manual_seed(seed % 2**63)
    model = load_base(
        base,
        "classifier",
        num_labels=len(labels),
        id2label=names,
        label2id={name: number for number, name in names.items()},
        ignore_mismatched_sizes=True,
    )
    if model.config.pad_token_id is None:
        model.config.pad_token_id = pad_id
    model.config.problem_type = "single_label_classification"
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in model.missing:
                parameter.copy_(parameter.to(torch.bfloat16).float())
    save_model(model, target, source=base.folder, dtype=dtype, readme=None)
    return bool(model.missing)


def save_model(model: Any, target: Path, *, source: Path, dtype: str, readme: str | None) -> None:
    """Write a model beside `target`, sync it, and give it that name, in the place of one that is there.

    Config and tokenizer are those of `source`; of the config that transformers writes only what is not there.

    Args:
        model: whose parameters are written.
        target: the folder.
        source: the model that it was made from.
        dtype: what its floating-point tensors are rounded to, to nearest even.
        readme: the text of README.md, or None.

    Raises:
        OutputError: it cannot be written.
    """
    work = target.with_name(target.name + PART)
    remove_folder(work)
    state = _rounded(model, getattr(torch, dtype))
    try:
        model.save_pretrained(str(work), state_dict=state, max_shard_size="5GB")
        _write_config(model, work, source, dtype)
        if (work / _GENERATION).exists():  # transformers writes one that nobody asked for
            os.unlink(work / _GENERATION)
        for name in FolderFiles.of(source).of_kind(*_COPIED):
            copy = work / name
            copy.parent.mkdir(exist_ok=True)
            with open(copy, "wb") as file:
                for chunk in Companion.of_file(real_file(source, name)).chunks():
                    file.write(chunk)
        if readme is not None:
            (work / "README.md").write_text(readme, encoding="utf-8")
        for folder in [work, *(path for path in work.iterdir() if path.is_dir())]:
            sync_files(folder)
        remove_folder(target)
        disk.system.rename(work, target)
        sync_folder(target.parent)
    except Exception as error:  # safetensors has errors of its own
        if isinstance(error, MergeError) and not is_of_full_disk(error):
            raise
        with contextlib.suppress(MergeError):
            remove_folder(work)  # room for whoever has none
        sizes = {tensor.data_ptr(): tensor.nbytes for tensor in state.values()}
        raise not_saved(error, target, sum(sizes.values())) from error


def _rounded(model: Any, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The state of the model in `dtype`; names that share a tensor share one."""
    done: dict[tuple[int, torch.Size, Any], torch.Tensor] = {}
    state = {}
    for name, tensor in model.state_dict().items():
        key = tensor.data_ptr(), tensor.shape, tensor.stride()
        if key not in done or not tensor.numel():
            done[key] = tensor.to(dtype) if tensor.is_floating_point() else tensor
        state[name] = done[key]
    return state


def _write_config(model: Any, work: Path, source: Path, dtype: str) -> None:
    config = read_config(source) or {}
    used_cache = config.get("use_cache", True)  # training sets it to false
    if type(model).__name__ not in (config.get("architectures") or ()):
        config = json.loads((work / CONFIG_NAME).read_text(encoding="utf-8"))
        config["use_cache"] = used_cache
    describe_output(config, None, dtype, unties=False)
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (work / CONFIG_NAME).write_text(text, encoding="utf-8")
