"""A scoring command of the user's own: it is given a model's folder and prints what it thinks of it.

It comes from the command line alone, never from a recipe or from settings, which others may have written.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from core.cancel import CancelToken
from core.errors import MergeError, os_error_text
from core.text import cut, one_line, shown

__all__ = ["OwnScores", "ScoreCommand", "parse_scores"]

_MOST_BYTES = 64 * 1024**2
_MOST_SAID = 4_000
_LOOK_S = 0.1
_GRACE_S = 5.0

_GROUPS = os.name == "posix"

_FORM = 'let it print one number, or a line {"line": 1, "score": 0.5} for each sample, and nothing else'


@dataclass(frozen=True)
class OwnScores:
    """What a scoring command printed of one model.

    Attributes:
        mean: the number, or the mean of those of the lines.
        lines: which lines of its data it scored, ascending; () where it printed one number.
        scores: one each.
    """

    mean: float
    lines: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class ScoreCommand:
    """How to run it, and what its numbers mean.

    Attributes:
        arguments: the program and what it is given before the model's folder.
        higher_is_better: whether a larger number is a better one.
    """

    arguments: tuple[str, ...]
    higher_is_better: bool = True

    @classmethod
    def parse(cls, text: str, *, higher_is_better: bool = True) -> ScoreCommand:
        """Read a command line as a shell would cut it; no shell runs it, and nothing in it is replaced.

        Raises:
            MergeError: a quote is not closed, or there is no word.
        """
        try:
            words = shlex.split(text, posix=os.name == "posix")
        except ValueError as error:
            raise MergeError(
                f"the scoring command {shown(text)} cannot be read: {error}",
                hint="put what has blanks in it between quotes",
                field="score_command",
            ) from error
        if not words:
            raise MergeError("the scoring command is empty", hint="name a program", field="score_command")
        if os.name != "posix":  # where quotes stay in the words
            words = [word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word for word in words]
        return cls(tuple(words), higher_is_better)

    @property
    def name(self) -> str:
        """For people."""
        return one_line(cut(" ".join(self.arguments), 120))

    def run(self, folder: Path, cancel: CancelToken) -> OwnScores:
        """What it prints of the model in `folder`.

        What it writes to its standard error is shown where it fails.

        Raises:
            MergeError: it cannot be started, fails, or prints something else than scores.
            Cancelled: after `cancel`; it is ended then.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    [*self.arguments, str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=_GROUPS,  # a script's own children are ended with it
                )
            except OSError as error:
                raise MergeError(
                    f"the scoring command {shown(self.arguments[0])} cannot be started: "
                    f"{os_error_text(error)}",
                    hint="name a program that is there, with its path",
                    field="score_command",
                ) from error
            try:
                _wait(process, out, cancel)
            finally:
                _end(process)
            if process.returncode:
                raise MergeError(
                    f"the scoring command failed on {folder.name} with status {process.returncode}"
                    f"{_last_words(err)}",
                    hint=f"run it yourself: {one_line(shlex.join([*self.arguments, 'FOLDER']))}",
                    field="score_command",
                )
            out.seek(0)
            return parse_scores(out.read(_MOST_BYTES + 1))


def parse_scores(printed: bytes) -> OwnScores:
    """The scores in what a command printed: one number, or a JSON object with "line" and "score" a line.

    Raises:
        MergeError: it is something else; the first line that is none is quoted.
    """
    if len(printed) > _MOST_BYTES:
        raise _refused(f"printed more than {_MOST_BYTES // 1024**2} MB")
    lines = [line.strip() for line in printed.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        raise _refused("printed nothing")
    if len(lines) == 1 and (number := _number(lines[0])) is not None:
        return OwnScores(number)
    found: dict[int, float] = {}
    for line in lines:
        at, score = _scored(line)
        if at in found:
            raise _refused(f"scored line {at} twice")
        found[at] = score
    numbers = tuple(sorted(found))
    scores = tuple(found[number] for number in numbers)
    return OwnScores(math.fsum(scores) / len(scores), numbers, scores)


def _scored(line: str) -> tuple[int, float]:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    at, score = (value.get("line"), value.get("score")) if isinstance(value, dict) else (None, None)
    if isinstance(score, bool):
        score = int(score)  # right or wrong
    if type(at) is not int or at < 1 or not isinstance(score, int | float) or not math.isfinite(score):
        raise _refused(f"printed {shown(line)}, which is no score")
    return at, float(score)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refused(what: str) -> MergeError:
    return MergeError(f"the scoring command {what}", hint=_FORM, field="score_command")


def _wait(process: subprocess.Popen[bytes], out: IO[bytes], cancel: CancelToken) -> None:
    while process.poll() is None:
        cancel.raise_if_cancelled()
        if os.fstat(out.fileno()).st_size > _MOST_BYTES:
            raise _refused(f"printed more than {_MOST_BYTES // 1024**2} MB")
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue


def _end(process: subprocess.Popen[bytes]) -> None:
    """See that it runs no more, and nothing that it started, asked first. On Windows: the command alone."""
    if process.poll() is not None:
        return
    if not _GROUPS:
        process.kill()
        process.wait()
        return
    _signal(process, signal.SIGTERM)
    until = time.monotonic() + _GRACE_S
    while time.monotonic() < until:
        process.poll()  # the group is there until its dead are taken note of
        if not _signal(process, 0):
            break
        time.sleep(_LOOK_S / 2)
    else:
        _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Signal its group, whose number is its own; whether there is any of it. Not on Windows."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # by what has become another user's
    return True


def _last_words(err: IO[bytes]) -> str:
    size = err.seek(0, os.SEEK_END)
    err.seek(max(0, size - _MOST_SAID))
    lines: Sequence[str] = [
        line for line in err.read().decode("utf-8", "replace").splitlines() if line.strip()
    ]
    return f": {one_line(cut(lines[-1].strip(), 300))}" if lines else ""
