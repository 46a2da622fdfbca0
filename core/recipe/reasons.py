"""Every reason why a recipe is refused, in one error: who mends a file wants to know all of them at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from core.errors import CheckpointError, IncompatibleError, MergeError, RecipeError

__all__ = ["MOST", "Reasons", "UnknownKey", "in_one", "reasons_of"]

MOST = 20
"""Of so many it is said what they are; of the others how many there are."""


class UnknownKey(RecipeError):
    """A key that is not understood.

    Attributes:
        key: as a sentence shows it.
    """

    key = ""


class Reasons:
    """Errors of several places, noted one after the other.

    Attributes:
        found: those that were noted.
        more: how many there are beside these.
    """

    def __init__(self) -> None:
        self.found: list[MergeError] = []
        self.more = 0

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is raised within, and go on behind it."""
        try:
            yield
        except MergeError as error:
            self.found += reasons_of(error)

    def refuse(self) -> None:
        """Raise what was noted, where there is anything."""
        if self.found:
            raise in_one(self.found, self.more)


def reasons_of(error: MergeError) -> tuple[MergeError, ...]:
    """The errors that `error` was made of, with its address where they have none; for another that itself."""
    for one in error.reasons:
        if one.field is None:
            one.field, one.entry = error.field, error.entry
    return error.reasons or (error,)


def in_one(errors: Sequence[MergeError], more: int = 0) -> MergeError:
    """One error that says all of `errors`, with the address of the first; of a single one that itself."""
    if len(errors) + more == 1:
        return errors[0]
    kinds = (RecipeError, CheckpointError, IncompatibleError)
    kind = next((kind for kind in kinds if all(isinstance(error, kind) for error in errors)), MergeError)
    are_unknown = all(isinstance(one, UnknownKey) or one.field == "merge_method" for one in errors)
    shown, more = errors[:MOST], more + max(len(errors) - MOST, 0)
    said = "; ".join(error.message for error in shown) + (f"; and {more:,} more" if more else "")
    result = kind(
        f"{len(shown) + more:,} things are {'not understood' if are_unknown else 'wrong'}: {said}",
        hint=_hints(shown),
        path=errors[0].path,
        field=errors[0].field,
        entry=errors[0].entry,
    )
    result.reasons = tuple(errors)
    return result


def _hints(errors: Sequence[MergeError]) -> str | None:
    """The hints of all, each once, with the keys that it is about."""
    about: dict[str, dict[str, None]] = {}
    for error in errors:
        if error.hint:
            key = error.key if isinstance(error, UnknownKey) else error.field or ""
            about.setdefault(error.hint, {})[key] = None
    said = [f"{', '.join(filter(None, keys))}: {hint}".removeprefix(": ") for hint, keys in about.items()]
    return "; ".join(said) or None
