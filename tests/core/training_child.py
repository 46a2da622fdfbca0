"""Trains small models whose processes kill themselves at some call that changes the disk.

    training_child.py BASE DATA FOLDER REPORT

Each training is a fork of this process, which has imported all that takes long. REPORT says how many calls a
whole training makes, how many were killed, and which of them did not end with the weights of a whole one.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import small_trainings as small
from disk_faults import KILLS, Faulty, in_place

from core.train.training import train_sub_models

EVERY = 5


def main() -> None:
    base, data, folder, report = map(Path, sys.argv[1:])
    import transformers

    from core.train import models, trainer

    assert transformers.Trainer
    assert models.save_model
    assert trainer.run_order
    gc.freeze()  # so that forks do not copy what the collector looks at
    counted = in_fork(partial(count, base, data, folder / "whole"), folder)
    wanted = weights(folder / "whole")
    killed, different, faults = 0, [], 0
    for at in range(0, counted, EVERY):
        kind = KILLS[at // EVERY % len(KILLS)]
        out = folder / f"{kind}-{at}"
        faults += 1
        killed += in_fork(partial(train, base, data, out, Faulty(at, kind)), folder) == -signal.SIGKILL
        ended = in_fork(partial(train, base, data, out, Faulty(-1, kind)), folder)
        if ended or weights(out) != wanted:
            different.append([kind, at, ended])
        shutil.rmtree(out)
    gc.unfreeze()
    report.write_text(
        json.dumps({"calls": counted, "faults": faults, "killed": killed, "different": different})
    )


def train(base: Path, data: Path, out: Path, fault: Faulty) -> int:
    with in_place(fault):
        train_sub_models(small.request(base, data, out, batch=7, save_every_s=0, keep="last"))
    return 0


def count(base: Path, data: Path, out: Path) -> int:
    calls = Faulty(-1, "kill-before")
    train(base, data, out, calls)
    (out.parent / "calls").write_text(str(len(calls.calls)))
    return 0


def in_fork(do: Callable[[], int], folder: Path) -> int:
    """What `do` returns, in a process of its own; minus the signal that ended it. Of a count that count."""
    folder.mkdir(exist_ok=True)
    (folder / "calls").unlink(missing_ok=True)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = do()
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(ended)
    found = folder / "calls"
    return int(found.read_text()) if not status and found.exists() else status


def weights(out: Path) -> list[bytes]:
    return [small.weights_of(path) for path in sorted(out.glob("order-*/epoch-*"))]


if __name__ == "__main__":
    main()
