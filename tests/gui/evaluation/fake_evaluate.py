"""Stands for `paramosaic evaluate`: the same arguments, events and kept scores, and no model is loaded.

The loss of row i is 3 + i / 10 and what the file `offset` in the model's folder says, by half more or less of
that. It waits before model m until $FAKE_GO-m is there, if that is set, and keeps the scores in
$PARAMOSAIC_DATA_DIR/scores. What $FAKE_NOTE says is a note. A model with a file `broken` fails with
what that says. SIGINT: "cancelled".
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import numpy as np

from core.checkpoint.model import model_names
from core.data.rows import read_data
from core.evaluate.models.digests import reference_digest
from core.evaluate.scores import Scores
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import ScoreStore, score_key
from core.evaluate.verdict.comparing import compare
from core.progress_file import ProgressFile

given = sys.argv[2:]
assert sys.argv[1] == "evaluate"
at = given.index("--progress")
said = ProgressFile(Path(given[at + 1]))
assert given[at + 2 :] == ["--background", "--json"]
options = dict(item.partition("=")[::2] for item in given[:at] if item.startswith("--"))
models = [item for item in given[:at] if not item.startswith("--")]
settings = Settings(
    dtype=options["--dtype"],
    max_length=int(options["--max-length"]) if "--max-length" in options else None,
    limit=int(options["--limit"]) if "--limit" in options else None,
    exact_match="--exact-match" in options,
)


def stop(number: int, frame: FrameType | None) -> None:
    said.say("cancelled")
    os._exit(130)


signal.signal(signal.SIGINT, stop)
said.say("began", pid=os.getpid(), command="evaluate")
data = read_data(options["--data"], limit=settings.limit)
store = ScoreStore(Path(os.environ["PARAMOSAIC_DATA_DIR"]) / "scores")
lines = np.array([row.line for row in data.rows])
count = np.arange(len(lines))
if note := os.environ.get("FAKE_NOTE"):
    said.say("note", text=note)
done: list[Scores] = []
for number, (model, name) in enumerate(zip(models, model_names(list(map(Path, models))), strict=True)):
    said.say("progress", share=number / len(models), text=f"{name}: scoring", remaining_s=1.0)
    go = os.environ.get("FAKE_GO")
    while go and not os.path.exists(f"{go}-{number}"):
        time.sleep(0.005)
    if (broken := Path(model, "broken")).exists():
        said.say("failed", message=broken.read_text(), hint="leave it out")
        sys.exit(1)
    offset = float(Path(model, "offset").read_text())
    digest = reference_digest(model, store.digests)
    scores = store.get(score_key(digest, data.digest, settings.key())) or Scores(
        name=name,
        path=model,
        model_digest=digest,
        data_digest=data.digest,
        settings=settings.key(),
        task="causal",
        loss=3 + count / 10 + offset * (1 + 0.5 * np.sin(count)),
        tokens=np.full(len(lines), 8),
        text_bytes=np.full(len(lines), 32),
        correct=None,
        lines=lines,
        tokenizer_digest="0" * 32,
        seconds=0.0,
    )
    store.put(scores, data=data.path)
    done.append(scores)
    said.say(
        "scores",
        name=name,
        path=model,
        mean_loss=scores.mean_loss,
        bits_per_byte=scores.mean_bits_per_byte,
        accuracy=None,
        n=len(lines),
    )
reference = next(one for one in done if one.path == options["--reference"])
compared = compare(reference, [one for one in done if one is not reference])
said.say("comparisons", comparisons=[one.as_json() for one in compared])
said.say("done", result=None)
print("{}")
