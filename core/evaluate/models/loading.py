"""A model in memory, ready to be evaluated: one at a time.

Nothing is asked of the network, and no code of a model's folder is run.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import devices
from core.cancel import CancelToken
from core.errors import CheckpointError
from core.evaluate.models.kinds import needs_code, task_of
from core.evaluate.models.references import ModelFolder, model_folder
from core.evaluate.models.room import Room, find_room
from core.evaluate.models.widening import Widening
from core.evaluate.settings import MOST_POSITIONS, Settings
from core.pretrained.models import read_model, read_tokenizer
from core.pretrained.positions import positions_of
from core.pretrained.quiet import quiet, transformers_errors
from core.progress import Share, ShareCallback

__all__ = ["LoadedModel", "load_folder", "load_model"]

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

    def narrow(self) -> None:
        """Have its weights in the type that it computes in, where they were loaded in a wider one."""
        import torch

        self.model.to(getattr(torch, self.dtype))

    @property
    def computes_wide(self) -> bool:
        """Whether it computes in float32 now."""
        return self.widening.is_on or str(self.model.dtype) == "torch.float32"

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
        reference: as core.evaluate.models.references.model_folder takes it.
        settings: device, dtype and how weights are widened.
        cancel: looked at before and while a merge is made that has to come first, and before loading.
        progress: called meanwhile.

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
        load_folder(folder, settings=settings, cancel=cancel, progress=progress) as model,
    ):
        yield model


@contextlib.contextmanager
def load_folder(
    folder: ModelFolder,
    *,
    settings: Settings,
    cancel: CancelToken | None = None,
    progress: ShareCallback | None = None,
) -> Iterator[LoadedModel]:
    """The model of a folder in memory, for as long as a `with` statement lasts. Raises as load_model."""
    if cancel is not None:
        cancel.raise_if_cancelled("evaluation")
    if progress is not None:
        progress(Share(0.0, f"{folder.name}: loading"))
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
        if needs_code(folder.checkpoint.config):
            raise CheckpointError(
                f"{folder.name} needs Python code of its own folder, which is not run",
                hint="take a version of the model that transformers knows without it",
                path=folder.folder,
            )
        config = transformers.AutoConfig.from_pretrained(
            str(folder.folder), local_files_only=True, trust_remote_code=False
        )
        task = task_of(folder, config)
        tokenizer = load_tokenizer(folder)
        room = find_room(folder, settings)
        model = _model(folder, task, room)
        check_tokenizer(folder, tokenizer, model)
    widening = Widening(model)
    if room.by_layers:
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
    names = config.id2label if task == "classifier" else {}
    loaded = LoadedModel(
        reference=folder.reference,
        name=folder.name,
        folder=folder.folder,
        model=model,
        tokenizer=tokenizer,
        task=task,
        labels=tuple(str(names.get(number, number)) for number in range(config.num_labels)) if names else (),
        device=room.device,
        max_length=longest,
        window=window,
        dtype=settings.dtype,
        widening=widening,
    )
    if room.note:
        loaded.notes.append(room.note)
    _log.info("loaded %s on %s in %s", folder.name, room.device, room.dtype)
    return loaded


def load_tokenizer(folder: ModelFolder) -> Any:
    """The tokenizer of transformers. Raises CheckpointError."""
    with (
        quiet(),
        transformers_errors(
            f"{folder.name} has no tokenizer that transformers can load",
            path=folder.folder,
            hint="copy the tokenizer's files of the model that it was made from into its folder",
        ),
    ):
        return read_tokenizer(folder.folder)


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


def _model(folder: ModelFolder, task: str, room: Room) -> Any:
    model, missing = read_model(folder.folder, task, room.dtype)
    if missing:
        raise CheckpointError(
            f"{folder.name} lacks {missing[0]}"
            + (f" and {len(missing) - 1} more tensors" if len(missing) > 1 else "")
            + ", which would be made up at random",
            hint="take the model as it was saved after its training",
            path=folder.folder,
            tensor=missing[0],
        )
    return model.to(room.device).eval()
