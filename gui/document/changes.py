"""What differs between two set-ups, in a word or two. No Qt."""

from __future__ import annotations

from collections.abc import Iterator

from core.methods import METHODS
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.document.parameter_texts import parameter_title, within_sentence
from gui.words import plural

__all__ = ["changed_field", "describe_change"]

_NAMES = {
    "seed": "seed",
    "rules": "rules",
    "slices": "layers",
    "chat_template": "chat template",
    "stages": "merges before",
    "zero_tolerance": "zero tolerance",
    "dtype": "merge type",
    "out_dtype": "output type",
    "nonfinite": "NaN and infinity",
    "vocab": "tokens",
    "tokenizer_source": "tokenizer",
    "tokenizer": "rows of tokens",
    "missing": "tensors that not all have",
    "k": "K",
    "out": "output folder",
    "overwrite": "overwriting",
    "device": "device",
    "threads": "threads",
    "shard_size_bytes": "file size",
}


def describe_change(before: MergeSetup, after: MergeSetup) -> str:
    """A short name for the change ("seed", "n", "remove run-3"): for the one that causes the others."""
    return next(_changes(before, after))[1]


def changed_field(before: MergeSetup, after: MergeSetup) -> str | None:
    """Which field of the window was edited; None where several were, or it cannot be determined."""
    fields = [field for field, _ in _changes(before, after)]
    if fields and fields[0] == "method":
        return "method"
    return fields[0] if len(fields) == 1 and fields[0] != "models" else None


def _changes(before: MergeSetup, after: MergeSetup) -> Iterator[tuple[str, str]]:
    """(field, name) of each change, one that causes others first."""
    if before.method != after.method:
        yield "method", "method"
    yield from _model_changes(before.models, after.models)
    if before.base != after.base:
        yield "base", "base"
    typed = {
        name for name in {*before.unread, *after.unread} if before.unread.get(name) != after.unread.get(name)
    }
    for name in dict.fromkeys([*before.parameters, *after.parameters, *sorted(typed - _NAMES.keys())]):
        if before.parameters.get(name) != after.parameters.get(name) or name in typed:
            yield name, _parameter_name(after.method, name)
    for field, name in _NAMES.items():
        if getattr(before, field) != getattr(after, field) or field in typed:
            yield field, name


def _model_changes(
    before: tuple[ModelChoice, ...], after: tuple[ModelChoice, ...]
) -> Iterator[tuple[str, str]]:
    was, now = [choice.folder for choice in before], [choice.folder for choice in after]
    added = [folder for folder in now if folder not in was]
    removed = [folder for folder in was if folder not in now]
    if added and removed:
        yield "models", "sub-models"
    elif added or removed:
        verb, folders = ("add", added) if added else ("remove", removed)
        yield (
            "models",
            f"{verb} {folders[0].name if len(folders) == 1 else plural(len(folders), 'sub-model')}",
        )
    elif was != now:
        yield "models", "order of the sub-models"
    else:
        for old, new in zip(before, after, strict=True):
            if (old.weight, old.unread) != (new.weight, new.unread):
                yield f"weight of {new.folder}", f"weight of {new.folder.name}"
            if old.enabled != new.enabled:
                verb = "take" if new.enabled else "leave out"
                yield "models", f"{verb} {new.folder.name}"


def _parameter_name(method: str, name: str) -> str:
    """What the parameter is called within a sentence."""
    spec = METHODS[method].parameter(name)
    return within_sentence(parameter_title(spec) if spec is not None else name)
