"""Fuzz the parsers of files that others may have written, for longer than `make test` does.

    python tests/fuzz/run.py [TARGET...] [--cases 100000] [--seed 1] [--own] [--keep build/fuzz]

Each parser that is named (all, where none is) gets that many cases, in a process of its own, through a file
in memory where the system has that (/dev/shm). `make fuzz` installs atheris, whose libFuzzer chooses what to
spoil next by the lines that it reaches; half of its cases are spoilt as mutations.py does it, which knows
JSON, YAML, lines and odd values. Where there is no atheris, or with --own, all cases are, and nothing is
known of what they reach. A case at which a parser is at fault is kept in the folder KEEP, once for each place
in the code; feed it again with

    python tests/fuzz/run.py TARGET --again FILE
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "core")]

_INSTRUMENTED = [
    *("core.checkpoint", "core.recipe", "core.run", "core.runs", "core.small_files", "core.text"),
    "gui.settings",
]
_LONGEST = 10_000
_AT_FAULT = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--cases", type=int, default=100_000, help="of each target")
    parser.add_argument("--seed", type=int, default=1, help="of what is chosen")
    parser.add_argument("--own", action="store_true", help="without atheris, also where it is there")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where faults are kept")
    parser.add_argument("--again", type=Path, help="feed this one file alone")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.own and importlib.util.find_spec("atheris") is None:
        print("There is no atheris here: the cases are chosen without a look at what they reach.")
        options.own = True
    if options.child:
        _fuzz(options)
        return 0
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from targets import TARGETS

    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"{unknown[0]!r} is none of: {', '.join(TARGETS)}")
    return max([_in_a_process(name, options) for name in options.targets or TARGETS])


def _in_a_process(name: str, options: argparse.Namespace) -> int:
    """Fuzz one target; returns 1 where it is at fault."""
    options.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        command = [sys.executable, __file__, name, f"--child={folder}", f"--cases={options.cases}"]
        command += [f"--seed={options.seed}", f"--keep={options.keep}"]
        command += ["--own"] if options.own else []
        command += [f"--again={options.again}"] if options.again else []
        environment = {**os.environ, "PARAMOSAIC_DATA_DIR": f"{folder}/data"}
        log = options.keep / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as said:
            ended = subprocess.run(command, env=environment, stderr=said, check=False).returncode
        last = Path(folder, "last")
        if ended in (0, _AT_FAULT):
            return int(ended != 0)
        kept = options.keep / f"{name.replace(' ', '-')}-ended-with-{ended}"
        kept.write_bytes(last.read_bytes() if last.exists() else b"")
        print(f"{name}: the process ended with {ended}; what it was fed is in {kept}, what it said in {log}")
        return 1


def _fuzz(options: argparse.Namespace) -> None:
    """In a process of its own; ends it."""
    (name,) = options.targets
    if options.own:
        from targets import TARGETS
    else:
        import atheris

        with atheris.instrument_imports(include=_INSTRUMENTED, exclude=["core.kernels"]):
            from targets import TARGETS
    from ground import Ground

    target, ground = TARGETS[name], Ground(options.child)
    seeds = target.seeds(ground)
    cases = _Cases(lambda data: _feed(target, ground, data), name, options)
    if options.again:
        cases.cases = 1
        cases(options.again.read_bytes())
    for data in seeds:
        cases(data)
    if options.own:
        from mutations import mutated

        while True:
            random = Random(f"{name} {options.seed} {cases.number}")
            cases(mutated(random, random.choice(seeds), target.form, seeds))
    _fuzz_with_atheris(cases, seeds, target.form, options)


def _feed(target: Any, ground: Any, data: bytes) -> bool:
    from targets import feed

    return feed(target, ground, data)


class _Cases:
    """Feeds one case after the other, and ends the process after the last."""

    def __init__(self, feed: Callable[[bytes], bool], name: str, options: argparse.Namespace) -> None:
        self._feed, self._name, self._keep = feed, name, options.keep
        self._last = options.child / "last"
        self.cases = options.cases
        self.number = self._taken = 0
        self._faults: dict[str, str] = {}
        self._begun = time.monotonic()

    def __call__(self, data: bytes) -> None:
        self.number += 1
        self._last.write_bytes(data)
        try:
            self._taken += self._feed(data)
        except Exception as error:
            self._note(error, data)
        if self.number == self.cases:
            self._end()

    def _note(self, error: Exception, data: bytes) -> None:
        place = traceback.extract_tb(error.__traceback__)[-1]
        key = f"{type(error).__name__} in {os.path.relpath(place.filename)}, line {place.lineno}"
        if key not in self._faults:
            kept = self._keep / f"{self._name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:8]}"
            kept.write_bytes(data)
            self._faults[key] = str(kept)
            lines = "".join(f"{line[:300].rstrip()}\n" for line in traceback.format_exc().splitlines()[-40:])
            print(f"{self._name}: {key}; see {kept}\n{lines}", flush=True)

    def _end(self) -> None:
        seconds = time.monotonic() - self._begun
        print(
            json.dumps(
                {
                    "target": self._name,
                    "cases": self.number,
                    "taken": self._taken,
                    "seconds": round(seconds, 1),
                    "per_second": round(self.number / seconds),
                    "faults": self._faults,
                }
            ),
            flush=True,
        )
        os._exit(_AT_FAULT if self._faults else 0)  # libFuzzer does not return


def _fuzz_with_atheris(cases: _Cases, seeds: Sequence[bytes], form: str, options: argparse.Namespace) -> None:
    import atheris
    from mutations import mutated

    corpus = options.child / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds):
        (corpus / str(number)).write_bytes(data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return mutated(random, data, form, seeds)[:most]

    arguments = [
        "-verbosity=0",
        f"-seed={options.seed}",
        f"-max_len={_LONGEST}",
        "-timeout=30",
        "-rss_limit_mb=0",
    ]
    atheris.Setup(
        [sys.argv[0], *arguments, f"-artifact_prefix={options.child}/", str(corpus)],
        cases,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
