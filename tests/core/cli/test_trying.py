"""`paramosaic try`: answers on the standard output, and the protocol of the process that a window asks."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.cancel import CancelToken
from core.cli.commands import main
from core.cli.desktop import Desktop
from core.cli.try_server import TryServer
from core.evaluate.answers.kept_models import KeptModels
from core.evaluate.models.loading import load_model
from resources import DEMO_FOLDER

ROOT = Path(__file__).parents[3]
BASE, TUNED = str(DEMO_FOLDER / "base"), str(DEMO_FOLDER / "order-1")
PROMPT = "How is a file opened?"


def run(*arguments: str) -> int:
    desktop = Desktop(lambda: False, lambda _: 1, lambda *_: [])
    return main(desktop, ["try", *arguments])


@cache
def expected(folder: str, tokens: int) -> str:
    """What the model says, by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    turns = [{"role": "user", "content": PROMPT}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    ids = model.generate(**prompt, do_sample=False, max_new_tokens=tokens)[0]
    said: str = tokenizer.decode(ids[prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


def test_answers_are_printed_under_their_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BASE, TUNED, "--prompt", PROMPT, "--max-new-tokens", "6") == 0
    printed = capsys.readouterr()
    wanted = [f"── {folder}\n{expected(folder, 6)}\n" for folder in (BASE, TUNED)]
    assert printed.out == "".join(wanted)
    assert f"loading {BASE}" in printed.err


def test_as_json_with_one_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PROMPT.encode() + b"\n")))
    assert run(str(tmp_path / "none"), BASE, "--max-new-tokens", "3", "--json") == 1
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["prompt"] == PROMPT
    missing, base = document["answers"]
    assert "does not exist" in missing["error"]
    assert "does not exist" in printed.err
    assert (base["text"], base["tokens"], base["stopped"]) == (expected(BASE, 3), 3, "length")


def test_what_could_steer_a_terminal_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    from core.cli.trying import _printable

    assert _printable("a\x1b[2J\tb\nc") == "a\\x1b[2J\tb\nc"
    assert run("--prompt", "x") == 2
    assert "MODEL" in capsys.readouterr().err


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A model with a NaN in its weights."""
    folder = tmp_path / "broken"
    shutil.copytree(TUNED, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


NAN = "broken: it cannot answer: 1 of the 64 values of model.norm.weight is NaN or infinite"


def test_a_model_whose_weights_are_no_numbers_is_named(
    broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(broken, TUNED, "--prompt", PROMPT, "--max-new-tokens", "3") == 1
    printed = capsys.readouterr()
    assert f"error: {NAN}\n" in printed.err
    assert printed.out.endswith(f"── {TUNED}\n{expected(TUNED, 3)}\n")  # the other one answers
    assert run(broken, "--prompt", PROMPT, "--json") == 1
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert (answer["error"], "text" in answer) == (NAN, False)


class Server:
    """A server in a thread, and the two ends that a window has."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self.lines, self.input = os.fdopen(read, "rb"), os.fdopen(write, "wb", buffering=0)
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None
        self.ended: list[int] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        @contextlib.contextmanager
        def no_signals(token: CancelToken) -> Iterator[None]:
            yield

        with KeptModels(lambda reference, cancel: load_model(reference, cancel=cancel)) as kept:
            TryServer(
                kept,
                lines=self.lines,
                out=cast(Any, self),
                signals=no_signals,
                end_process=self.ended.append,  # which would end the tests
            ).run()

    def write(self, text: str) -> None:
        event = json.loads(text)
        assert text.endswith("\n")
        self.on_event(event)
        self.events.put(event)

    def flush(self) -> None: ...

    def send(self, **line: Any) -> None:
        self.input.write(json.dumps(line).encode() + b"\n")

    def until(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while not found or found[-1]["kind"] != kind:
            found.append(self.events.get(timeout=60))
        return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("core.cli.try_server._GRACE_S", 0.0)
    gc.freeze()  # or all that torch has made is looked through whenever a model is closed
    server = Server()
    yield server
    server.input.close()
    server.thread.join(60)
    assert not server.thread.is_alive()
    server.lines.close()
    gc.unfreeze()


def test_models_answer_and_stay_for_the_next_prompt(server: Server) -> None:
    server.send(id=1, prompt=PROMPT, models=[BASE, TUNED], max_new_tokens=6)
    events = server.until("ended")
    assert events[0]["kind"] == "ready"
    for model, folder in enumerate((BASE, TUNED)):
        mine = [event for event in events if event.get("model") == model]
        kinds = [event["kind"] for event in mine]
        assert kinds[:2] == ["loading", "loaded"]
        assert set(kinds[2:-1]) == {"token"}
        assert "".join(event["text"] for event in mine[2:-1]) == expected(folder, 6)
        assert (mine[-1]["kind"], mine[-1]["tokens"], mine[-1]["stopped"]) == ("answer", 6, "length")
        assert {event["id"] for event in mine} == {1}
    server.send(id=2, prompt="Hi", models=[TUNED], max_new_tokens=1)
    assert [event["kind"] for event in server.until("ended")] == ["loaded", "token", "answer", "ended"]


def test_a_window_is_told_of_a_model_whose_weights_are_no_numbers(server: Server, broken: str) -> None:
    server.send(id=1, prompt=PROMPT, models=[broken, TUNED], max_new_tokens=3)
    events = server.until("ended")
    assert [(event["message"], bool(event["hint"])) for event in events if event["kind"] == "failed"] == [
        (NAN, True)
    ]
    assert [event["kind"] for event in events if event.get("model") == 0] == ["loading", "loaded", "failed"]
    assert [event["model"] for event in events if event["kind"] == "answer"] == [1]


def test_cancel_stops_the_model_that_answers_and_those_after_it(server: Server) -> None:
    heard = threading.Event()

    def stop(event: dict[str, Any]) -> None:
        if event["kind"] == "token":
            server.send(cancel=True)
            heard.set()

    server.on_event = stop
    server.send(id=1, prompt=PROMPT, models=[BASE, TUNED], max_new_tokens=230)
    events = server.until("ended")
    assert heard.is_set()
    (answer,) = [event for event in events if event["kind"] == "answer"]
    assert (answer["model"], answer["stopped"]) == (0, "cancelled")
    assert answer["tokens"] < 230
    assert all(event.get("model") != 1 for event in events)
    server.on_event = lambda event: None
    server.send(id=2, prompt="Hi", models=[BASE], max_new_tokens=1)
    assert server.until("ended")[-2]["stopped"] in ("length", "end")  # the next one is asked as ever


def test_a_request_that_cannot_be_understood_is_refused(server: Server) -> None:
    server.input.write(b"no JSON\n[1]\n")
    for wrong in (
        {"prompt": 3, "models": ["a"]},
        {"prompt": "x", "models": []},
        {"prompt": "x", "models": ["a"], "temperature": float("nan")},
        {"prompt": "x", "models": ["a"], "max_new_tokens": 0},
        {"prompt": "x", "models": ["a"], "seed": 1.5},
    ):
        server.send(**wrong)
    events = [event for _ in range(7) for event in server.until("ended")]
    refused = [event["message"] for event in events if event["kind"] == "failed"]
    assert len(refused) == 7
    assert "temperature nan is not from 0 to 100" in refused
    assert "seed 1.5 is not a whole number" in refused


def begin() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gui.entry", "try", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--prompt", "half \udc80"), 1, "error: the prompt is not valid text"),
        (("--prompt", "x", "--system", "half \ud800"), 1, "error: the system prompt is not valid text"),
        (("--prompt", "x", "--temperature", "nan"), 2, "nan is no number"),
    ],
)
def test_what_no_model_can_be_asked_is_refused(
    arguments: tuple[str, ...], status: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(BASE, *arguments) == status
    assert said in capfd.readouterr().err


@pytest.mark.slow
def test_the_process_ends_with_its_input_and_says_nothing_but_events() -> None:
    child = begin()
    out, errors = child.communicate(b'{"id": 5, "prompt": "x", "models": []}\n', timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["kind"] for event in events] == ["ready", "failed", "ended"]
    assert (child.returncode, errors) == (0, b"")


@pytest.mark.slow
def test_a_real_process_answers_and_ends_in_the_middle_when_its_window_dies() -> None:
    child = begin()
    assert child.stdin is not None
    assert child.stdout is not None
    line = {"id": 1, "prompt": PROMPT, "models": [BASE, TUNED] * 40, "max_new_tokens": 200}
    child.stdin.write(json.dumps(line).encode() + b"\n")
    child.stdin.flush()
    kinds = []
    for raw in child.stdout:
        kinds.append(json.loads(raw)["kind"])
        if kinds[-1] == "answer":
            break
    assert kinds[:3] == ["ready", "loading", "loaded"]
    assert "token" in kinds
    child.stdin.close()  # as when the window is killed
    assert child.wait(30) == 0
    assert child.stdout.read().count(b'"answer"') < 79
    child.stdout.close()
    assert child.stderr is not None
    child.stderr.close()
