"""One sample of a data file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Row"]

_WHAT = {
    "chat": "messages",
    "prompt": "a prompt and a response",
    "label": "a text and a label",
    "text": "a text without a label",
}


@dataclass(frozen=True)
class Row:
    """One sample of a data file.

    Attributes:
        line: where it begins in the file, from 1.
        text: of the kinds "text" and "label", and of passages of plain text.
        prompt, response: of the kind "prompt"; such a response is never empty.
        messages: of the kind "chat": mappings with "role" and "content", one at least.
        label: of the kind "label", as text; None for any other.
        group: what it belongs to with others, which are not independent of it; None where the file names
            none.
    """

    line: int
    text: str = ""
    prompt: str = ""
    response: str = ""
    messages: tuple[Mapping[str, str], ...] = ()
    label: str | None = None
    group: str | None = None

    @property
    def kind(self) -> str:
        """ "chat", "prompt", "label" or "text"."""
        if self.messages:
            return "chat"
        if self.prompt or self.response:
            return "prompt"
        return "text" if self.label is None else "label"

    @property
    def what(self) -> str:
        """ "a text and a label"."""
        return _WHAT[self.kind]

    @property
    def characters(self) -> int:
        """Of all its text."""
        turns = sum(len(turn["content"]) for turn in self.messages)
        return len(self.text) + len(self.prompt) + len(self.response) + turns

    @property
    def shown(self) -> str:
        """The whole of it, for people to read."""
        if self.messages:
            return "\n".join(f"{turn['role']}: {turn['content']}" for turn in self.messages)
        return f"{self.prompt}{self.response}" if self.kind == "prompt" else self.text
