"""Tokens as text while they come: never half a character."""

from __future__ import annotations

from typing import Any

__all__ = ["TextStream"]

_HALF = "\ufffd"
"""What tokenizers write for bytes that are no character, or not yet one."""

_MOST_BYTES = 4
"""Of one character in UTF-8."""

_MOST_WAITING = 64
"""Tokens that are decoded anew for each one that is no character."""


class TextStream:
    """Turns tokens into text, one after the other; the pieces joined are what decoding all at once gives.

    A tokenizer whose tokens are bytes may split a character between two: such a token waits for the next
    ones. How a token is written depends on those before it (spaces between words), so each is decoded with
    the ones of the piece before it and the difference is what is new, as servers of language models do
    (text-generation-inference, vLLM). Deviation: bytes that never become a character wait for three more
    tokens only, not for as long as such ones follow.

    Special tokens are left out. Spaces before punctuation stay: a tokenizer that takes them out again
    (`clean_up_tokenization_spaces`) would change what has been shown.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Args: tokenizer: of transformers."""
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._before = 0  # where the piece begins that was shown last
        self._shown = 0  # where what is not shown yet begins

    def add(self, token: int) -> str:
        """What can be shown once `token` is there; "" where it has to wait."""
        self._ids.append(token)
        text = self._new(len(self._ids))
        if not text.endswith(_HALF):
            return self._take(len(self._ids), text) if text else ""
        if len(self._ids) - self._shown < _MOST_BYTES:
            return ""
        # The first that waits got three bytes more at least, and so is as whole as it will be. How many signs
        # stand for such bytes depends on those before them.
        end = self._shown + 1
        text, before = self._new(end), self._before
        self._take(end, text)
        if end - before <= _MOST_WAITING:
            self._before = before
        return text

    def end(self) -> str:
        """What still waits, as it is."""
        end = len(self._ids)
        return self._take(end, self._new(end))

    def _new(self, end: int) -> str:
        """What the tokens up to `end` add to what is shown."""
        shown = self._decoded(self._ids[self._before : self._shown])
        return self._decoded(self._ids[self._before : end])[len(shown) :]

    def _take(self, end: int, text: str) -> str:
        self._before, self._shown = self._shown, end
        return text

    def _decoded(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text
