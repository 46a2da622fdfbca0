"""The small files beside the weights of an output: which files, and whose.

A tokenizer is taken whole from one model, its files are copied as files and never loaded. Of every other file
it is asked whether the sub-models agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.checkpoint.chat_templates import with_template
from core.checkpoint.choosing import GivenTokenizer, Givers, choose
from core.checkpoint.copies import MAX_BYTES, Companion, real_file
from core.checkpoint.folder_files import json_of
from core.checkpoint.layer_config import LayerChoice
from core.checkpoint.layer_rewriting import rewritten_layers
from core.checkpoint.model import CONFIG_NAME, read_config
from core.checkpoint.output_config import describe_output, renumber
from core.checkpoint.private_paths import PrivatePaths, json_bytes
from core.errors import CheckpointError
from core.small_files import read_small

__all__ = ["Companion", "Companions", "GivenTokenizer", "Givers", "companion_files", "companion_warnings"]

_TOKENS_ALONE = {"added_tokens.json", "encoder.json", "normalizer.json", "emoji.json", "word_shape.json"}
_TOKENIZERS = {"tokenizer.json", "tekken.json"}
_GENERATION = "generation_config.json"
_OF_TEMPLATE = "chat template"
_MAX_CLEANED_BYTES = 4_000_000
_MAX_TOKENIZER_BYTES = 36_000_000
"""Larger JSON files are copied as they are. The largest vocabularies known, of 262,144 tokens, have 33 MB."""


@dataclass(frozen=True)
class Companions:
    """What goes into an output beside its weights.

    Attributes:
        files: by name, with slashes.
        left_out: what lies in the models' folders and is not copied, and why.
        warnings: sentences for the user.
    """

    files: Mapping[str, Companion]
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def companion_warnings(givers: Givers, *, full: bool = False) -> list[str]:
    """What is to be said about the small files of the output; large ones are compared by some pieces.

    Raises:
        CheckpointError: a folder cannot be read, or a file of it is none.
    """
    return list(choose(givers, full=full).warnings)


def companion_files(
    givers: Givers,
    *,
    vocabulary: int | None,
    dtype_name: str,
    unties: bool = False,
    inputs: Iterable[Path],
    layers: Sequence[LayerChoice] = (),
    chat_template: str | None = None,
) -> Companions:
    """The small files of the output.

    Args:
        givers: the folders that they are taken from.
        vocabulary: rows of the input embedding that is written; None where it is not known.
        dtype_name: the type that is written, as torch spells it.
        unties: whether a head is written that is not the input embedding, although the config may tie them.
        inputs: the input folders, whose paths must not appear.
        layers: where each layer of the output comes from, where it is put together from slices.
        chat_template: as a recipe says it, see core.recipe.chat_template; None for the models' own.

    Raises:
        CheckpointError: a file cannot be read, is none, is too large, or is a link to another place.
    """
    private = PrivatePaths(inputs)
    choice = choose(givers, full=True)
    ids = givers.tokenizer.ids if givers.tokenizer else {}
    lost: list[str] = []
    files: dict[str, Companion] = {}
    warnings = list(choice.warnings)
    if choice.config is not None and (config := read_config(choice.config)) is not None:
        real_file(choice.config, CONFIG_NAME)
        describe_output(config, vocabulary, dtype_name, unties)
        lost = renumber(config, ids.get(choice.config, {}))
        if layers:
            warnings += rewritten_layers(config, layers)
        files[CONFIG_NAME] = Companion.of_bytes(json_bytes(private.without(config)))
    for name, data in choice.written.items():
        files[name] = Companion.of_bytes(_clean(data, name, private))
    left = MAX_BYTES
    for name, folder in choice.files.items():
        files[name] = _clean_copy(real_file(folder, name), name, private)
        left -= files[name].size_bytes
        if left < 0:
            raise CheckpointError(
                f"the files that would be copied from {folder} beside the weights have more than "
                f"{MAX_BYTES:,} bytes",
                path=folder / name,
            )
    generation = choice.files.get(_GENERATION)
    if generation is not None and (said := json_of(generation, _GENERATION)) is not None:
        before = json_bytes(said)
        lost += renumber(said, ids.get(generation, {}))
        if json_bytes(said) != before:
            files[_GENERATION] = Companion.of_bytes(json_bytes(private.without(said)))
    warnings += [f"{key} names a token that the result lacks, and is left out" for key in dict.fromkeys(lost)]
    if chat_template is not None:
        files, more = with_template(files, chat_template, givers)
        warnings = [one for one in warnings if _OF_TEMPLATE not in one] + more
    return Companions(files, choice.left_out, tuple(warnings))


def _clean_copy(path: Path, name: str, private: PrivatePaths) -> Companion:
    """A copy of `path`; JSON that names a path of this machine is written anew without it."""
    copy = Companion.of_file(path)
    most = _MAX_TOKENIZER_BYTES if name.rpartition("/")[2] in _TOKENIZERS else _MAX_CLEANED_BYTES
    if not _is_cleaned(name) or copy.size_bytes > most:
        return copy
    data = read_small(path, most, CheckpointError)
    cleaned = _clean(data, name, private)
    return copy if cleaned is data else Companion.of_bytes(cleaned)


def _is_cleaned(name: str) -> bool:
    file = name.rpartition("/")[2]
    return file.endswith(".json") and file not in _TOKENS_ALONE and "vocab" not in file


def _clean(data: bytes, name: str, private: PrivatePaths) -> bytes:
    """The same without paths of this machine; `data` itself where there are none."""
    if not _is_cleaned(name):
        return data
    is_tokenizer = name.rpartition("/")[2] in _TOKENIZERS
    cleaned = private.of_tokenizer(data) if is_tokenizer else private.of_json(data)
    return data if cleaned is None else cleaned
