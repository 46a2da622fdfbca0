"""What else people have in the place of a model, what to call it, and what to do next."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from core.checkpoint.conversions import quoted, safetensors_path, to_safetensors
from core.checkpoint.files import ReadFile
from core.checkpoint.kinds import refuse_other_kinds
from core.errors import CheckpointError
from core.text import cut, natural_key

__all__ = ["is_left_over", "refuse_adapter", "refuse_file", "refuse_folder", "subfolders"]

_LEFT_OVER = re.compile(
    r"(optimizer|scheduler|scaler|sampler|training_args|trainer_state|rng_state|random_states|dl_state)"
    r"[\w.-]*\.(bin|pth?|safetensors|pkl|json)"
    r"|adapter_model\..*|.*_(model|optim)_states\.pt|openvino_.*\.bin|model_optim_rng\.pt|imatrix\.\w+"
    r"|tokenizer.*\.json|latest_checkpointed_iteration\.txt"
)
"""What a training run, an adapter or another program keeps under names like those of weights."""

_OF_TRAINING = re.compile(
    r"(optimizer|scheduler|scaler|sampler|training_args|trainer_state|rng_state|random_states|dl_state)"
)
_MOST_LOOKED_AT = 200
_MOST_NAMED = 5


def is_left_over(name: str) -> bool:
    """Whether a file of this name is none of a model's weights."""
    return _LEFT_OVER.fullmatch(name) is not None


def refuse_adapter(folder: Path, names: Sequence[str]) -> None:
    """Raises CheckpointError where `folder` holds an adapter."""
    if not ("adapter_config.json" in names or any(name.startswith("adapter_model.") for name in names)):
        return
    raise CheckpointError(
        f"{folder} holds an adapter (LoRA), not a whole model",
        hint="name the folder of a whole model here; an adapter is listed under models",
        path=folder,
    )


def refuse_file(path: Path) -> NoReturn:
    """Say what the file `path` is, which is no file of weights. Raises CheckpointError."""
    name = path.name
    if name.startswith("adapter_model."):
        refuse_adapter(path.parent, [name])
    if _OF_TRAINING.match(name) and is_left_over(name):
        raise CheckpointError(
            f"{path} is what a training run keeps beside a model, and no weights",
            hint=f"name the model's folder, such as {path.parent}",
            path=path,
        )
    for patterns, what, hint in _KINDS:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            raise CheckpointError(f"{path} is {what}", hint=hint(path.parent, name), path=path)
    with ReadFile(path) as file:
        start = bytearray(min(4, file.size_bytes))
        file.read_into(memoryview(start), 0)
        if bytes(start) in (b"GGUF", b"PK\x03\x04"):
            refuse_other_kinds(file, "safetensors")
    raise CheckpointError(
        f"{path} is a file, not a model folder", hint=f"name its folder: {path.parent}", path=path
    )


def refuse_folder(folder: Path, names: Sequence[str]) -> NoReturn:
    """Say what `folder` holds, which has no weights that can be read. Raises CheckpointError."""
    if not names:
        raise CheckpointError(
            f"{folder} holds no model: it is empty",
            hint="choose the folder that holds the model's config.json and weights",
            path=folder,
        )
    _refuse_training(folder, names)
    for patterns, what, hint in _KINDS:
        found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if found:
            raise CheckpointError(
                f"{folder} holds no safetensors or PyTorch weights but {what} ({_listed(found)})",
                hint=hint(folder, found[0]),
                path=folder,
            )
    inner = [name for name in subfolders(folder, names) if _is_model_folder(folder / name)]
    inner.sort(key=natural_key)
    if inner:
        several = (
            f"{len(inner)} model folders ({_listed(inner)})"
            if len(inner) > 1
            else f"the model folder {inner[0]}"
        )
        raise CheckpointError(
            f"{folder} holds no model itself, but {several}",
            hint=f"name {'one of them, such as ' if len(inner) > 1 else 'it: '}{folder / inner[0]}",
            path=folder,
        )
    left = [name for name in names if _OF_TRAINING.match(name) and is_left_over(name)]
    if left:
        raise CheckpointError(
            f"{folder} holds what a training run keeps beside a model ({_listed(left)}), and no weights",
            hint="name the folder that the trainer saved the model to",
            path=folder,
        )
    raise CheckpointError(
        f"{folder} holds no model: there is neither model.safetensors nor model.safetensors.index.json",
        hint="choose the folder that holds the model's config.json and safetensors files",
        path=folder,
    )


def _refuse_training(folder: Path, names: Sequence[str]) -> None:
    """Raises CheckpointError where `folder` is that of runs of `paramosaic train`."""
    orders = sorted((name for name in names if re.fullmatch(r"order-\d{1,9}", name)), key=natural_key)
    if "training.json" not in names or not orders:
        return
    found = [f"{order}/{epoch}" for order in orders for epoch in _last_epoch(folder / order)]
    if not found:
        raise CheckpointError(
            f"{folder} is a folder of training runs, and none of them has saved a model yet",
            hint="have it trained to the end: the same `paramosaic train` goes on",
            path=folder,
        )
    several = len(found) > 1
    merges = f"; {folder / 'recipe.yaml'} merges them" if several and "recipe.yaml" in names else ""
    raise CheckpointError(
        f"{folder} is a folder of training runs and no model itself: it holds "
        f"{f'the models of {len(found)} orders' if several else 'the model'} ({_listed(found)})",
        hint=f"name {'one of them, such as' if several else 'it:'} {folder / found[0]}{merges}",
        path=folder,
    )


def _last_epoch(order: Path) -> list[str]:
    """The folder of the model that a run saved last; none where it saved none."""
    try:
        found = [name for name in os.listdir(order) if re.fullmatch(r"epoch-\d{1,9}", name)]
    except OSError:
        return []
    return sorted(found, key=natural_key)[-1:]


def subfolders(folder: Path, names: Sequence[str]) -> list[str]:
    """Those of `names` in `folder` that are folders; of very many the first ones."""
    found = []
    for name in names[:_MOST_LOOKED_AT]:
        try:
            if stat.S_ISDIR(os.stat(folder / name).st_mode):
                found.append(name)
        except (OSError, ValueError):
            continue
    return found


def _is_model_folder(folder: Path) -> bool:
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    endings = (".safetensors", ".bin", ".pth", ".pt", ".gguf")
    return (
        "config.json" in names
        or "adapter_config.json" in names
        or "snapshots" in names
        or any(name.endswith(endings) and not is_left_over(name) for name in names)
        or any(re.fullmatch(r"checkpoint-\d+", name) for name in names)
    )


def _deepspeed(folder: Path, name: str) -> str:
    return (
        f"gather its weights with DeepSpeed's script, as in `cd {quoted(folder)} && python zero_to_fp32.py "
        ". weights --safe_serialization`, copy config.json and the tokenizer to them, and name that folder"
    )


def _fsdp(folder: Path, name: str) -> str:
    shards = folder / name if name.startswith("pytorch_model_fsdp") else folder
    return (
        f"gather its weights: accelerate merge-weights {quoted(shards)} {quoted(folder / 'merged')}, and "
        "copy config.json and the tokenizer beside them"
    )


def _download(folder: Path, name: str) -> str:
    return "download it to the end, for example with `hf download`, which goes on where it stopped"


def _original(folder: Path, name: str) -> str:
    return "take the model in safetensors format that it was made from"


def _transformers_4(argument: str) -> Callable[[Path, str], str]:
    def hint(folder: Path, name: str) -> str:
        return (
            f"convert it with transformers 4, where from_pretrained(…, {argument}=True) reads it and "
            "save_pretrained writes safetensors"
        )

    return hint


def _megatron(folder: Path, name: str) -> str:
    return "export it to the format of transformers with the program that trained it (Megatron Bridge, NeMo)"


def _lightning(folder: Path, name: str) -> str:
    path = folder / name
    return (
        "only if you trust whoever made it, take its weights out, which runs what it names: "
        f"{to_safetensors(path, trusted=True)}, and name {safetensors_path(path)}"
    )


_KINDS: tuple[tuple[tuple[str, ...], str, Callable[[Path, str], str]], ...] = (
    (("*.incomplete", "*.aria2", "*.crdownload", "*.part"), "a download that is not finished", _download),
    (("zero_to_fp32.py", "global_step*", "*_model_states.pt"), "a checkpoint of DeepSpeed", _deepspeed),
    (("pytorch_model_fsdp_*", "*.distcp"), "a sharded checkpoint of FSDP", _fsdp),
    (
        ("latest_checkpointed_iteration.txt", "iter_[0-9]*", "mp_rank_*"),
        "a checkpoint of Megatron",
        _megatron,
    ),
    (("*.gguf", "*.ggml"), "GGUF weights of llama.cpp", _original),
    (
        ("*.ckpt.index", "*.ckpt.meta", "*.ckpt.data-*", "tf_model*.h5"),
        "TensorFlow weights",
        _transformers_4("from_tf"),
    ),
    (("*.ckpt",), "a checkpoint of PyTorch Lightning", _lightning),
    (("saved_model.pb", "*.h5", "*.keras"), "weights of TensorFlow or Keras", _original),
    (("flax_model*.msgpack",), "Flax weights", _transformers_4("from_flax")),
    (("*.onnx", "onnx"), "an ONNX model", _original),
    (("*.npz",), "arrays of NumPy or MLX", _original),
    (
        ("*.mlpackage", "*.mlmodel", "*.tflite", "openvino_*", "*.engine"),
        "a model made for inference",
        _original,
    ),
    (("*.nemo",), "an archive of NeMo", _megatron),
    (("*.zip", "*.tar", "*.tar.gz", "*.tgz", "*.7z"), "an archive", lambda folder, name: "unpack it first"),
)
"""By what is in the folder, the most telling first: patterns of names, what it is, and what to do."""


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(cut(name, 80) for name in names[:_MOST_NAMED])
    return text if len(names) <= _MOST_NAMED else f"{text} and {len(names) - _MOST_NAMED} more"
