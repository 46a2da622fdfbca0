"""One model goes on with a text, token by token."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.cancel import CancelToken
from core.errors import Cancelled, CheckpointError, MergeError
from core.evaluate.answers.detokenising import TextStream
from core.evaluate.answers.greedy import end_tokens, greedy
from core.evaluate.answers.prompting import encode_prompt
from core.pretrained.finite import first_non_finite
from core.pretrained.models import before_each_layer
from core.pretrained.positions import positions_of
from core.pretrained.quiet import is_of_memory, quiet

__all__ = ["MAX_NEW_TOKENS", "GeneratedAnswer", "GenerationRequest", "generate"]

MAX_NEW_TOKENS = 200
"""Unless it is said."""

_SMALL_BYTES = 100_000_000
"""Of weights: one core reads so many in some 10 ms."""

Stopped = Literal["end", "length", "cancelled"]


@dataclass(frozen=True)
class GenerationRequest:
    """What is asked of a model.

    Attributes:
        prompt: what it is to answer, or to go on with.
        system: the system prompt; "" for none.
        chat: whether the model's own chat template is used, where it has one.
        max_new_tokens: the most tokens of the answer, one at least.
        temperature: 0 for the likeliest token each time, else that of the softmax drawn from.
        seed: of the draws, 0 ≤ seed < 2^63; nothing is drawn at temperature 0.
    """

    prompt: str
    system: str = ""
    chat: bool = True
    max_new_tokens: int = MAX_NEW_TOKENS
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class GeneratedAnswer:
    """What a model said.

    Attributes:
        text: without special tokens.
        ids: its tokens, the one that ended it included.
        prompt_tokens: how many it read.
        seconds: from the first token read to the last one written.
        stopped: "end" where the model ended it, "length" where it had no more room, else "cancelled".
        notes: sentences on what was done otherwise than asked.
    """

    text: str
    ids: tuple[int, ...]
    prompt_tokens: int
    seconds: float
    stopped: Stopped
    notes: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        return len(self.ids)


def generate(
    model: Any,
    tokenizer: Any,
    request: GenerationRequest,
    *,
    on_text: Callable[[str], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    cancel: CancelToken | None = None,
) -> GeneratedAnswer:
    """Have a causal language model answer.

    At temperature 0 each token is the likeliest one, as core.evaluate.answers.greedy says and exact match
    has it: of the model's own generation config only the tokens that end an answer hold. At other
    temperatures each token is the argmax of score / temperature − ln E, E exponential variates of a
    torch.Generator with the request's seed on the CPU, which is a draw from the softmax (Gumbel's trick).
    Deviation from transformers' sampling: neither top-k nor top-p, and models with as many tokens get the
    same variates, so that their answers differ by what the models differ in and not by luck alone.

    Args:
        model: of transformers, on its device.
        tokenizer: its own.
        request: what is asked.
        on_text: hears each piece of the answer as it comes; never half a character.
        on_note: hears the notes before the answer begins.
        cancel: looked at between tokens, and between layers while the prompt is read; what was said until
            then is returned.

    Raises:
        CheckpointError: what the model computes is not a number, as where its weights hold NaN.
        MergeError: the prompt does not fit the model, or there is no memory.
    """
    import torch

    prompt = encode_prompt(tokenizer, request.prompt, system=request.system, chat=request.chat)
    notes = list(prompt.notes)
    _refuse_foreign_tokens(model, max(prompt.ids))
    holds = positions_of(model.config, tokenizer)
    most = _room(holds, len(prompt.ids), request.max_new_tokens, notes)
    if on_note is not None:
        for note in notes:
            on_note(note)
    stream = _Listener(TextStream(tokenizer), on_text)
    ids = torch.tensor([prompt.ids], dtype=torch.long, device=model.device)
    began = time.perf_counter()
    try:
        with (
            quiet(),
            torch.inference_mode(),
            greedy(model, tokenizer, most),
            _few_threads(model),
            before_each_layer(model, None if cancel is None else cancel.raise_if_cancelled),
            contextlib.suppress(Cancelled),
        ):
            model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                logits_processor=[_numbers_only(model), *_drawing(request)],
                stopping_criteria=[_stopping(cancel)],
                streamer=stream,
            )
    except RuntimeError as error:
        if not is_of_memory(error):
            raise
        raise MergeError(
            "there is not enough memory to answer", hint="shorten the prompt, or close other programs"
        ) from error
    seconds = time.perf_counter() - began
    stream.say(stream.text.end())
    said = tuple(stream.ids)
    return GeneratedAnswer(
        "".join(stream.pieces),
        said,
        len(prompt.ids),
        seconds,
        _why_stopped(said, end_tokens(model, tokenizer), most, cancel),
        tuple(notes),
    )


class _Listener:
    """What transformers calls a streamer: it is handed the prompt, then token after token."""

    def __init__(self, text: TextStream, on_text: Callable[[str], None] | None) -> None:
        self.text = text
        self.ids: list[int] = []
        self.pieces: list[str] = []
        self._on_text = on_text
        self._prompt_read = False

    def put(self, tokens: Any) -> None:
        if not self._prompt_read:
            self._prompt_read = True
            return
        for token in tokens.reshape(-1).tolist():
            self.ids.append(token)
            self.say(self.text.add(token))

    def end(self) -> None:
        """What still waits is asked for by whoever knows that nothing went wrong."""

    def say(self, piece: str) -> None:
        if piece:
            self.pieces.append(piece)
            if self._on_text is not None:
                self._on_text(piece)


@contextlib.contextmanager
def _few_threads(model: Any) -> Iterator[None]:
    """Has a small model work in one thread: several would wait for each other at every layer of every token,
    ten times as long where other programs want the cores, too."""
    import torch

    before = torch.get_num_threads()
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    torch.set_num_threads(1 if size <= _SMALL_BYTES else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _stopping(cancel: CancelToken | None) -> Any:
    import torch

    def stop(ids: Any, scores: Any, **_: Any) -> Any:
        stopped = cancel is not None and cancel.cancelled
        return torch.full((ids.shape[0],), stopped, dtype=torch.bool, device=ids.device)

    return stop


def _numbers_only(model: Any) -> Any:
    """Refuses to choose among scores that are none: the first token would win each time, and say nothing of
    why."""

    def check(ids: Any, scores: Any) -> Any:
        if not math.isfinite(float(scores.max())):  # NaN, where one is
            raise _no_numbers(model)
        return scores

    return check


def _no_numbers(model: Any) -> CheckpointError:
    found = first_non_finite(model)
    if found is None:
        return CheckpointError(
            "it cannot answer: its weights are finite, and what it computes is not",
            hint="look at the models that it was made from: values of one of them may be far too large",
        )
    return CheckpointError(
        f"it cannot answer: {found.what}",
        hint="take a whole copy of it; a merge with `nonfinite: error` says which of its models has them",
        tensor=found.tensor,
    )


def _drawing(request: GenerationRequest) -> list[Any]:
    if request.temperature <= 0:
        return []
    import torch

    generator = torch.Generator("cpu").manual_seed(request.seed)

    def draw(ids: Any, scores: Any) -> Any:
        variates = torch.empty(scores.shape, dtype=torch.float64).exponential_(generator=generator)
        return scores / request.temperature - variates.log().to(scores.device, scores.dtype)

    return [draw]


def _refuse_foreign_tokens(model: Any, largest: int) -> None:
    """Raises CheckpointError: the tokenizer is another model's."""
    rows = model.get_input_embeddings().weight.shape[0]
    if largest >= rows:
        raise CheckpointError(
            f"its tokenizer has the token {largest:,}, and its embedding {rows:,} rows",
            hint="put the tokenizer into its folder that it was trained with",
        )


def _room(holds: int | None, prompt_tokens: int, asked: int, notes: list[str]) -> int:
    """How many tokens the answer may have. Raises MergeError: none."""
    if holds is None:
        return asked
    if prompt_tokens >= holds:
        raise MergeError(
            f"the prompt has {prompt_tokens:,} tokens, and the model reads {holds:,}",
            hint="shorten the prompt",
        )
    if prompt_tokens + asked > holds:
        notes.append(
            f"it reads {holds:,} tokens: the answer has {holds - prompt_tokens:,} at most, not {asked:,}"
        )
    return min(asked, holds - prompt_tokens)


def _why_stopped(ids: tuple[int, ...], ends: Sequence[int], most: int, cancel: CancelToken | None) -> Stopped:
    if ids and ids[-1] in ends:
        return "end"
    if cancel is not None and cancel.cancelled and len(ids) < most:
        return "cancelled"
    return "length" if len(ids) >= most else "end"
