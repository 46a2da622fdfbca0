"""Conversations through a chat template, and which of their tokens are the assistant's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.data.rows import DataSet
from core.errors import DataError
from core.text import message_text

__all__ = ["AssistantTurn", "Turns", "chat_turns"]

_GENERATION = re.compile(r"\{%-?\s*generation\b")
"""A template that marks the assistant's turns itself."""


@dataclass(frozen=True)
class AssistantTurn:
    """One turn of the assistant.

    Attributes:
        before: tokens of the conversation up to it, as the model has read it when it answers.
        after: its own tokens.
        start: where they begin in `Turns.whole`.
        text_bytes: UTF-8 bytes of what it says.
    """

    before: Sequence[int]
    after: Sequence[int]
    start: int
    text_bytes: int


@dataclass(frozen=True)
class Turns:
    """A conversation as tokens.

    Attributes:
        whole: all of it; None where the template writes earlier turns otherwise than when they were
            answered, as those do that drop an earlier turn's reasoning.
        answers: the turns of the assistant, in order.
    """

    whole: Sequence[int] | None
    answers: tuple[AssistantTurn, ...]


def chat_turns(data: DataSet, line: int, messages: Sequence[Mapping[str, str]], tokenizer: Any) -> Turns:
    """The tokens of a conversation.

    Where the template marks the assistant's turns by {% generation %}, they are what it marks. Otherwise the
    conversation is rendered up to each of these turns, with the words that ask for an answer, and to its end:
    the answer is what is added, with what closes the turn. A token that begins in those words and ends in the
    answer is the answer's. Where a template asks for an answer in more words than it writes before one that
    was given (as `<think>`), an answer begins where the two part.

    Raises:
        DataError: the template refuses the conversation, or it writes a turn so that nothing of this can be
            told.
    """
    rendering = _Rendering(data, line, list(messages), tokenizer)
    if _GENERATION.search(_template_text(tokenizer)):
        found = rendering.marked()
        if found is not None:
            return found
    return rendering.by_prefixes()


class _Rendering:
    def __init__(self, data: DataSet, line: int, messages: list[Mapping[str, str]], tokenizer: Any) -> None:
        self._data, self._line, self._messages, self._tokenizer = data, line, messages, tokenizer

    def marked(self) -> Turns | None:
        """By the template's own marks; None where it marked nothing."""
        if not getattr(self._tokenizer, "is_fast", False):
            return None
        found = self._call(self._messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        ids, mask = list(found["input_ids"]), list(found["assistant_masks"])
        starts = [t for t, marked in enumerate(mask) if marked and (t == 0 or not mask[t - 1])]
        spoken = [turn["content"] for turn in self._messages if turn["role"] == "assistant"]
        if not starts:
            return None
        if len(starts) < len(spoken):  # a template may mark an empty turn, by what closes it, or not
            spoken = [text for text in spoken if text]
        answers = []
        for number, start in enumerate(starts):
            stop = start
            while stop < len(mask) and mask[stop]:
                stop += 1
            # Two turns that follow one another are one run of marks, which has the bytes of both.
            said = spoken[number:] if number == len(starts) - 1 else spoken[number : number + 1]
            answers.append(
                AssistantTurn(ids[:start], ids[start:stop], start, sum(len(s.encode()) for s in said))
            )
        return Turns(ids, tuple(answers))

    def by_prefixes(self) -> Turns:
        whole = self._render(self._messages)
        spans: list[tuple[str, int, int]] = []
        for number, turn in enumerate(self._messages):
            if turn["role"] == "assistant" and turn["content"]:
                text = self._render(self._messages[: number + 1])
                spans.append((text, self._begins(number, text), len(turn["content"].encode())))
        if all(whole.startswith(text) for text, _, _ in spans):
            ids, places = self._tokens(whole, [at for text, begins, _ in spans for at in (begins, len(text))])
            answers = [
                AssistantTurn(ids[:start], ids[start:stop], start, text_bytes)
                for (_, _, text_bytes), start, stop in zip(spans, places[::2], places[1::2], strict=True)
            ]
            return Turns(ids, tuple(answers))
        answers = []
        for text, begins, text_bytes in spans:
            ids, (start,) = self._tokens(text, [begins])
            answers.append(AssistantTurn(ids[:start], ids[start:], start, text_bytes))
        return Turns(None, tuple(answers))

    def _begins(self, number: int, text: str) -> int:
        """Where in `text`, the conversation up to a turn of the assistant, that turn begins."""
        before = self._messages[:number]
        if not before:
            return self._of_first(text)
        asked = self._render(before, add_generation_prompt=True)
        plain = self._render(before)
        if len(asked) > len(plain) and asked.startswith(plain):
            if text.startswith(asked):
                return len(asked)
            common = _in_common(asked, text)
            if common > len(plain):
                return common
        elif text.startswith(plain):  # a template that does not ask
            at = text.find(self._messages[number]["content"].strip(), len(plain))
            return at if at >= 0 else len(plain)
        raise self._refusal(
            f"its chat template writes message {number + 1} so that it cannot be told where it begins",
            "use a template whose conversations begin with those that are shorter by a turn",
        )

    def _of_first(self, text: str) -> int:
        at = text.find(self._messages[0]["content"].strip())
        if at < 0:
            raise self._refusal(
                "its chat template changes what the assistant says", "use a template that leaves it as it is"
            )
        return at

    def _tokens(self, text: str, places: Sequence[int]) -> tuple[list[int], list[int]]:
        """The tokens of `text`, and for each of the places in it the first token that ends behind it."""
        if getattr(self._tokenizer, "is_fast", False):
            found = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )
            ends = [end for _, end in found["offset_mapping"]]
            at = [next((n for n, end in enumerate(ends) if end > place), len(ends)) for place in places]
            return list(found["input_ids"]), at
        # Without offsets: the first that is another one where the text ends there.
        ids = self._ids(text)
        return ids, [
            len(ids) if place == len(text) else _in_common(ids, self._ids(text[:place])) for place in places
        ]

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _render(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = False) -> str:
        text: str = self._call(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
        return text

    def _call(self, messages: Sequence[Mapping[str, str]], **options: Any) -> Any:
        try:
            return self._tokenizer.apply_chat_template([dict(turn) for turn in messages], **options)
        except Exception as error:  # what a template raises, and what jinja raises of a template
            said = message_text(
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            )
            raise self._refusal(
                f"the model's chat template refuses the conversation: {said}",
                "change the order or the roles of its turns, or leave it out",
            ) from error

    def _refusal(self, what: str, hint: str) -> DataError:
        return DataError(
            f"{self._data.path}: line {self._line}: {what}", hint=hint, path=self._data.path, field="data"
        )


def _in_common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How long a beginning two texts, or lists of tokens, have in common."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _template_text(tokenizer: Any) -> str:
    template = tokenizer.chat_template
    return template if isinstance(template, str) else str(template)
