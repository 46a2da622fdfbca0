"""Whether models belong together: their configs, their labels, their tokenizers, the files beside them.

Tensors of equal names and shapes may mean different things. What no shape shows is compared here, at the
cost of reading small files: equal ones are found first, and only what differs is looked at key by key.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.checkpoint.companions import GivenTokenizer, Givers, companion_warnings
from core.checkpoint.layer_config import keys_of_layers
from core.checkpoint.model import CONFIG_NAME, Checkpoint, model_names, read_config
from core.errors import IncompatibleError
from core.plan.config_values import ERROR_KEYS, UNSAID, plain_config
from core.plan.labels import compare_labels
from core.plan.token_ids import compare_tokenizers, tokenizer_folder
from core.text import one_line, shown

__all__ = ["check_belonging", "givers_of"]

_MOST_NAMED = 4
_MOST_KEYS = 12


@dataclass(frozen=True)
class _Said:
    """A config that takes part, and whose it is."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    field: str
    entry: int | None = None


def check_belonging(
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    tokenizer_source: Path | None,
    *,
    full: bool = False,
    tokenizer: GivenTokenizer | None = None,
    sliced: bool = False,
    has_template: bool = False,
) -> list[str]:
    """What differs between models that are to be merged, as warnings.

    Args:
        models: the sub-models.
        base: the base, or None.
        tokenizer_source: the folder whose config and tokenizer go into the output, or None.
        full: whether every tokenizer is compared, however many there are, and files whole; otherwise at
            most four, and of large files some pieces.
        tokenizer: of the output, where rows are matched by their tokens, so that ids need not agree.
        has_template: whether the recipe says the chat template of the output.
        sliced: whether single layers are taken, so that what is said of these, and their number, may differ.

    Raises:
        IncompatibleError: a difference gives the weights another meaning. It has path, field and entry.
        CheckpointError: a file that goes into the output is damaged.
    """
    said = _configs(models, base, tokenizer_source)
    names = {model.folder: model.name for model in [*([base] if base else []), *models]}
    if tokenizer_source is not None:
        names.setdefault(tokenizer_source, model_names([tokenizer_source])[0])
    givers = givers_of(models, base, tokenizer_source, names, tokenizer, has_template=has_template)
    return [
        *_compare_configs(said, set().union(*(keys_of_layers(one.config) for one in said)) if sliced else ()),
        *compare_labels(models, base),
        *companion_warnings(givers, full=full),
        *compare_tokenizers(models, base, tokenizer_source, full=full, by_token=tokenizer is not None),
    ]


def givers_of(
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    tokenizer_source: Path | None,
    names: Mapping[Path, str],
    tokenizer: GivenTokenizer | None = None,
    *,
    has_template: bool = False,
) -> Givers:
    """The folders of the small files.

    An adapter has those of the model that it is put on, but for a tokenizer of its own.
    """
    folders: list[Path] = []
    base_folder = base.folder if base is not None else None
    for model in models:
        own = tokenizer_folder(model)
        if model.under is None or own != model.under.folder:
            folders.append(own)
            names = {own: model.name, **names}
        if model.under is not None and (own == model.under.folder or model.under.folder != base_folder):
            folders.append(model.under.folder)
            names = {**names, model.under.folder: model.under.name}
    return Givers(tuple(folders), base_folder, tokenizer_source, names, tokenizer, has_template)


def _configs(models: Sequence[Checkpoint], base: Checkpoint | None, source: Path | None) -> list[_Said]:
    said = []
    if base is not None and base.config is not None:
        said.append(_Said(base.name, base.folder, base.config, "base_model"))
    said += [
        _Said(model.name, model.folder, model.config, "models", entry)
        for entry, model in enumerate(models)
        if model.config is not None
    ]
    if source is not None and source not in {one.folder for one in said}:
        config = read_config(source)
        if config is not None:  # it is the output's
            said.append(_Said(model_names([source])[0], source, config, "tokenizer_source"))
    return said


def _compare_configs(said: Sequence[_Said], passed_over: Container[str] = ()) -> list[str]:
    distinct: list[tuple[Mapping[str, Any], list[_Said]]] = []
    for one in said:
        for config, members in distinct:
            if config == one.config:
                members.append(one)
                break
        else:
            distinct.append((one.config, [one]))
    if len(distinct) < 2:
        return []
    plain = [(plain_config(config), members) for config, members in distinct]
    warnings: list[str] = []
    further: list[str] = []
    for key in dict.fromkeys(key for config, _ in plain for key in config):
        groups = _groups(key, plain)
        if len(groups) < 2:
            continue
        last = key.rsplit(".", 1)[-1]
        if last in passed_over:
            continue
        sentence = _sentence(key, groups, said)
        if last in ERROR_KEYS:
            raise _unlike(key, sentence, groups, said)
        if len(warnings) < _MOST_KEYS:
            warnings.append(f"{sentence}; {_consequence(last)}")
        else:
            further.append(one_line(key))
    if further:
        warnings.append(f"their configs differ in {len(further):,} further keys: {_listed(further)}")
    return warnings


def _groups(
    key: str, plain: Sequence[tuple[Mapping[str, Any], Sequence[_Said]]]
) -> list[tuple[Any, list[_Said]]]:
    """The different values of `key`, and who has each; unsaid ones as they are known to mean."""
    groups: list[tuple[Any, list[_Said]]] = []
    unsaid = UNSAID.get(key.rsplit("_config.", 1)[-1], _NOTHING)
    for config, members in plain:
        value = config.get(key, unsaid)
        if value is _NOTHING:
            continue
        for known, holders in groups:
            if known == value or (not known and not value and _is_off(known) and _is_off(value)):
                holders.extend(members)
                break
        else:
            groups.append((value, list(members)))
    # A key without a value is written by some versions and left out by others.
    return [group for group in groups if group[0] is not None] if unsaid is _NOTHING else groups


_NOTHING = object()


def _is_off(value: Any) -> bool:
    return value is None or value is False


def _sentence(key: str, groups: Sequence[tuple[Any, Sequence[_Said]]], said: Sequence[_Said]) -> str:
    order = {id(one): number for number, one in enumerate(said)}
    parts = [
        f"{_value(value)} in {_listed([one.name for one in sorted(holders, key=lambda h: order[id(h)])])}"
        for value, holders in sorted(groups, key=lambda group: order[id(group[1][0])])
    ]
    if len(parts) > _MOST_NAMED:
        parts = [*parts[:_MOST_NAMED], f"{len(parts) - _MOST_NAMED:,} other values elsewhere"]
    return f"{one_line(key)} is {', '.join(parts[:-1])} and {parts[-1]}"


def _unlike(
    key: str, sentence: str, groups: Sequence[tuple[Any, Sequence[_Said]]], said: Sequence[_Said]
) -> IncompatibleError:
    group_of = {id(one): number for number, (_, holders) in enumerate(groups) for one in holders}
    taking_part = [one for one in said if id(one) in group_of]
    odd = next(one for one in taking_part if group_of[id(one)] != group_of[id(taking_part[0])])
    return IncompatibleError(
        f"{sentence}, so that their weights mean different things although names and shapes agree",
        hint=f"leave {odd.name} out, or, if only a {CONFIG_NAME} is wrong, put {one_line(key)} right in it",
        path=odd.folder / CONFIG_NAME,
        field=odd.field,
        entry=odd.entry,
    )


def _consequence(key: str) -> str:
    if key.startswith("rope") or "theta" in key or key in _RUNTIME or key.endswith("eps"):
        return "the weights were trained for different values, and the output's config has one of them"
    return "the output's config has one of them"


_RUNTIME = {"sliding_window", "max_position_embeddings", "original_max_position_embeddings", "factor"}


def _value(value: Any) -> str:
    if type(value) is int or (type(value) is float and value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}" if abs(value) < 10**15 else shown(value)
    return one_line(shown(value))


def _listed(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    if len(every) <= _MOST_NAMED + 1:
        return ", ".join(every)
    return f"{', '.join(every[:_MOST_NAMED])} and {len(every) - _MOST_NAMED:,} others"
