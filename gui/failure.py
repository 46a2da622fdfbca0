"""Why something could not be done, for a person."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core import MergeError
from core.text import message_text
from gui.words import layers_text

__all__ = [
    "Failure",
    "sentence",
]

_IN_THE_WINDOW: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (
        r"go on with it \(--resume\), or remove what it left: paramosaic discard .*",
        "press Resume, or Remove what it left",
    ),
    (r"go on with it \(--resume\)", "press Resume"),
    (r"then go on \(--resume\)", "then press Resume"),
    (r"remove what the merge left: paramosaic discard .*", "press Remove what it left"),
    (
        r"ask for the folder to be taken over \(--take-over\)",
        "choose another output folder, or remove that one yourself",
    ),
    (r"try it without \(--no-chat\)", "clear Chat template under Settings"),
    (r"ask for it to be overwritten", "press Overwrite below what is said of it before the merge"),
    (
        r"run `paramosaic verify` on both folders to see which was changed",
        "one of the two folders was changed after it was merged: merge it again",
    ),
    (r"correct them, or have them left out \(--skip-bad-rows\)", "correct them, or tick Skip bad rows"),
    (r"evaluate it on the CPU \(--device cpu\)", "choose cpu under Settings"),
    (r"choose a smaller greatest length \(--max-length\)", "choose a smaller Longest sample under Settings"),
    (r"--max-new-tokens (\d+) lets them", r"Exact match in \1 tokens lets them"),
    (r", unless the recipe says `vocab: union`", ", unless Tokens is Of all models"),
    (r"are united, as `vocab: union` says", "are united"),
    (
        r"for mergekit's result list it under models as well, as `- model: [^`]*` and a weight of its own",
        "for mergekit's result add it to the sub-models, too",
    ),
    (
        r"slices, entry (\d+): layer_range \[(\d+), (\d+)\] of (.+?) is not among its layers: "
        r"it has [\d,]+, so that the last range ends with (\d+)",
        lambda found: _no_such_layers(*found.groups()),
    ),
    (r"the folder that `paramosaic train` wrote", "the output folder of the training"),
    (r"have it trained to the end: the same `paramosaic train` goes on", "go on with the training first"),
    (r" that `paramosaic study` wrote", " of a study"),
    (r"^change --[a-z-]+$", "correct it"),
    (r" \(--[a-z-]+(?: [A-Za-z]+)?\)", ""),  # beside what the words say already
)
"""What the engine says of the command line, and what can be done in the window instead."""

_IN_FIELDS = (
    (
        r"say in the recipe in which type to merge, with dtype: (\w+)",
        r"choose a merge type under Precision and device, such as \1",
    ),
    (r"set nonfinite: pass", "choose Pass through for NaN and infinity under Precision and device"),
    (r"set parameters\.normalize to false", "clear Normalise"),
    (r"leave `missing: error` out(?: of the recipe)?", "press Forget below Output"),
    (r" \((?:or )?`tokenizer: \{source: …\}`(?: says more)?\)", ""),
    (r", or name a model under tokenizer_source", ""),
    (
        r"leave vocab or tokenizer(?:_source)? out",
        "press Forget below Output, or choose As the models for Tokens under Precision and device",
    ),
    (
        r"write `?vocab: union`?(?: into the recipe)?",
        "choose Of all models for Tokens under Precision and device",
    ),
    (r"(models.*), or `vocab: base` to keep", r"\1, or Of the base to keep"),
    (r"write `?vocab: base`?", "choose Of the base for Tokens under Precision and device"),
    (r"another tokenizer_source", "the tokenizer of another model"),
    (r"^add base_model: .*", "choose the base"),
    (r"name the folder of that model as base_model", "choose that model as the base"),
    (r"name the folder of a whole model as base_model", "choose a whole model as the base"),
    (
        r"put it on the model that it was trained on, as base_model or as FOLDER\+ADAPTER",
        "choose the model that it was trained on as the base",
    ),
    (r"^list at least one under models", "add one to the list"),
    (r"^list ([\d,]+) more under models", r"add or tick \1 more"),
    (
        r"(?:write into the recipe|leave the tensor out with) (.+)",
        r"save the recipe, and open it again with this in its file: \1",
    ),
)
"""What the engine says of a recipe's keys, and how fields do the same."""

_COMMAND_LAST = re.compile(r": (?:pip|hf|paramosaic) \S[^,;]*$")
"""A command that a text ends in."""


@dataclass(frozen=True)
class Failure:
    """Why something could not be done, for a person.

    Attributes:
        message: one sentence.
        hint: what to do about it, or None.
        details: a traceback where the fault is the program's own; None otherwise.
        kept: the staging folder from which the merge that failed can go on; None where nothing is left.
        path: the file or folder that it is about; None where it is about none.
    """

    message: str
    hint: str | None = None
    details: str | None = None
    kept: Path | None = None
    path: Path | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What to say about `error`."""
        if isinstance(error, MergeError):
            hint = sentence(error.hint) if error.hint else None
            return cls(sentence(error.message), hint, kept=error.kept, path=error.path)
        return cls(
            "Something went wrong that should not have.",
            "The details help to find the fault.",
            "".join(traceback.format_exception(error)),
        )

    @classmethod
    def of_setup(cls, error: BaseException) -> Failure:
        """What to say about `error`, which is about what the fields of the window say, not about a file."""
        failure = cls.of(error)
        if not isinstance(error, MergeError) or error.hint is None:
            return failure
        return replace(failure, hint=sentence(_replaced(error.hint, _IN_FIELDS)))


def sentence(text: str) -> str:
    """The engine's words as a sentence: a capital where they begin with a word, and a full stop, but for
    after a command, which would be copied with it.

    What they say of the command line is said of the window.
    """
    text = message_text(_replaced(text.strip(), _IN_THE_WINDOW))
    first = text.split(" ", 1)[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) or _COMMAND_LAST.search(text) else f"{text}."


def _replaced(text: str, words: Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]) -> str:
    for before, after in words:
        text = re.sub(before, after, text)
    return text


def _no_such_layers(entry: str, first: str, end: str, model: str, count: str) -> str:
    """As the table of slices writes ranges, the last layer included."""
    taken, there = layers_text(int(first), int(end)), layers_text(0, int(count))
    return f"slice {entry} takes layers {taken} of {model}, which has {there}"
