"""A model in memory, ready to be evaluated: one at a time.

Nothing is asked of the network, and no code of a model's folder is run.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import devices, memory
from core.cancel import CancelToken
from core.checkpoint.model import Checkpoint
from core.errors import CheckpointError, DeviceError, MergeError
from core.evaluate.quiet import quiet, transformers_errors
from core.evaluate.references import ModelFolder, model_folder
from core.evaluate.settings import MOST_POSITIONS, Settings
from core.evaluate.widening import Widening
from core.progress import ShareCallback
from core.units import bytes_text

__all__ = ["LoadedModel", "load_folder", "load_model"]

_BESIDE_BYTES = 1_500_000_000
"""What a batch takes beside the weights, and then some: activations, logits of a few hundred tokens."""

_SHARE_OF_MEMORY = 0.9
"""Of what is free, at the most: others live there too."""

_log = logging.getLogger(__name__)


@dataclass
class LoadedModel:
    """A model that is in memory.

    Attributes:
        reference: as it was given.
        name: what to call it.
        folder: where it was loaded from; temporary for recipes and adapters.
        model: the model of transformers, in eval mode.
        tokenizer: its tokenizer of transformers.
        task: "causal" or "classifier".
        labels: the names of a classifier's classes by number, empty for others.
        device: as torch calls it.
        max_length: the most tokens that it takes at once, None where nothing says so.
        window: the most tokens that it is given at once, as the settings say.
        dtype: what it computes in: "float32" or "bfloat16".
        widening: widens its weights layer by layer, where it is on.
        notes: sentences on how it was loaded.
    """

    reference: str
    name: str
    folder: Path
    model: Any
    tokenizer: Any
    task: str
    labels: tuple[str, ...]
    device: str
    max_length: int | None
    window: int
    dtype: str
    widening: Widening
    notes: list[str] = field(default_factory=list)

    @property
    def has_chat_template(self) -> bool:
        return bool(getattr(self.tokenizer, "chat_template", None))

    @property
    def rows(self) -> int:
        """Of its input embedding: the ids that it knows are below."""
        weight = self.model.get_input_embeddings().weight
        return int(weight.shape[0])


@contextlib.contextmanager
def load_model(
    reference: str | Path,
    *,
    settings: Settings | None = None,
    cancel: CancelToken | None = None,
    progress: ShareCallback | None = None,
) -> Iterator[LoadedModel]:
    """A model in memory, for as long as a `with` statement lasts.

    Args:
        reference: as core.evaluate.references.model_folder takes it.
        settings: device, dtype and how weights are widened.
        cancel, progress: of the merge that may have to come first.

    Raises:
        CheckpointError: there is no such model, it cannot be loaded, or it is of a kind that is not
            evaluated.
        RecipeError, IncompatibleError, OutputError: it cannot be merged.
        DeviceError: the device is not there.
        MergeError: there is not enough memory.
        Cancelled: after `cancel`.
    """
    settings = settings or Settings()
    with (
        model_folder(
            reference,
            work_folder=settings.work_folder,
            device=settings.device,
            threads=settings.threads,
            cancel=cancel,
            progress=progress,
        ) as folder,
        load_folder(folder, settings=settings, cancel=cancel) as model,
    ):
        yield model


@contextlib.contextmanager
def load_folder(
    folder: ModelFolder, *, settings: Settings, cancel: CancelToken | None = None
) -> Iterator[LoadedModel]:
    """The model of a folder in memory, for as long as a `with` statement lasts. Raises as load_model."""
    if cancel is not None:
        cancel.raise_if_cancelled("evaluation")
    loaded = _load(folder, settings)
    try:
        yield loaded
    finally:
        device = loaded.device
        loaded.widening.close()
        loaded.model = loaded.tokenizer = None
        del loaded
        gc.collect()
        devices.release([devices.Device(device, "", device.partition(":")[0])])


def _load(folder: ModelFolder, settings: Settings) -> LoadedModel:
    with (
        quiet(),
        transformers_errors(
            f"{folder.name} cannot be loaded by transformers",
            path=folder.folder,
            hint="a newer transformers may know it: `pip install --upgrade transformers`",
        ),
    ):
        import transformers

        if folder.checkpoint.config is None:
            raise CheckpointError(
                f"{folder.name} has no config.json, so transformers cannot load it",
                hint="copy the config.json of the model that it was made from into its folder",
                path=folder.folder,
            )
        if _needs_code(folder.checkpoint.config):
            raise CheckpointError(
                f"{folder.name} needs Python code of its own folder, which is not run",
                hint="take a version of the model that transformers knows without it",
                path=folder.folder,
            )
        config = transformers.AutoConfig.from_pretrained(
            str(folder.folder), local_files_only=True, trust_remote_code=False
        )
        task = task_of(folder, config)
        device = _device(settings.device)
        tokenizer = load_tokenizer(folder)
        layers = _by_layers(folder, settings, device)
        kept = layers or (settings.dtype == "bfloat16" and _stored(folder.checkpoint) == "bfloat16")
        model = _model(folder, task, "float32" if not kept else _stored(folder.checkpoint))
        model.to(device)
        model.eval()
    check_tokenizer(folder, tokenizer, model)
    widening = Widening(model)
    if layers and settings.dtype == "float32":
        with (
            quiet(),
            transformers_errors(f"{folder.name} cannot be widened layer by layer", path=folder.folder),
        ):
            widening.start()
    longest = positions_of(config, tokenizer)
    window = settings.max_length or min(longest or MOST_POSITIONS, MOST_POSITIONS)
    if longest is not None and window > longest:
        raise CheckpointError(
            f"{folder.name} takes {longest} tokens at once, not {window}",
            hint=f"choose a length of at most {longest}",
            path=folder.folder,
        )
    labels = tuple(config.id2label[number] for number in range(config.num_labels))
    loaded = LoadedModel(
        reference=folder.reference,
        name=folder.name,
        folder=folder.folder,
        model=model,
        tokenizer=tokenizer,
        task=task,
        labels=labels if task == "classifier" else (),
        device=device,
        max_length=longest,
        window=window,
        dtype=settings.dtype,
        widening=widening,
    )
    if layers and settings.widening == "auto":
        loaded.notes.append(
            f"{folder.name}: its weights are widened layer by layer, as memory lacks for all in float32: "
            "the numbers are the same, and it takes longer"
        )
    _log.info("loaded %s on %s, %s", folder.name, device, "layer by layer" if layers else "whole")
    return loaded


def _needs_code(config: Mapping[str, Any]) -> bool:
    """Whether it names classes in its folder, and is of a kind that transformers does not know."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING


def task_of(folder: ModelFolder, config: Any) -> str:
    """ "causal" or "classifier". Raises CheckpointError for every other kind of model."""
    from transformers.models.auto import modeling_auto

    def classes(mapping: Mapping[str, Any]) -> set[str]:
        names: set[str] = set()
        for value in mapping.values():
            names.update((value,) if isinstance(value, str) else value)
        return names

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    classifier = modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    given = [str(name) for name in (config.architectures or ())]
    if getattr(config, "is_encoder_decoder", False):
        raise _other_kind(folder, f"an encoder–decoder model ({', '.join(given) or config.model_type})")
    if any(name in classes(classifier) for name in given):
        if config.problem_type not in (None, "single_label_classification") or config.num_labels < 2:
            raise _other_kind(folder, f"a classifier whose answer is not one class ({config.problem_type})")
        return "classifier"
    if any(name in classes(causal) for name in given):
        return "causal"
    if not given and config.model_type in causal:
        return "causal"
    raise _other_kind(folder, f"a model of the kind {', '.join(given) or config.model_type}")


def _other_kind(folder: ModelFolder, what: str) -> CheckpointError:
    return CheckpointError(
        f"{folder.name} is {what}: only causal language models and classifiers of text can be evaluated",
        hint="name a model whose config.json has architectures such as LlamaForCausalLM or "
        "BertForSequenceClassification",
        path=folder.folder,
    )


def load_tokenizer(folder: ModelFolder) -> Any:
    """The tokenizer of transformers. Raises CheckpointError."""
    import transformers

    with (
        quiet(),
        transformers_errors(
            f"{folder.name} has no tokenizer that transformers can load",
            path=folder.folder,
            hint="copy the tokenizer's files of the model that it was made from into its folder",
        ),
    ):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(folder.folder), local_files_only=True, trust_remote_code=False
        )
        if not len(tokenizer):
            raise ValueError("its vocabulary is empty")
        return tokenizer


def check_tokenizer(folder: ModelFolder, tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer of another model: tokens that a user adds, as for padding, may be beyond the
    embedding until they are used.

    Raises:
        CheckpointError: tokens of its own vocabulary are beyond the embedding.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    added = set(tokenizer.get_added_vocab().values())
    beyond = [number for number in tokenizer.get_vocab().values() if number >= rows and number not in added]
    if beyond:
        raise CheckpointError(
            f"{folder.name}: its tokenizer has tokens up to number {max(beyond)} and its embedding {rows} "
            "rows: they do not belong together",
            hint="copy the tokenizer's files of the model that it was made from into its folder",
            path=folder.folder,
        )


def positions_of(config: Any, tokenizer: Any) -> int | None:
    """The most tokens that a model takes at once; None where nothing says so."""
    text = config.get_text_config()
    known = []
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
        value = getattr(text, name, None)
        if type(value) is int and value > 1:
            # RoBERTa and its kin count positions from behind the padding's
            offset = (config.pad_token_id or 0) + 1 if _counts_from_padding(config) else 0
            known.append(value - offset)
            break
    of_tokenizer = getattr(tokenizer, "model_max_length", None)
    if type(of_tokenizer) is int and 1 < of_tokenizer < 2**24:
        known.append(of_tokenizer)
    return min(known, default=None)


def _counts_from_padding(config: Any) -> bool:
    return "roberta" in config.model_type or config.model_type in ("camembert", "longformer", "mpnet", "esm")


def _model(folder: ModelFolder, task: str, dtype: str) -> Any:
    import torch
    import transformers

    kind = (
        transformers.AutoModelForCausalLM
        if task == "causal"
        else transformers.AutoModelForSequenceClassification
    )
    model, info = kind.from_pretrained(
        str(folder.folder),
        dtype=getattr(torch, dtype),
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{folder.name} lacks {missing[0]}"
            + (f" and {len(missing) - 1} more tensors" if len(missing) > 1 else "")
            + ", which would be made up at random",
            hint="take the model as it was saved after its training",
            path=folder.folder,
            tensor=missing[0],
        )
    return model


def _device(asked: str) -> str:
    if asked == "auto":
        return next((found.name for found in devices.usable_devices()), "cpu")
    chosen = devices.choose_devices(asked)
    if len(chosen) > 1:
        raise DeviceError(f"{asked}: a model is evaluated on one device", hint="name one of them")
    return chosen[0].name


def _stored(checkpoint: Checkpoint) -> str:
    """The type of 16 bits that all its weights are stored in; "float32" for any other."""
    kinds = {tensor.dtype.name for tensor in checkpoint.tensors.values() if tensor.dtype.is_float}
    return {"BF16": "bfloat16", "F16": "float16"}.get("".join(kinds), "float32")


def _by_layers(folder: ModelFolder, settings: Settings, device: str) -> bool:
    """Whether weights stay as they are stored, and are widened while they are worked with."""
    stored = _stored(folder.checkpoint)
    if settings.dtype != "float32" or settings.widening == "whole":
        return False
    if settings.widening == "layers":
        if stored == "float32":
            raise MergeError(
                f"{folder.name} is not stored in one type of 16 bits: its weights are widened whole",
                hint="leave the choice of how weights are widened to the program",
                field="widening",
            )
        return True
    wide = sum(4 * math.prod(tensor.shape) for tensor in folder.checkpoint.tensors.values())
    free = _free_bytes(device)
    if free is None or wide + _BESIDE_BYTES <= _SHARE_OF_MEMORY * free:
        return False
    if free < folder.checkpoint.size_bytes:
        raise MergeError(
            f"there is not enough memory for {folder.name} on {device}: it takes "
            f"{bytes_text(folder.checkpoint.size_bytes)}, and {bytes_text(free)} are free",
            hint="close other programs" if device == "cpu" else "evaluate it on the CPU (--device cpu)",
            path=folder.folder,
        )
    return stored != "float32"


def _free_bytes(device: str) -> int | None:
    if device == "cpu":
        return memory.available_bytes()
    return next((found.free_bytes for found in devices.usable_devices() if found.name == device), None)
