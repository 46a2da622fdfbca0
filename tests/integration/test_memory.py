"""A merge of models that are larger than the memory it may use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import make_checkpoints

LIMIT_BYTES = 512 * 1024**2

SCRIPT = """
import sys, threading
from pathlib import Path

from core import load_recipe, plan_merge, run_merge
from core.dtypes import FLOATS
from core.table import warm_up

def anonymous_bytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024

warm_up(FLOATS["BF16"])
imports = peak = anonymous_bytes()
done = threading.Event()

def watch():
    global peak
    while not done.wait(0.005):
        peak = max(peak, anonymous_bytes())

watcher = threading.Thread(target=watch)
watcher.start()
record = run_merge(plan_merge(load_recipe(sys.argv[1])), sys.argv[2])
done.set()
watcher.join()
print(peak - imports, record.bytes_read, record.seconds)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("parameters", "models"),
    [
        pytest.param(100_000_000, 3, id="0.8 GB in all"),
        pytest.param(1_000_000_000, 6, id="14 GB in all", marks=pytest.mark.slow),
    ],
)
def test_larger_models_need_no_more_memory(tmp_path: Path, parameters: int, models: int) -> None:
    recipe = make_checkpoints(tmp_path / "models", parameters, models)
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(recipe), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.rmtree(tmp_path)
    above_imports, bytes_read, seconds = (float(word) for word in result.stdout.split())
    print(f"\n{bytes_read / 1e9:.1f} GB in {seconds:.1f} s, {above_imports / 2**20:.0f} MiB above imports")
    assert bytes_read > 2 * parameters * (models + 1) * 0.9
    assert above_imports < min(LIMIT_BYTES, bytes_read / 3)
