"""Rows as tokens: what a model reads, and which of it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.data.chat import Turns, chat_turns
from core.data.labels import class_numbers
from core.data.lines import rows_text
from core.data.row import Row
from core.data.rows import DataSet
from core.errors import DataError
from core.progress import Share, ShareCallback

__all__ = ["Encoded", "Sample", "encode"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One sequence that a model reads.

    Attributes:
        row: its number in `DataSet.rows`. Several samples of one row are its windows, or turns of a
            conversation that is read in parts, in order.
        ids: [T] tokens.
        scored: [T] whether a token counts, predicted from those before it; the first never does.
        label: the number of its class; None for language models.
        text_bytes: UTF-8 bytes of the text that counts, as the user wrote it: without what a chat template
            puts around it.
        uncounted_bytes: of the text before that, which the model reads and which does not count: the first
            token of a text where the tokenizer puts none before it.
    """

    row: int
    ids: NDArray[np.int32]
    scored: NDArray[np.bool_]
    label: int | None
    text_bytes: int
    uncounted_bytes: int = 0


@dataclass(frozen=True)
class Encoded:
    """A data set as tokens.

    Attributes:
        samples: in the order of the rows.
        notes: sentences on what was cut, and on rows of which nothing counts.
        max_length: the most tokens of a sample.
    """

    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    max_length: int


def encode(
    data: DataSet,
    tokenizer: Any,
    *,
    max_length: int,
    task: str,
    labels: Sequence[str] | None = None,
    chat_prompts: bool = True,
    end: bool = False,
    job: str = "evaluation",
    cancel: CancelToken | None = None,
    progress: ShareCallback | None = None,
) -> Encoded:
    """The rows of `data` as tokens of `tokenizer`.

    For language models, by the kind of the data:

    - Texts, plain passages: every token counts but the first; where the tokenizer puts tokens before a text
      (as `<s>`), they come first, and every token of the text counts. What is longer than `max_length` is cut
      into windows, each with the tokens before it, one token of context, and new ones: every token counts
      once. The windows are those of lm-evaluation-harness (get_rolling_token_windows, context_len=1).
      Deviation: every window begins with the tokenizer's tokens, without which some models fail.
    - Conversations: through the chat template; the tokens of all the assistant's turns count, with what the
      template closes a turn with. See core.data.chat.
    - Prompts and responses: as a conversation of two turns, where the tokenizer has a chat template and
      `chat_prompts`. Otherwise the tokens of both are joined: each is tokenized by itself, so that no token
      straddles them, as they are where a model answers the prompt. The response's tokens count.

    A prompt and an answer that are too long together are cut: the prompt from the left (but for the
    tokenizer's first token), but to no less than half of `max_length` if the answer needs the other half, and
    then the answer from the right. A conversation that is too long is read once for each turn of the
    assistant. Classifiers read a text, cut from the right, with the tokenizer's tokens around it.

    Args:
        data: of any kind that fits the task.
        tokenizer: of transformers.
        max_length: the most tokens that the model takes.
        task: "causal" or "classifier".
        labels: a classifier's names of its classes, in their order. A label of the data is one of them,
            whatever its case, or else the number of one.
        chat_prompts: see above.
        end: whether the token that ends a text is put behind responses and texts without a template, and
            counts, as it should when a model is trained on them.
        job: what the tokens are for, in the sentence that says it was cancelled.
        cancel: looked at before each row.
        progress: told of each row before it is looked at, as a share of all of them.

    Raises:
        DataError: the data do not fit the task or the tokenizer.
        Cancelled: after `cancel`.
    """
    work = _Encoding(data, tokenizer, max_length, task, labels or (), chat_prompts, end)
    samples: list[Sample] = []
    for number, row in enumerate(data.rows):
        if cancel is not None:
            cancel.raise_if_cancelled(job)
        if progress is not None:
            progress(Share(number / len(data.rows), f"making tokens of line {row.line:,}"))
        samples += work.samples(number, row)
    return Encoded(tuple(samples), work.notes(samples), max_length)


class _Encoding:
    """Turns one row after the other into samples, and remembers which had to be cut."""

    def __init__(
        self,
        data: DataSet,
        tokenizer: Any,
        max_length: int,
        task: str,
        labels: Sequence[str],
        chat_prompts: bool,
        end: bool,
    ) -> None:
        self._data, self._tokenizer, self._task = data, tokenizer, task
        has_template = bool(getattr(tokenizer, "chat_template", None))
        self._is_chat = data.kind == "chat" or (data.kind == "prompt" and chat_prompts and has_template)
        self._cut_prompts: list[int] = []
        self._cut_answers: list[int] = []
        self._numbers: Mapping[str, int] = {}
        self._before: list[int] = []
        self._end: list[int] = []
        if task == "classifier":
            if data.kind != "label":
                raise self._refusal(
                    "its rows have no label, which a classifier needs",
                    "add a field `label`, or name a language model",
                )
            self._numbers = class_numbers(data, labels)
        else:
            if data.kind == "label":
                raise self._refusal(
                    "its rows have labels, which a classifier needs, and not a language model",
                    "name a classifier, or leave out the field `label` to take the texts alone",
                )
            if data.kind == "chat" and not has_template:
                raise self._refusal(
                    "its rows are conversations, and the model has no chat template",
                    "copy the chat_template.jinja of the model that it was made from into its folder",
                )
            self._before = _tokens_before(tokenizer)
            if end and tokenizer.eos_token_id is not None:
                self._end = [int(tokenizer.eos_token_id)]
        # Room for the tokens before, one of context, and one that counts.
        self._most = max_length
        if task == "causal" and max_length < len(self._before) + 2:
            raise self._refusal(
                f"{max_length} tokens are too few for a sample", f"allow at least {len(self._before) + 2}"
            )

    def _refusal(self, what: str, hint: str) -> DataError:
        return DataError(f"{self._data.path}: {what}", hint=hint, path=self._data.path, field="data")

    def samples(self, number: int, row: Row) -> list[Sample]:
        if self._task == "classifier":
            return [self._classified(number, row)]
        if self._is_chat:
            turns = row.messages or (
                {"role": "user", "content": row.prompt},
                {"role": "assistant", "content": row.response},
            )
            return self._of_turns(number, chat_turns(self._data, row.line, turns, self._tokenizer))
        if self._data.kind == "prompt":
            before = [*self._before, *self._ids(row.prompt)]
            after = [*self._ids(row.response), *self._end]
            return [self._answered(number, before, after, row.line, len(row.response.encode()))]
        return self._windows(number, row.text)

    def notes(self, samples: Sequence[Sample]) -> tuple[str, ...]:
        found = []
        fit = f"to fit into {self._most} tokens"
        if self._cut_prompts:
            found.append(f"the prompt of {rows_text(self._cut_prompts)} is cut from the left, {fit}")
        if self._cut_answers:
            which = "answer" if self._data.kind in ("prompt", "chat") else "text"
            rest = ": the rest does not count" if self._task == "causal" else ""
            found.append(f"the {which} of {rows_text(self._cut_answers)} is cut, {fit}{rest}")
        if self._task == "causal":
            counts = np.zeros(len(self._data.rows), bool)
            for sample in samples:
                counts[sample.row] |= bool(sample.scored.any())
            silent = [self._data.rows[number].line for number in np.flatnonzero(~counts)]
            if silent:
                found.append(f"nothing of {rows_text(silent)} counts: it is a single token")
        return tuple(found)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _classified(self, number: int, row: Row) -> Sample:
        whole = self._tokenizer(row.text, verbose=False)["input_ids"]
        if len(whole) > self._most:
            self._cut_answers.append(row.line)
            whole = self._tokenizer(row.text, truncation=True, max_length=self._most)["input_ids"]
        ids = np.asarray(whole, np.int32)
        label = self._numbers[row.label or ""]
        return Sample(number, ids, np.zeros(len(ids), bool), label, len(row.text.encode()))

    def _windows(self, number: int, text: str) -> list[Sample]:
        """The whole text, or windows of it."""
        before = np.asarray(self._before, np.int32)
        ids = np.asarray([*self._ids(text), *self._end], np.int32)
        uncounted = 0 if len(before) else self._bytes_of_first(text, ids)
        text_bytes = len(text.encode()) - uncounted
        if len(before) + len(ids) <= self._most:
            whole = np.concatenate([before, ids])
            scored = np.arange(len(whole)) >= max(1, len(before))
            return [Sample(number, whole, scored, None, text_bytes, uncounted)]
        samples = []
        # The first window has no context: what it reads counts but for the first token, or all of it.
        stop = self._most - len(before)
        scored = np.arange(self._most) >= max(1, len(before))
        first = np.concatenate([before, ids[:stop]])
        samples.append(Sample(number, first, scored, None, text_bytes, uncounted))
        new = self._most - len(before) - 1
        while stop < len(ids):
            part = np.concatenate([before, ids[stop - 1 : stop + new]])
            samples.append(Sample(number, part, np.arange(len(part)) > len(before), None, 0))
            stop += new
        return samples

    def _bytes_of_first(self, text: str, ids: NDArray[np.int32]) -> int:
        """UTF-8 bytes of the first token's text, which does not count."""
        if not len(ids):
            return 0
        return min(len(self._tokenizer.decode([int(ids[0])]).encode()), len(text.encode()))

    def _of_turns(self, number: int, turns: Turns) -> list[Sample]:
        """A conversation: in one sample, or one for each of the assistant's turns."""
        line = self._data.rows[number].line
        if turns.whole is not None and len(turns.whole) <= self._most:
            # What comes behind the last of them changes nothing.
            last = max((turn.start + len(turn.after) for turn in turns.answers), default=0)
            ids = np.asarray(turns.whole[:last], np.int32)
            scored = np.zeros(len(ids), bool)
            for turn in turns.answers:
                scored[turn.start : turn.start + len(turn.after)] = True
            scored[:1] = False
            return [Sample(number, ids, scored, None, sum(turn.text_bytes for turn in turns.answers))]
        return [
            self._answered(number, turn.before, turn.after, line, turn.text_bytes) for turn in turns.answers
        ]

    def _answered(
        self, number: int, before: Sequence[int], after: Sequence[int], line: int, text_bytes: int
    ) -> Sample:
        """A prompt and its answer, cut where they are too long."""
        most = self._most
        if len(before) + len(after) > most:
            for_after = max(most - len(before), most // 2)
            if len(after) > for_after:
                self._cut_answers.append(line)
                after = after[:for_after]
                text = self._tokenizer.decode(list(after), skip_special_tokens=True)
                text_bytes = min(text_bytes, len(text.encode()))
            room = most - len(after)
            if len(before) > room:
                self._cut_prompts.append(line)
                first = len(self._before) or int(before[0] == self._tokenizer.bos_token_id)
                first = min(first, room - 1)
                before = [*before[:first], *before[len(before) - (room - first) :]]
        ids = np.asarray([*before, *after], np.int32)
        scored = np.arange(len(ids)) >= max(1, len(before))
        return Sample(number, ids, scored, None, text_bytes)


def _tokens_before(tokenizer: Any) -> list[int]:
    """What a tokenizer puts before a text, as `<s>`; what it puts behind one is none of it."""
    bare = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    whole = tokenizer("a", verbose=False)["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return list(whole[:start])
    return []
