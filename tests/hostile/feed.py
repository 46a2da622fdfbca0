"""Feed hostile inputs to the program, each in a process of its own, and print as JSON what came of each.

    python tests/hostile/feed.py GROUP FOLDER...

A process that was forked when everything is imported shows what one input costs.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.checkpoint.companions import Givers, companion_files
from core.checkpoint.output import check_output
from core.errors import MergeError
from core.plan.planning import plan_merge
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe
from core.recipe.writing import recipe_as_dict
from core.run.record import read_record
from core.run.verify import verify_output
from core.runs.history import History

SECONDS = 10


def _model(folder: Path) -> None:
    data = {"merge_method": "parameter_selection", "base_model": "base", "models": [{"model": "model"}]}
    try:
        plan_merge(parse_recipe(data, folder))
    finally:
        files = companion_files(
            Givers((folder / "model",)), vocabulary=4, dtype_name="float32", inputs=[folder / "model"]
        ).files
        for companion in files.values():
            assert companion.size_bytes == sum(len(piece) for piece in companion.chunks())


def _recipe(folder: Path) -> None:
    recipe_as_dict(load_recipe(folder / "recipe.yaml"))


def _record(folder: Path) -> None:
    try:
        assert read_record(folder / "out").draws_equally in (True, False)
    finally:
        verify_output(folder / "out")


def _history(folder: Path) -> None:
    contents = History(folder / "history").read()
    assert len(contents.entries) + contents.damaged + contents.newer == 2
    assert any(entry.id == "sound" for entry in contents.entries)
    for entry in contents.entries:
        entry.matches("x")
        entry.recipe()


def _settings(folder: Path) -> None:
    from gui.settings import Settings

    path = folder / "settings.ini"
    settings = Settings(path)
    settings.add_recent_recipe(Path("/x.yaml"))
    assert settings.recent_recipes[0] == Path("/x.yaml")
    settings.device = "cpu"
    assert (settings.device, settings.shard_size_bytes > 0) == ("cpu", True)
    assert settings.threads is None or 0 < settings.threads < 2**63
    assert isinstance(settings.geometry + settings.window_state, bytes)


def _output(folder: Path) -> None:
    check_output(folder / "out", [], overwrite=True)


GROUPS: dict[str, Callable[[Path], None]] = {
    "model": _model,
    "recipe": _recipe,
    "record": _record,
    "history": _history,
    "settings": _settings,
    "output": _output,
}


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _feed(run: Callable[[Path], None], folder: Path) -> dict[str, Any]:
    """What came of one input: in this process, which ends with it."""
    peak, begun = _peak_bytes(), time.process_time()
    result: dict[str, Any] = {"leak": None, "message": ""}
    try:
        run(folder)
    except MergeError as error:
        result["message"] = f"{error.message}\n{error.hint}"
    except BaseException:
        result["leak"] = traceback.format_exc()
    return result | {"cpu_s": time.process_time() - begun, "bytes": _peak_bytes() - peak}


def main() -> None:
    run = GROUPS[sys.argv[1]]
    if sys.argv[1] == "settings":
        import gui.settings  # noqa: F401 - before the processes divide
    for name in sys.argv[2:]:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            signal.alarm(SECONDS)
            os.write(writing, json.dumps(_feed(run, Path(name))).encode()[:60_000])
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        result = json.loads(said) if status == 0 else {"leak": f"ended with {status}"}
        print(json.dumps({"folder": name, **result}), flush=True)


if __name__ == "__main__":
    main()
