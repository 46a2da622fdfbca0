"""What the commands say of devices, and what they learn of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core import MergePlan, devices, table
from core.devices import CPU, Device
from core.plan import choice as choice_module
from core.plan.estimate import Work
from core.runs.learned import Learned

ROOT = Path(__file__).parents[2]
NONE = "cpu: there is no graphics card here that torch can use with CUDA"
CARD = Device("cuda:0", "Fast Card", "cuda")

PLAN_WITH_A_CARD = """
import sys
from pathlib import Path
from core import cards, devices
cards._DRIVER, cards._DEVICES = Path(sys.argv[1]), Path(sys.argv[1])
devices.may_have_cuda = devices.torch_has_cuda = lambda: True
from core.cli.commands import main
from core.cli.desktop import Desktop
status = main(Desktop(lambda: False, None, None), ["plan", sys.argv[2], "--json"])
print([name for name in ("torch", "numba", "transformers") if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program keeps its own files: nothing is known of this machine."""
    folder = tmp_path / "program"
    monkeypatch.setenv("PARAMOSAIC_DATA_DIR", str(folder))
    monkeypatch.setattr(devices, "known_devices", list)
    return folder


@pytest.fixture
def learned(data: Path) -> Learned:
    return Learned(data / "history")


@pytest.fixture
def recipe(workshop: Any) -> Path:
    return Path(workshop.trio())


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that would take 0.58 s where the CPU takes 1.08."""

    def work(plan: MergePlan, device: Device, *_: object, **__: object) -> Work:
        return Work(device.kind, 1.06 if device == CPU else 0.56, 0.0, 1, 0.0, 0, 0)

    monkeypatch.setattr(devices, "known_devices", lambda: [CARD])
    monkeypatch.setattr(choice_module, "work_of", work)


def test_a_plan_says_what_it_would_run_on(workshop: Any, recipe: Path) -> None:
    said = workshop.run("plan", recipe).stdout
    assert f"device   {NONE}\n" in said
    assert "\ntime     " in said
    document = json.loads(workshop.run("plan", recipe, "--json").stdout)
    assert (document["device"], document["device_why"]) == ("cpu", NONE)
    assert list(document["expected_seconds"]) == ["cpu"]


@pytest.mark.usefixtures("card")
def test_a_plan_says_what_each_device_would_take(workshop: Any, recipe: Path) -> None:
    said = workshop.run("plan", recipe).stdout
    assert "device   cuda:0: about 0.6 s, the CPU takes about 1.1 s\n" in said
    assert "time     cpu about 1.1 s, cuda:0 about 0.6 s\n" in said
    document = json.loads(workshop.run("plan", recipe, "--json").stdout)
    assert document["device"] == "cuda:0"
    assert document["device_why"] == "cuda:0: it is expected to be done before the CPU"
    assert document["expected_seconds"] == {"cpu": 1.08, "cuda:0": 0.58}


def test_a_plan_with_a_card_imports_nothing_heavy(recipe: Path, tmp_path: Path) -> None:
    card = tmp_path / "driver" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA H200\nGPU UUID: \t GPU-1\n")
    done = subprocess.run(
        [sys.executable, "-c", PLAN_WITH_A_CARD, str(card.parent), str(recipe)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "[]"), done.stderr
    document = json.loads(done.stdout)
    assert document["device_why"] == "cpu: the merge would be over before the card is ready"
    assert document["expected_seconds"]["cuda:0"] > document["expected_seconds"]["cpu"]


def test_a_merge_begins_with_what_it_runs_on(workshop: Any, recipe: Path) -> None:
    out = workshop.folder / "out"
    assert f"device: {NONE}\n" in workshop.run("merge", recipe, "--out", out).stderr
    refused = workshop.run("merge", recipe, "--out", out)
    assert refused.status == 1
    assert "device:" not in refused.stderr
    named = workshop.run("merge", recipe, "--out", out, "--overwrite", "--device", "cpu")
    assert "device: cpu: it was asked for\n" in named.stderr


@pytest.mark.usefixtures("card")
def test_a_card_that_does_not_work_is_said_once(
    workshop: Any, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_given_up", {})
    monkeypatch.setattr("core.table.runs_kernels", lambda _: False)
    done = workshop.run("merge", recipe, "--out", workshop.folder / "out", "--json")
    assert done.status == 0
    lines = [line for line in done.stderr.splitlines() if "cuda:0" in line or "cpu" in line]
    assert lines == [
        "device: cuda:0: about 0.6 s, the CPU takes about 1.1 s",
        "note: cuda:0 (Fast Card) does not work here: merging on the CPU instead",
        "device: cpu: cuda:0 could not be used",
    ]
    record = json.loads(done.stdout)
    assert (record["device"], record["device_why"]) == ("cpu", "cpu: cuda:0 could not be used")


def test_a_merge_teaches_the_next_plan(
    workshop: Any, recipe: Path, learned: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = workshop.folder / "out"
    workshop.run("merge", recipe, "--out", out)
    assert learned.read().kinds == {}  # it was over too soon to say anything
    monkeypatch.setattr("core.plan.estimate._WORTH_LEARNING_S", 1e-6)
    workshop.run("merge", recipe, "--out", out, "--overwrite")
    known = learned.read()
    assert list(known.kinds) == [json.loads((out / "paramosaic.json").read_text())["recipe"]["merge_method"]]
    workshop.run("merge", recipe, "--out", out, "--resume")  # which had nothing to do
    assert learned.read() == known
    before = json.loads(workshop.run("plan", recipe, "--json").stdout)["expected_seconds"]["cpu"]
    learned.path.write_text(learned.path.read_text().replace('"core": null', '"core": 1000.0'))
    after = json.loads(workshop.run("plan", recipe, "--json").stdout)["expected_seconds"]["cpu"]
    assert after > before + 0.02


def test_what_cannot_be_learned_stops_no_merge(workshop: Any, recipe: Path, learned: Learned) -> None:
    learned.path.mkdir(parents=True)
    done = workshop.run("merge", recipe, "--out", workshop.folder / "out")
    assert (done.status, "throughput" in done.stderr) == (0, False)


def test_the_help_says_what_auto_and_threads_mean(workshop: Any) -> None:
    said = " ".join(workshop.run("merge", "--help").stdout.split())
    assert "auto for the fastest" in said
    assert "At most so many work, of them as many as get the most done" in said


def test_what_a_card_and_the_cpu_did_together_teaches_nothing(
    workshop: Any, recipe: Path, learned: Learned, monkeypatch: pytest.MonkeyPatch, card: None
) -> None:
    on_cpu, compile_for = table.workspace, table.compile_for

    def fails(device: Device = CPU, *rest: Any) -> Any:
        if device != CPU:
            raise RuntimeError("CUDA error: out of memory")
        return on_cpu(CPU, *rest)

    monkeypatch.setattr(devices, "_given_up", {})
    monkeypatch.setattr("core.plan.estimate._WORTH_LEARNING_S", 1e-6)
    monkeypatch.setattr(table, "runs_kernels", lambda _: True)
    monkeypatch.setattr(table, "compile_for", lambda _, jobs: compile_for([CPU], jobs))
    monkeypatch.setattr(table, "workspace", fails)
    done = workshop.run("merge", recipe, "--out", workshop.folder / "out")
    assert done.status == 0
    lines = [line for line in done.stderr.splitlines() if "cuda:0" in line]
    assert lines == [
        "device: cuda:0: about 0.6 s, the CPU takes about 1.1 s",
        "note: cuda:0 (Fast Card) failed (CUDA error: out of memory): going on with the CPU",
        "device: cpu: cuda:0 failed in the middle of the merge",
    ]
    assert learned.read().kinds == {}
    assert workshop.run("verify", workshop.folder / "out").status == 0
