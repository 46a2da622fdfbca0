"""Trying models for a window: prompts come in as lines of JSON, and answers go out as lines of JSON.

In: {"prompt": …, "models": [reference, …], "id", "system", "chat", "max_new_tokens", "temperature", "seed"}
asks, {"cancel": true} stops whatever was asked so far, {"forget": true} lets go of the models in memory.

Out, each with "id" as it was asked and "model", the number among "models": "loading"; "loaded" (seconds);
"note" (text); "token" (text, of one token or of several that came at once); "answer" (tokens, seconds,
prompt_tokens, stopped: "end", "length" or "cancelled"); "failed" (message, hint; model is null where it is
about the request). Then "ended", without a model. The first line of all is "ready".
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TextIO

from core.cancel import CancelToken
from core.errors import Cancelled, MergeError
from core.evaluate.answers.answering import answer_all
from core.evaluate.answers.generating import MAX_NEW_TOKENS, GeneratedAnswer, GenerationRequest
from core.evaluate.answers.kept_models import KeptModels
from core.text import shown

__all__ = ["TryServer"]

_EVERY_S = 0.03
"""Between two lines of one answer: more would only have the window draw more often than anybody sees."""

_GRACE_S = 5.0
"""For a step that does not look at its token, once whoever asks is gone."""

_NUMBERS: Mapping[str, tuple[float, float]] = {
    "max_new_tokens": (1, 1_000_000),
    "temperature": (0, 100),
    "seed": (0, 2**63 - 1),
}

Signals = Callable[[CancelToken], AbstractContextManager[None]]


@dataclass(eq=False)
class _Asked:
    """A line, what stops the work on it, and whether it was a line that did."""

    line: Mapping[str, Any]
    token: CancelToken = field(default_factory=CancelToken)
    stopped: bool = False


class TryServer:
    """Answers until its input ends; then it ends too, whatever it is doing."""

    def __init__(
        self,
        models: KeptModels,
        *,
        lines: BinaryIO,
        out: TextIO,
        signals: Signals,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        """Args:
        models: what is in memory.
        lines: what is asked.
        out: where the events go; nobody else may write there.
        signals: have signals cancel a token, while a `with` statement lasts.
        end_process: for one that still works some seconds after its input has ended.
        """
        self._models, self._lines, self._out, self._signals = models, lines, out, signals
        self._end_process = end_process
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._open: list[_Asked] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        """Answer what comes in.

        Raises:
            Cancelled: a signal came.
            OSError: nobody reads what is said.
        """
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        self._say("ready", pid=os.getpid())
        while (asked := self._asked.get()) is not None:
            if asked.line.get("forget"):
                self._models.forget()
            else:
                with self._signals(asked.token):
                    self._answer(asked.line, asked.token)
                if asked.token.cancelled and not asked.stopped:
                    raise Cancelled("a signal came")
            with self._lock:
                self._open.remove(asked)

    # -- in the main thread

    def _answer(self, line: Mapping[str, Any], token: CancelToken) -> None:
        asked = line.get("id")
        try:
            request, references = _read_request(line)
            listener = _Lines(asked, self._say)
            with contextlib.suppress(Cancelled):
                answer_all(references, request, self._models, listener, token)
        except MergeError as error:
            self._say("failed", id=asked, model=None, message=error.message, hint=error.hint)
        self._say("ended", id=asked)

    def _say(self, kind: str, **values: Any) -> None:
        self._out.write(json.dumps({"kind": kind, **values}) + "\n")
        self._out.flush()

    # -- in the thread that reads

    def _read(self) -> None:
        for raw in self._lines:
            try:
                line = json.loads(raw)
            except ValueError:
                line = None
            if not isinstance(line, dict):
                line = {"prompt": None, "models": []}
            if line.get("cancel"):
                self._cancel()
                continue
            asked = _Asked(line)
            with self._lock:
                self._open.append(asked)
            self._asked.put(asked)
        self._cancel()
        self._asked.put(None)
        time.sleep(_GRACE_S)
        self._end_process(0)  # a daemon's thread does not keep the process, so that this one hangs

    def _cancel(self) -> None:
        with self._lock:
            for asked in self._open:
                asked.stopped = True
                asked.token.cancel()


class _Lines:
    """A listener that writes everything down, and pieces that come fast together."""

    def __init__(self, asked: Any, say: Callable[..., None]) -> None:
        self._asked, self._say = asked, say
        self._waiting = ""
        self._said_s = 0.0

    def loading(self, model: int) -> None:
        self._event("loading", model)

    def loaded(self, model: int, seconds: float) -> None:
        self._event("loaded", model, seconds=round(seconds, 3))

    def noted(self, model: int, text: str) -> None:
        self._event("note", model, text=text)

    def said(self, model: int, text: str) -> None:
        self._waiting += text
        if time.monotonic() - self._said_s >= _EVERY_S:
            self._flush(model)

    def answered(self, model: int, answer: GeneratedAnswer) -> None:
        self._flush(model)
        self._event(
            "answer",
            model,
            tokens=answer.tokens,
            seconds=round(answer.seconds, 3),
            prompt_tokens=answer.prompt_tokens,
            stopped=answer.stopped,
        )

    def failed(self, model: int, error: MergeError) -> None:
        self._flush(model)
        self._event("failed", model, message=error.message, hint=error.hint)

    def _flush(self, model: int) -> None:
        if self._waiting:
            self._event("token", model, text=self._waiting)
            self._waiting, self._said_s = "", time.monotonic()

    def _event(self, kind: str, model: int, **values: Any) -> None:
        self._say(kind, id=self._asked, model=model, **values)


def _read_request(line: Mapping[str, Any]) -> tuple[GenerationRequest, list[str]]:
    """What a line asks, of which models. Raises MergeError: it is none that can be asked."""
    prompt, system, models = line.get("prompt"), line.get("system") or "", line.get("models")
    if not isinstance(prompt, str) or not isinstance(system, str):
        raise MergeError("a request needs a prompt, which is text", field="prompt")
    if not isinstance(models, list) or not models or not all(isinstance(one, str) and one for one in models):
        raise MergeError("a request needs models, a list of their folders", field="models")
    numbers = {"max_new_tokens": MAX_NEW_TOKENS, "temperature": 0.0, "seed": 0}
    for name, (least, most) in _NUMBERS.items():
        value = line.get(name, numbers[name])
        whole = name != "temperature"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise MergeError(f"{name} {shown(value)} is not a{' whole' if whole else ''} number", field=name)
        if not least <= value <= most:
            raise MergeError(f"{name} {shown(value)} is not from {least} to {most}", field=name)
        numbers[name] = value
    chat = line.get("chat", True) is not False
    return GenerationRequest(
        prompt,
        system,
        chat,
        int(numbers["max_new_tokens"]),
        float(numbers["temperature"]),
        int(numbers["seed"]),
    ), models
