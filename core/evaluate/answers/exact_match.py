"""Exact match: what a model answers by itself, to be compared with the response that the data have."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.data.encoding import Encoded, Sample
from core.data.row import Row
from core.data.rows import DataSet
from core.errors import DataError, MergeError
from core.evaluate.answers.greedy import end_tokens, greedy
from core.evaluate.models.loading import LoadedModel
from core.pretrained.quiet import is_of_memory, quiet, transformers_errors

__all__ = ["check_has_answers", "expected_answer", "generate_answers"]

_log = logging.getLogger(__name__)


def expected_answer(row: Row) -> str | None:
    """The answer that the data have: the response, or the last turn of the assistant; None where there is
    none."""
    if row.messages:
        turns = [turn["content"] for turn in row.messages if turn["role"] == "assistant"]
        return turns[-1] if turns else None
    return row.response or None


def check_has_answers(data: DataSet) -> None:
    """Raises DataError: the rows are of a kind that has no answers, or one has none."""
    if data.kind not in ("prompt", "chat"):
        has = {"label": "texts with labels"}.get(data.kind, "texts")
        raise DataError(
            f"{data.path} has {has}, and exact match compares answers",
            hint="give each row a prompt and a response, or messages; or leave exact match out",
            path=data.path,
            field="exact_match",
        )
    for row in data.rows:
        if not (expected_answer(row) or "").strip():
            raise DataError(
                f"{data.path}: line {row.line} has no answer to compare with",
                hint="write one, or leave the row out",
                path=data.path,
                field="exact_match",
            )


def generate_answers(
    loaded: LoadedModel,
    encoded: Encoded,
    *,
    max_new_tokens: int,
    batch_tokens: int,
    known: Mapping[int, str] | None = None,
    on_answers: Callable[[Mapping[int, str]], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    cancel: CancelToken | None = None,
) -> dict[int, str]:
    """What a causal language model says after each prompt, by the number of the row.

    Decoding is greedy, as core.evaluate.answers.greedy says, until the model ends its answer (by one of the
    end tokens of its generation config, or the tokenizer's) or has written `max_new_tokens`. The prompt is
    what comes before the last run of scored tokens of a row, so that a conversation gets the answer to its
    last turn and the template's own beginning of it.
    Prompts are batched by length, padded on the left and masked there; a batch's size changes what is said
    only where two tokens are as likely as one another within rounding.

    A prompt that leaves no room for so many tokens loses its beginning, and that is said.

    Args:
        loaded: the model.
        encoded: the rows as its tokens.
        max_new_tokens: of one answer.
        batch_tokens: the most tokens of a batch, answers and padding among them.
        known: answers of rows that are not to be asked again.
        on_answers: told of each batch, by row.
        on_note: told that batches were made smaller.
        cancel: looked at before each token.

    Returns:
        All of them, the known among them.

    Raises:
        MergeError: there is not enough memory for one prompt, or the model takes no prompt beside so many
            tokens.
        Cancelled: after `cancel`.
    """
    answers = dict(known or {})
    prompts = {sample.row: prompt_of(sample) for sample in encoded.samples}
    if loaded.max_length is not None:
        _make_room(loaded, prompts, loaded.max_length - max_new_tokens, on_note)
    left = sorted((row for row in prompts if row not in answers), key=lambda row: (-len(prompts[row]), row))
    most = batch_tokens
    while left:
        longest = len(prompts[left[0]]) + max_new_tokens
        batch = left[: max(1, most // longest)]
        try:
            with transformers_errors(f"{loaded.name} cannot generate answers"):
                said = _said(loaded, [prompts[row] for row in batch], max_new_tokens, cancel)
        except MergeError as error:
            if error.__cause__ is None or not is_of_memory(error.__cause__) or len(batch) == 1:
                raise
            most = max(1, longest * (len(batch) // 2))
            if on_note is not None:
                on_note(
                    f"{loaded.name}: memory lacks for {len(batch)} answers at once: {len(batch) // 2} now"
                )
            continue
        del left[: len(batch)]
        found = dict(zip(batch, said, strict=True))
        answers |= found
        if on_answers is not None:
            on_answers(found)
    return answers


def _make_room(
    loaded: LoadedModel,
    prompts: dict[int, NDArray[np.int32]],
    room: int,
    on_note: Callable[[str], None] | None,
) -> None:
    """Cut prompts of more than `room` tokens."""
    if room < 1:
        raise MergeError(
            f"{loaded.name} takes {loaded.max_length} tokens at once, so that an answer of as many leaves "
            "no room for its prompt",
            hint="choose fewer (--max-new-tokens)",
            field="max_new_tokens",
        )
    long = [row for row, prompt in prompts.items() if len(prompt) > room]
    for row in long:
        prompts[row] = prompts[row][-room:]
    if long and on_note is not None:
        which = "1 prompt loses its" if len(long) == 1 else f"{len(long)} prompts lose their"
        on_note(f"{loaded.name}: {which} beginning, so that an answer has room behind")


def prompt_of(sample: Sample) -> NDArray[np.int32]:
    """What comes before the last run of scored tokens; never nothing. [P]"""
    scored = np.flatnonzero(sample.scored)
    if not len(scored):
        return sample.ids
    breaks = np.flatnonzero(np.diff(scored) > 1)
    first = int(scored[breaks[-1] + 1]) if len(breaks) else int(scored[0])
    return sample.ids[: max(1, first)]


def _said(
    loaded: LoadedModel, prompts: Sequence[NDArray[np.int32]], most: int, cancel: CancelToken | None
) -> list[str]:
    """The answers of one batch."""
    import torch
    import transformers

    class _Cancelled(transformers.StoppingCriteria):  # type: ignore[misc]
        def __call__(self, ids: Any, scores: Any, **beside: Any) -> Any:
            if cancel is not None:
                cancel.raise_if_cancelled("evaluation")
            return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    model, tokenizer = loaded.model, loaded.tokenizer
    width = max(map(len, prompts))
    with greedy(model, tokenizer, most) as config, quiet(), torch.inference_mode():
        ids = torch.full((len(prompts), width), config.pad_token_id, dtype=torch.int64)
        mask = torch.zeros((len(prompts), width), dtype=torch.int64)
        for number, prompt in enumerate(prompts):
            ids[number, width - len(prompt) :] = torch.from_numpy(prompt.astype(np.int64))
            mask[number, width - len(prompt) :] = 1
        made = model.generate(
            ids.to(loaded.device),
            attention_mask=mask.to(loaded.device),
            stopping_criteria=transformers.StoppingCriteriaList([_Cancelled()]),
        )
    ends = end_tokens(model, tokenizer)
    return [_text(tokenizer, row, ends) for row in made[:, width:].tolist()]


def _text(tokenizer: Any, ids: Sequence[int], ends: Sequence[int]) -> str:
    end = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return str(tokenizer.decode(list(ids[:end]), skip_special_tokens=True))
