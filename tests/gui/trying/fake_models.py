"""Stands for the process in which models answer: what each says is the name of its folder and the prompt.

A model called "broken" cannot be loaded, "endless" answers until it is told to stop, "deaf" does not hear
that, and "fatal" takes the process with it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

stop = threading.Event()


def say(kind: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **values}) + "\n")
    sys.stdout.flush()


def answer(line: dict[str, Any], number: int, name: str) -> None:
    about = {"id": line["id"], "model": number}
    say("loading", **about)
    if name == "broken":
        say("failed", **about, message="broken lacks lm_head.weight", hint="try it without (--no-chat)")
        return
    say("loaded", **about, seconds=0.1)
    if name == "base":
        say("note", **about, text="it has no chat template: the prompt is given as it is")
    if name == "fatal":
        print("Cannot go on", file=sys.stderr, flush=True)
        os._exit(3)
    pieces = ["日本 says ", name, f" to {line['prompt']}", f" at {line['temperature']:g}."]
    told = 0
    while pieces and not stop.is_set():
        say("token", **about, text=pieces.pop(0))
        told += 1
        if name in ("endless", "deaf") and not pieces:
            pieces = [" and"]
            time.sleep(0.02)
        if name == "deaf":
            stop.clear()
    say("answer", **about, tokens=told, seconds=0.5, stopped="cancelled" if stop.is_set() else "end")


def read(lines: list[dict[str, Any]], more: threading.Semaphore) -> None:
    for raw in sys.stdin:
        line = json.loads(raw)
        if line.get("cancel"):
            stop.set()
        else:
            lines.append(line)
            more.release()
    os._exit(0)


def main() -> None:
    lines: list[dict[str, Any]] = []
    more = threading.Semaphore(0)
    threading.Thread(target=read, args=(lines, more), daemon=True).start()
    print("a library says something")
    while more.acquire():
        line = lines.pop(0)
        stop.clear()
        for number, model in enumerate(line["models"]):
            if not stop.is_set():
                answer(line, number, Path(model).name)
        say("ended", id=line["id"])


main()
