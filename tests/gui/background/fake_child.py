"""Stands for a command of the program: says what it is told to say, and needs nothing but Python.

fake_child.py KIND ACT… --progress FILE …; the acts, in order:
    say:JSON     append an event
    raw:TEXT     append a line as it is
    wait:FILE    until FILE is there
    out:TEXT, err:TEXT   write to stdout or stderr
    exit:N       leave with that status
    kill         end as by the system
SIGINT while it waits: says "cancelled" and leaves with 130.
"""

import json
import os
import signal
import sys
import time

acts = sys.argv[2 : sys.argv.index("--progress")]
progress = os.open(sys.argv[sys.argv.index("--progress") + 1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def say(event: dict[str, object]) -> None:
    os.write(progress, json.dumps({"at": time.time(), **event}).encode() + b"\n")


def stop(number: int, frame: object) -> None:
    say({"kind": "cancelled"})
    os._exit(130)


signal.signal(signal.SIGINT, stop)
say({"kind": "began", "pid": os.getpid(), "command": sys.argv[1]})
for act in acts:
    what, _, value = act.partition(":")
    if what == "say":
        say(json.loads(value))
    elif what == "raw":
        os.write(progress, value.encode() + b"\n")
    elif what == "wait":
        deadline = time.monotonic() + 60
        while not os.path.exists(value) and time.monotonic() < deadline:
            time.sleep(0.005)
    elif what == "out":
        os.write(1, value.encode())
    elif what == "err":
        os.write(2, value.encode())
    elif what == "exit":
        os._exit(int(value))
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
