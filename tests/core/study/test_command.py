"""An own scoring command: what it may print, and every way in which it can fail."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from core.cancel import CancelToken
from core.errors import Cancelled, MergeError
from core.study.command import OwnScores, ScoreCommand, parse_scores


@pytest.mark.parametrize(
    ("printed", "scores"),
    [
        (b"0.25\n", OwnScores(0.25)),
        (b"\n  -3e-2  \n", OwnScores(-0.03)),
        (b'{"line": 3, "score": 1}\n{"line": 1, "score": 0.5}\n', OwnScores(0.75, (1, 3), (0.5, 1.0))),
        (b'{"line": 2, "score": true, "answer": "x"}', OwnScores(1.0, (2,), (1.0,))),
    ],
)
def test_a_number_or_a_line_for_each_sample(printed: bytes, scores: OwnScores) -> None:
    assert parse_scores(printed) == scores


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (b"", "printed nothing"),
        (b"nan", "printed 'nan', which is no score"),
        (b"loading\n0.5\n", "printed 'loading', which is no score"),
        (b'{"line": 0, "score": 1}', "which is no score"),
        (b'{"line": 1.0, "score": 1}', "which is no score"),
        (b'{"line": 1, "score": "a"}', "which is no score"),
        (b'{"line": 1, "score": Infinity}', "which is no score"),
        (b'{"line": 1, "score": 1}\n{"line": 1, "score": 2}', "scored line 1 twice"),
        (b"[" * 100_000, "which is no score"),
        (b"\xff\xfe", "which is no score"),
    ],
)
def test_anything_else_is_refused_and_quoted(printed: bytes, said: str) -> None:
    with pytest.raises(MergeError, match="the scoring command") as caught:
        parse_scores(printed)
    assert said in caught.value.message
    assert caught.value.field == "score_command"
    assert len(caught.value.message) < 300


def test_it_is_cut_as_a_shell_would_and_run_without_one(tmp_path: Path) -> None:
    script = tmp_path / "score me.py"
    script.write_text(
        "import sys, os\nassert sys.argv[1:] == ['$HOME; echo 7', os.environ['FOLDER']]\nprint(0.5)\n"
    )
    command = ScoreCommand.parse(f"'{sys.executable}' '{script}' '$HOME; echo 7'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDER", str(tmp_path / "model"))
        assert command.run(tmp_path / "model", CancelToken()) == OwnScores(0.5)


def test_a_failure_is_told_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; print(1.0); sys.exit('no such task: \\x1b[31mgsm9k')"
    command = ScoreCommand((sys.executable, "-c", code))
    with pytest.raises(MergeError) as caught:
        command.run(tmp_path, CancelToken())
    assert "failed on" in caught.value.message
    assert "status 1: no such task: \\x1b[31mgsm9k" in caught.value.message
    with pytest.raises(MergeError, match="cannot be started: No such file"):
        ScoreCommand(("/nowhere/at-all",)).run(tmp_path, CancelToken())
    with pytest.raises(MergeError, match="cannot be read"):
        ScoreCommand.parse("score 'me")
    with pytest.raises(MergeError, match="is empty"):
        ScoreCommand.parse("  ")


@pytest.mark.skipif(os.name != "posix", reason="there are no process groups")
def test_what_a_script_started_is_ended_with_it(tmp_path: Path) -> None:
    token, beats = CancelToken(), tmp_path / "beats"
    script = f"cd '{tmp_path}'; (for i in $(seq 1200); do echo >> beats; sleep 0.05; done); echo 1"

    def stop() -> None:
        while not beats.exists():
            time.sleep(0.02)
        token.cancel()

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(Cancelled):
        ScoreCommand(("sh", "-c", script)).run(tmp_path / "model", token)
    size = beats.stat().st_size
    time.sleep(0.3)  # six more, if it were still there
    assert beats.stat().st_size == size > 0


def test_a_cancelled_study_ends_it(tmp_path: Path) -> None:
    token = CancelToken()
    command = ScoreCommand((sys.executable, "-c", "import time; time.sleep(60)"))
    threading.Timer(0.3, token.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        command.run(tmp_path, token)
    assert time.monotonic() - began < 20
