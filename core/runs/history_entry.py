"""One run in the history: what was asked for, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from core.checkpoint.model import model_names
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.writing import folders_of, recipe_as_dict
from core.run.record import RunRecord

__all__ = ["MOST_NOTE", "HistoryEntry"]

MOST_NOTE = 4_000
"""Characters of a note. Far fewer than an entry may have: a note never makes one unreadable."""


@dataclass(frozen=True)
class HistoryEntry:
    """One run: what was asked for, and what came of it.

    Attributes:
        id: unique; the name of its file without the suffix.
        date: when it began, UTC, as ISO 8601 writes it.
        method, title: the merge method's name in recipes, and for people.
        models: the names of the sub-models. [K]
        k: how many there are.
        draws: whether the method does, so that the seed means something.
        n: resamples; None where the method does not draw again, and where rules give the tensors different
            ones.
        seed: of the draws.
        out: the output folder, absolute.
        device: what was asked to do the arithmetic; what did it, once it is done.
        recipe_data: as `core.recipe.recipe.recipe_as_dict` writes it, with absolute paths.
        host, pid: where it ran, to tell a run that goes on from one that a crash cut off.
        status: "running", "done", "cancelled", "failed", or "interrupted" for a run whose process is
            no more.
        message: why it failed; "" for any other.
        seconds: from its beginning to its end, 0 while it runs; without `before_s` where it is done.
        bytes_read, bytes_written: of weights, 0 before it is done.
        before_s: seconds of the merges that had to come before; 0 where it is not done.
        n_differs: whether rules give the tensors different n.
        warnings: what it warned of, as the record says it; none before it is done.
        note: what whoever uses it wrote down beside it; at most MOST_NOTE characters.
    """

    id: str
    date: str
    method: str
    title: str
    models: tuple[str, ...]
    k: int
    draws: bool
    n: int | None
    seed: int
    out: Path
    device: str
    recipe_data: Mapping[str, Any]
    host: str
    pid: int
    status: str = "running"
    message: str = ""
    seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    before_s: float = 0.0
    n_differs: bool = False
    warnings: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def begin(cls, recipe: Recipe, out: str | Path, device: str = "auto") -> HistoryEntry:
        """The entry of a run of `recipe` into `out` that begins now, in this process."""
        now = datetime.now(UTC)
        draws = recipe.method.draws
        sub_models = [entry.path for entry in recipe.models]
        return cls(
            id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
            date=now.isoformat(timespec="milliseconds"),
            method=recipe.method.name,
            title=recipe.method.title,
            models=tuple(model_names(sub_models)),
            k=len(sub_models),
            draws=recipe.draws,
            n=recipe.resamples,
            seed=recipe.seed,
            out=Path(out).expanduser().absolute(),
            device=device,
            recipe_data=recipe_as_dict(recipe, {path: str(path.absolute()) for path in folders_of(recipe)}),
            host=platform.node(),
            pid=os.getpid(),
            n_differs=draws is not None and draws.resamples in recipe.ruled,
        )

    # -- how it ends

    def done(self, record: RunRecord, before_s: float = 0.0) -> HistoryEntry:
        """The same run, finished as `record` says, after so many seconds of merges that came before."""
        return replace(
            self,
            status="done",
            device=record.device,
            seconds=record.seconds,
            bytes_read=record.bytes_read,
            bytes_written=record.bytes_written,
            before_s=round(before_s, 3),
            warnings=record.warnings,
        )

    def cancelled(self) -> HistoryEntry:
        """The same run, stopped by the user now."""
        return replace(self, status="cancelled", seconds=self._seconds_so_far())

    def failed(self, message: str) -> HistoryEntry:
        """The same run, failed now; `message` says why."""
        return replace(self, status="failed", message=message, seconds=self._seconds_so_far())

    # -- what it says

    @property
    def all_seconds(self) -> float:
        """Of all merges together; 0 while it runs."""
        return self.before_s + self.seconds

    def wrote(self, record: RunRecord) -> bool:
        """Whether `record` is that of this run, and not of a later one into the same folder."""
        ours = self.seconds, self.bytes_read, self.bytes_written
        theirs = record.seconds, record.bytes_read, record.bytes_written
        return ours == theirs and _choices(self.recipe_data) == _choices(record.recipe)

    def recipe(self) -> Recipe:
        """The recipe, to be opened again. Raises RecipeError where this version cannot read it."""
        return parse_recipe(dict(self.recipe_data), Path.cwd())

    @cached_property
    def when(self) -> datetime:
        """`date` as a value."""
        return datetime.fromisoformat(self.date)

    @cached_property
    def local_date(self) -> str:
        """ "2025-01-31 14:03", in local time."""
        return f"{self.when.astimezone():%Y-%m-%d %H:%M}"

    def matches(self, text: str) -> bool:
        """Whether every word of `text` stands in what was asked for (the method and its parameters, rules,
        the models, the base, types, the seed), the output folder, the device, the local date, the status, the
        note, or what it warned of or failed for."""
        return all(word in self._searched for word in text.casefold().split())

    @cached_property
    def _searched(self) -> str:
        words = [self.method, self.title, *self.models, f"k = {self.k}", self.out, self.local_date]
        words += [
            self.status,
            self.device,
            self.message,
            self.note,
            *self.warnings,
            *_said_in(self.recipe_data),
        ]
        if self.draws:
            words.append(f"seed = {self.seed}" if self.n is None else f"n = {self.n}, seed = {self.seed}")
        if self.warnings:
            words.append("warned")
        if self._has_rules:
            words.append("rules")
        return "\n".join(map(str, words)).casefold()

    @property
    def _has_rules(self) -> bool:
        """Whether a parameter has a gradient or conditions."""
        models = self.recipe_data.get("models")
        of_models = models if isinstance(models, list | tuple) else ()
        given = [one.get("parameters") for one in (self.recipe_data, *of_models) if isinstance(one, Mapping)]
        settings = (value for one in given if isinstance(one, Mapping) for value in one.values())
        return self.n_differs or any(isinstance(value, list | tuple) for value in settings)

    def _seconds_so_far(self) -> float:
        return round(max(0.0, (datetime.now(UTC) - self.when).total_seconds()), 3)


def _choices(recipe: Mapping[str, Any]) -> str:
    """What a recipe says but for the folders."""
    return json.dumps(_without_folders(recipe), sort_keys=True)


def _without_folders(said: Any) -> Any:
    if isinstance(said, Mapping):
        return {
            key: _without_folders(value)
            for key, value in said.items()
            if key not in ("model", "base_model", "tokenizer_source")
        }
    return [_without_folders(one) for one in said] if isinstance(said, list | tuple) else said


def _said_in(recipe: Any, *, names: bool = False) -> Iterator[str]:
    """Every value in a recipe, and the names of its parameters, for a search."""
    if isinstance(recipe, Mapping):
        for key, value in recipe.items():
            if names:
                yield str(key)
            yield from _said_in(value, names=names or key == "parameters")
    elif isinstance(recipe, list | tuple):
        for value in recipe:
            yield from _said_in(value, names=names)
    else:
        yield str(recipe)
