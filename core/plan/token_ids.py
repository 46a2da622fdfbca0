"""Whether the same row of an embedding is the same token in every model, and what is special about tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.adapter_paths import split_adapters
from core.checkpoint.folder_files import FolderFiles, json_of
from core.checkpoint.model import Checkpoint, model_names
from core.checkpoint.names import find_embedding
from core.errors import IncompatibleError
from core.text import one_line, shown
from core.tokenizer.vocabulary import Vocabulary, read_vocabulary, vocabulary_digest

__all__ = ["compare_tokenizers", "source_folder", "tokenizer_folder"]

_MOST_PARSED = 4
_MOST_NAMED = 4
_MOST_WARNINGS = 10
_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
_SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


@dataclass(frozen=True)
class _Holder:
    """A folder that takes part."""

    name: str
    folder: Path
    field: str
    entry: int | None = None
    model: Checkpoint | None = None


def tokenizer_folder(model: Checkpoint) -> Path:
    """Where its tokenizer is: with the last of its adapters that has one, else with the model under them."""
    if model.under is None:
        return model.folder
    return _last_with_tokenizer([adapter.folder for adapter in model.adapters], model.under.folder)


def source_folder(source: Path, inputs: Mapping[Path, Checkpoint]) -> Path:
    """Where the tokenizer is that a recipe names by its model, which may have adapters on it.

    Args:
        source: the model's path.
        inputs: the models that are merged, by theirs.
    """
    if source in inputs and inputs[source].under is not None:
        return tokenizer_folder(inputs[source])
    model, *adapters = split_adapters(source)
    return _last_with_tokenizer(adapters, model)


def _last_with_tokenizer(adapters: Sequence[Path], model: Path) -> Path:
    return next((one for one in reversed(adapters) if FolderFiles.of(one).has_tokenizer), model)


def compare_tokenizers(
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    tokenizer_source: Path | None,
    *,
    full: bool,
    by_token: bool = False,
) -> list[str]:
    """What differs between the tokenizers, as warnings.

    Args:
        models: the sub-models.
        base: the base, or None.
        tokenizer_source: whose tokenizer goes into the output, or None.
        full: whether every different tokenizer is parsed, and files are compared whole.
        by_token: whether rows are matched by their tokens: then ids need not agree.

    Raises:
        IncompatibleError: many ids mean different tokens.
    """
    holders = [_Holder(base.name, tokenizer_folder(base), "base_model", None, base)] if base else []
    holders += [
        _Holder(model.name, tokenizer_folder(model), "models", entry, model)
        for entry, model in enumerate(models)
    ]
    if tokenizer_source is not None and tokenizer_source not in {one.folder for one in holders}:
        holders.append(_Holder(model_names([tokenizer_source])[0], tokenizer_source, "tokenizer_source"))
    if by_token:
        return _special(holders)
    distinct: dict[Any, list[_Holder]] = {}
    for one in holders:
        digest = vocabulary_digest(one.folder, full=full)
        if digest is not None:
            distinct.setdefault(digest, []).append(one)
    warnings = []
    if len(distinct) > _MOST_PARSED and not full:
        first = ", ".join(same[0].name for same in list(distinct.values())[:_MOST_PARSED])
        warnings.append(
            f"there are {len(distinct):,} different tokenizers (those of {first} and others): their tokens "
            "are compared when the merge starts"
        )
    else:
        warnings += _compare(list(distinct.values()))
    return [*warnings, *_special(holders)]


def _compare(distinct: Sequence[Sequence[_Holder]]) -> list[str]:
    warnings: list[str] = []
    known: dict[int, str] = {}
    owner: dict[int, _Holder] = {}
    first: tuple[_Holder, Vocabulary] | None = None
    unread: list[_Holder] = []
    for holders in distinct:
        one = holders[0]
        vocabulary = read_vocabulary(one.folder)
        if vocabulary is None:
            unread += holders
            continue
        warnings += _against_rows(holders, vocabulary)
        if first is None:
            first, known = (one, vocabulary), dict(vocabulary.tokens)
            continue
        differing = sorted(
            number for number, _ in vocabulary.tokens.items() - known.items() if number in known
        )
        own = sorted(vocabulary.tokens.keys() - first[1].tokens.keys())
        if differing:
            warnings.append(_conflict(one, vocabulary, known, differing, owner, first))
        elif own:
            warnings.append(
                f"the tokenizer of {one.name} is that of {first[0].name} with {_count(own, 'token')} of its "
                f"own: id {own[0]:,} is {_token(vocabulary.tokens[own[0]])}"
            )
        for number in vocabulary.tokens.keys() - known.keys():
            known[number], owner[number] = vocabulary.tokens[number], one
    if len(warnings) > _MOST_WARNINGS:
        more = len(warnings) - _MOST_WARNINGS
        warnings = [*warnings[:_MOST_WARNINGS], f"{more:,} more tokenizers differ in the same way"]
    if unread and len(distinct) > 1:
        warnings.append(
            f"the tokenizer files differ, and the tokens of {_listed(one.name for one in unread)} cannot be "
            "read from them: see that the same ids mean the same tokens"
        )
    return warnings


def _conflict(
    one: _Holder,
    vocabulary: Vocabulary,
    known: dict[int, str],
    differing: Sequence[int],
    owner: dict[int, _Holder],
    first: tuple[_Holder, Vocabulary],
) -> str:
    """What to say of ids that mean different tokens. Raises IncompatibleError where they are many."""
    example = differing[0]
    other = owner.get(example, first[0])
    added = first[1].added
    trained = [
        number
        for number in differing
        if number not in owner and not (number in added and number in vocabulary.added)
    ]
    sentence = (
        f"{_count(differing, 'id')} mean{'s' * (len(differing) == 1)} different tokens: id {example:,} is "
        f"{_token(vocabulary.tokens[example])} in {one.name} and {_token(known[example])} in {other.name}"
    )
    shared = len(vocabulary.tokens.keys() & first[1].tokens.keys())
    if len(trained) > max(2, shared // 100):
        culprit = one if one.field != "base_model" else first[0]
        raise IncompatibleError(
            f"the tokenizers of {first[0].name} and {one.name} do not belong together: {sentence}",
            hint=f"take another tokenizer_source, of the same tokens as {first[0].name}"
            if one.field == "tokenizer_source"
            else f"leave {one.name} out, or write `vocab: union` (or `tokenizer: {{source: …}}`) "
            "to merge the rows of the same tokens",
            path=culprit.folder,
            field=culprit.field,
            entry=culprit.entry,
        )
    return f"{sentence}; their rows are merged with one another, unless the recipe says `vocab: union`"


def _against_rows(holders: Sequence[_Holder], vocabulary: Vocabulary) -> list[str]:
    for one in holders:
        if one.model is None:
            continue
        shapes = {
            name: tensor.shape
            for name, tensor in one.model.tensors.items()
            if "emb" in name or name.endswith(("wte.weight", "shared.weight"))
        }
        embedding = find_embedding(shapes)
        if embedding is not None and vocabulary.size > shapes[embedding][0]:
            return [
                f"the tokenizer of {one.name} has {vocabulary.size:,} tokens and its embedding "
                f"{shapes[embedding][0]:,} rows: the last tokens have none"
            ]
    return []


# -- special tokens


def _special(holders: Sequence[_Holder]) -> list[str]:
    said: dict[str, dict[str, list[str]]] = {}
    for one in holders:
        config = json_of(one.folder, "tokenizer_config.json") or {}
        for key in _SPECIAL:
            if key in config:
                value = config[key]
                text = value.get("content") if isinstance(value, dict) else value
                said.setdefault(key, {}).setdefault(_token(text), []).append(one.name)
        generation = json_of(one.folder, "generation_config.json") or {}
        own = one.model.config if one.model is not None else None
        for key in _SPECIAL_IDS:
            value = generation.get(key, (own or {}).get(key))
            if value is not None:
                said.setdefault(key, {}).setdefault(_ids(value), []).append(one.name)
    return [
        f"{key} is "
        + " and ".join(f"{value} in {_listed(names)}" for value, names in list(groups.items())[:_MOST_NAMED])
        + (" and others elsewhere" if len(groups) > _MOST_NAMED else "")
        for key, groups in said.items()
        if len(groups) > 1
    ]


def _ids(value: Any) -> str:
    return shown(sorted(value) if isinstance(value, list) and all(type(v) is int for v in value) else value)


def _token(text: Any) -> str:
    return f'"{one_line(text[:80])}"' if isinstance(text, str) else one_line(shown(text))


def _count(what: Sequence[Any], name: str) -> str:
    return f"{len(what):,} {name}{'' if len(what) == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    if len(every) <= _MOST_NAMED + 1:
        return ", ".join(every)
    return f"{', '.join(every[:_MOST_NAMED])} and {len(every) - _MOST_NAMED:,} others"
