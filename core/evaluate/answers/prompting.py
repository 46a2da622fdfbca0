"""What a person asks, as the tokens that a model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import CheckpointError, MergeError

__all__ = ["Prompt", "encode_prompt", "has_chat_template"]


@dataclass(frozen=True)
class Prompt:
    """What a model reads before it answers.

    Attributes:
        ids: its tokens, one at least.
        text: what they were made of, markers of turns included.
        notes: sentences on what was done otherwise than asked.
    """

    ids: tuple[int, ...]
    text: str
    notes: tuple[str, ...] = ()


def has_chat_template(tokenizer: Any) -> bool:
    """Whether the model says how turns of a conversation are marked."""
    return bool(getattr(tokenizer, "chat_template", None))


def encode_prompt(tokenizer: Any, prompt: str, *, system: str = "", chat: bool = True) -> Prompt:
    """`prompt` as the model was trained to read it.

    With `chat`, it is the user's turn in the model's own chat template, which ends where the answer begins.
    Without it, or without a template, the tokens are those of the text itself, after the system prompt and
    an empty line where there is one; a token that ends a text is taken off its end.

    Args:
        tokenizer: of transformers.
        prompt: may be empty where the model has a token that begins a text.
        system: the system prompt; "" for none. Where a template has no place for one it goes before the
            prompt, and that is said.
        chat: whether the chat template is used.

    Raises:
        MergeError: there is nothing to begin with, or the template cannot be used.
    """
    if chat and has_chat_template(tokenizer):
        text, notes = _rendered(tokenizer, prompt, system)
        ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    else:
        text = _joined(system, prompt)
        notes = ["it has no chat template: the prompt is given as it is"] if chat else []
        ids = list(tokenizer(text)["input_ids"])
        if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
            ids.pop()  # BERT's and T5's put it there, and nothing comes after it
    if not ids and tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id]
    if not ids:
        raise MergeError(
            "the prompt is empty", hint="write something for the model to answer or to go on with"
        )
    return Prompt(tuple(ids), text, tuple(notes))


def _rendered(tokenizer: Any, prompt: str, system: str) -> tuple[str, list[str]]:
    user = {"role": "user", "content": prompt}
    if not system:
        return _render(tokenizer, [user]), []
    try:
        text = _render(tokenizer, [{"role": "system", "content": system}, user])
    except CheckpointError:
        text = ""  # Gemma's and others refuse that role; some leave it out in silence
    if system.strip() in text:
        return text, []
    text = _render(tokenizer, [{"role": "user", "content": _joined(system, prompt)}])
    return text, ["its chat template has no system prompt: it is put before the prompt"]


def _render(tokenizer: Any, turns: list[dict[str, str]]) -> str:
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # Jinja's, and whatever the template's own lines come upon
        raise CheckpointError(
            f"its chat template cannot be used: {error}", hint="try it without (--no-chat)"
        ) from error
    return text


def _joined(system: str, prompt: str) -> str:
    return f"{system}\n\n{prompt}" if system else prompt
