"""`paramosaic try`: models answer a prompt, and their answers are printed as they come."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.printing import print_error, print_result, say
from core.cli.session import cancellable, json_option, path_type, this_session, to_json, verbose_option
from core.errors import MergeError
from core.text import is_text, message_text, one_line
from core.units import duration_text

if TYPE_CHECKING:
    from core.evaluate.answers.generating import GeneratedAnswer
    from core.evaluate.answers.kept_models import KeptModels

__all__ = ["try_models"]

_MAX_NEW_TOKENS = 200
_NICENESS = 10
_STOPPED = {"end": "to its end", "length": "as many as were asked for", "cancelled": "cancelled"}


@click.argument("models", nargs=-1, metavar="MODEL…")
@click.option("--prompt", help="What the models are asked; read from the standard input unless given.")
@click.option("--system", default="", help="The system prompt.")
@click.option(
    "--max-new-tokens",
    type=click.IntRange(1, 1_000_000),
    default=_MAX_NEW_TOKENS,
    show_default=True,
    help="The most tokens of an answer.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 100),
    default=0.0,
    help="0, as it is unless given, for the likeliest token each time.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of what is drawn; 0 unless given."
)
@click.option("--no-chat", is_flag=True, help="Give the prompt as it is, without the chat template.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--work-folder",
    type=path_type,
    metavar="DIR",
    help="Where recipes and adapters are merged for the time being; beside the history unless given.",
)
@click.option("--serve", is_flag=True, hidden=True)
@json_option
@verbose_option
def try_models(
    models: tuple[str, ...],
    prompt: str | None,
    system: str,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    no_chat: bool,
    device: str,
    work_folder: Path | None,
    serve: bool,
    as_json: bool,
) -> None:
    """Have each MODEL answer a prompt: a folder, BASE+ADAPTER, or a recipe."""
    if serve:
        _serve(device, work_folder)
        return
    if not models:
        raise click.UsageError("Missing argument 'MODEL…'.")
    if prompt is None:
        prompt = _read_prompt()
    for what, text in (("prompt", prompt), ("system prompt", system)):
        if not is_text(text):
            raise MergeError(f"the {what} is not valid text", hint="write it in UTF-8")
    if math.isnan(temperature):
        raise click.UsageError("Invalid value for '--temperature': nan is no number.")
    from core.evaluate.answers.answering import answer_all
    from core.evaluate.answers.generating import GenerationRequest
    from core.evaluate.models.room import check_device

    check_device(device)
    request = GenerationRequest(prompt, system, not no_chat, max_new_tokens, temperature, seed)
    printed = _Printed(models, as_json=as_json)
    with cancellable() as token, _kept_models(device, work_folder) as kept:
        answer_all(models, request, kept, printed, token)
    if as_json:
        print_result(to_json({"prompt": prompt, "system": system, "answers": printed.documents}))
    if printed.failures:
        raise SystemExit(1)


class _Printed:
    """A listener that prints what it hears: answers to stdout, and all else to stderr.

    Attributes:
        documents: what each model said, or why it said nothing, in the order in which they were named.
        failures: how many said nothing.
    """

    def __init__(self, models: Sequence[str], *, as_json: bool) -> None:
        self._models, self._as_json = [one_line(model) for model in models], as_json
        self.documents: list[dict[str, Any]] = [{"model": model, "notes": []} for model in models]
        self.failures = 0

    def loading(self, model: int) -> None:
        say(f"loading {self._models[model]}")

    def loaded(self, model: int, seconds: float) -> None:
        if not self._as_json and len(self._models) > 1:
            print_result(f"── {self._models[model]}")

    def noted(self, model: int, text: str) -> None:
        self.documents[model]["notes"].append(text)
        say(f"note: {self._models[model]}: {message_text(text)}")

    def said(self, model: int, text: str) -> None:
        if not self._as_json:
            print_result(_printable(text), ends=False)

    def answered(self, model: int, answer: GeneratedAnswer) -> None:
        self.documents[model] |= {
            "text": answer.text,
            "tokens": answer.tokens,
            "prompt_tokens": answer.prompt_tokens,
            "seconds": round(answer.seconds, 3),
            "stopped": answer.stopped,
        }
        if not self._as_json:
            print_result("")
        say(f"{answer.tokens:,} tokens in {duration_text(answer.seconds)}, {_STOPPED[answer.stopped]}")

    def failed(self, model: int, error: MergeError) -> None:
        self.failures += 1
        self.documents[model]["error"] = error.message
        print_error(error)


def _kept_models(device: str, work_folder: Path | None) -> KeptModels:
    from core.evaluate.answers.kept_models import KeptModels
    from core.evaluate.models.loading import load_model
    from core.evaluate.settings import Settings

    settings = Settings(device=device, work_folder=work_folder)
    return KeptModels(
        lambda reference, cancel: load_model(reference, settings=settings, cancel=cancel),
        available=lambda: _left_on(device),
    )


def _left_on(device: str) -> int | None:
    """Bytes of memory that are left where models are loaded."""
    from core import devices, memory

    if device == "auto":
        cards = devices.usable_devices()
    else:
        cards = [one for one in devices.choose_devices(device) if one.name != "cpu"]
    return cards[0].free_bytes if cards else memory.available_bytes()


def _serve(device: str, work_folder: Path | None) -> None:
    """Answer the lines of the standard input, for a window that goes on meanwhile."""
    from core.cli.try_server import TryServer

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as for what else works beside a window
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    out = sys.stdout
    with (
        contextlib.redirect_stdout(sys.stderr),
        _kept_models(device, work_folder) as kept,
    ):  # libraries may print
        server = TryServer(kept, lines=sys.stdin.buffer, out=out, signals=this_session().signals.cancel)
        try:
            server.run()
        finally:
            gc.freeze()  # or all that torch has made would be looked through for each model that is closed
    with contextlib.suppress(OSError, ValueError):
        out.flush()
    os._exit(0)  # the interpreter would take a second more to take itself apart


def _read_prompt() -> str:
    if sys.stdin is None or sys.stdin.closed:
        raise MergeError("there is no prompt", hint="give it with --prompt TEXT")
    if sys.stdin.isatty():
        say("The prompt, as many lines as you like; Ctrl+D ends it:")
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise MergeError(
            "the prompt on the standard input is not valid UTF-8", hint="save it as UTF-8"
        ) from error


def _printable(text: str) -> str:
    """`text` with its lines and tabs, and whatever else could steer a terminal written as escapes."""
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))
