"""The commands: exit statuses, what goes where, and what a process leaves behind."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import core.disk

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numba", "transformers")


def _python(script: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A process of its own that runs `script` with the repository on its path."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *(str(argument) for argument in arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


class TestStatus:
    def test_done(self, workshop: Any) -> None:
        recipe = workshop.trio()
        assert workshop.run("plan", recipe).status == 0
        assert workshop.run("merge", recipe, "--out", workshop.folder / "out").status == 0
        assert workshop.run("verify", workshop.folder / "out").status == 0
        assert workshop.run("inspect", workshop.folder / "base", workshop.folder / "a").status == 0
        assert workshop.run("--help").status == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            ["mergee"],
            ["merge"],
            ["merge", "recipe.yaml"],
            ["merge", "recipe.yaml", "--out", "out", "more"],
            ["merge", "recipe.yaml", "--out", "out", "--foo"],
            *(["merge", "recipe.yaml", "--out", "out", "--seed", seed] for seed in ("-1", "x", str(2**64))),
            *(["merge", "recipe.yaml", "--out", "out", "--threads", threads] for threads in ("0", "x")),
            *(
                ["merge", "recipe.yaml", "--out", "out", "--shard-size", size]
                for size in (
                    "x",
                    "",
                    "0",
                    "-1",
                    "5PB",
                    "nan",
                    "1e3",
                    "0.1",
                    "9" * 400 + "GB",
                    "1e999GB",
                    "٥GB",
                )
            ),
            ["plan"],
            ["verify"],
            ["inspect", "base"],
            ["inspect", "base", "a", "--sample", "x"],
            *(
                ["inspect", "base", "a", "--weights", weights]
                for weights in ("", "x", "1,,2", "1;2", "1_0", "٥")
            ),
            ["inspect", "base", "a", "--sample", "1" * 5000 + "x"],
            ["merge", "recipe.yaml", "--out", "out", "--seed", "1" * 5000],
            ["merge", "recipe.yaml", "--out", "out", "--\u202e"],
        ],
        ids=lambda arguments: " ".join(arguments)[-40:],
    )
    def test_usage(self, workshop: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
        workshop.trio()
        monkeypatch.chdir(workshop.folder)
        before = workshop.snapshot()
        result = workshop.run(*arguments)
        assert result.status == 2
        assert result.stdout == ""
        assert result.stderr.startswith("Usage: paramosaic")
        assert result.stderr.splitlines()[-1].startswith("Error: ")
        assert len(result.stderr) < 2500
        assert "\u202e" not in result.stderr
        assert workshop.snapshot() == before

    def test_what_cannot_be_read_is_no_usage_error(
        self, workshop: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recipe = workshop.trio()
        before = workshop.snapshot()
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
        result = workshop.run("merge", recipe, "--out", workshop.folder / "out")
        assert result.status == 1
        assert f"{workshop.folder} is not writable" in result.error
        assert workshop.snapshot() == before

    def test_the_process_exits_with_it(self, workshop: Any) -> None:
        said = subprocess.run(
            [sys.executable, "-m", "gui.entry", "plan", workshop.folder / "nope.yaml"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 1
        assert said.stdout == ""
        assert said.stderr == f"error: cannot read the recipe {workshop.folder}/nope.yaml: {os.strerror(2)}\n"


def test_messages_are_bounded_and_show_what_is_unseen(workshop: Any) -> None:
    for name in ("x" * 10**5, "a/" * 3000, "a\u202eb\U000e0041\u200b" * 50):
        said = workshop.refuse("plan", workshop.folder / name)
        assert len(said) < 2500
        assert not {"\u202e", "\U000e0041", "\u200b"} & set(said)
        assert said.startswith("error: cannot read the recipe ")
    shapes = {"x" * 10**5: (4, 4)}
    for seed, name in enumerate(("base", "a", "b")):
        workshop.model(name, seed=seed, shapes=shapes if name != "b" else {"y": (4, 4)})
    assert len(workshop.refuse("plan", workshop.recipe())) < 2500


class TestRefusalsAreQuick:
    def test_nothing_heavy_is_imported(self, workshop: Any) -> None:
        recipe = workshop.trio()
        bad = workshop.recipe(models=["a", "gone"], name="bad.yaml")
        (workshop.folder / "taken").mkdir()
        out = workshop.folder / "out"
        commands: list[tuple[int, list[object]]] = [
            (0, ["plan", recipe]),
            (0, ["plan", recipe, "--json"]),
            (1, ["plan", bad]),
            (1, ["plan", workshop.folder / "gone.yaml"]),
            (1, ["merge", bad, "--out", out]),
            (1, ["merge", recipe, "--out", workshop.folder / "taken"]),
            (1, ["merge", recipe, "--out", workshop.folder / "a"]),
            (1, ["merge", recipe, "--out", out, "--device", "xyz"]),
            (1, ["inspect", workshop.folder / "base", workshop.folder / "gone"]),
            (1, ["inspect", workshop.folder / "base", workshop.folder / "a", "--sample", "2"]),
            (1, ["inspect", workshop.folder / "base", workshop.folder / "a", "--weights", "1,2"]),
            (0, ["verify", workshop.folder / "a"]),
            (1, ["verify", workshop.folder / "taken"]),
            (1, ["train", workshop.folder / "base", "--data", "gone.jsonl", "--orders", 2, "--out", "runs"]),
            (1, ["evaluate", workshop.folder / "a", "--data", workshop.folder / "gone"]),
            (1, ["evaluate", workshop.folder / "gone", "--data", recipe.with_suffix(".txt")]),
            (2, ["merge", recipe]),
        ]
        recipe.with_suffix(".txt").write_text("Some words.")
        script = f"""
import json, sys, time
from core.cli.commands import main
from core.cli.desktop import Desktop
desktop = Desktop(lambda: False, lambda demo: 0, lambda record, folder: [])
for status, arguments in json.loads(sys.argv[1]):
    begun = time.perf_counter()
    assert main(desktop, arguments) == status, arguments
    assert time.perf_counter() - begun < 1, arguments
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    assert not loaded, (arguments, loaded)
"""
        plain = [(status, [str(argument) for argument in arguments]) for status, arguments in commands]
        process = _python(script, json.dumps(plain))
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said

    def test_verify_imports_nothing_heavy(self, workshop: Any) -> None:
        out = workshop.folder / "out"
        assert workshop.run("merge", workshop.trio(), "--out", out).status == 0
        script = f"""
import sys
from gui.entry import main
sys.argv[0] = "paramosaic"
status = main()
assert not [name for name in {(*HEAVY, "PySide6")!r} if name in sys.modules]
sys.exit(status)
"""
        process = _python(script, "verify", out)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said


class TestStreams:
    def test_json_is_one_document_on_stdout(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("größer\n模型 😀", seed=3, config=None)
        recipe = workshop.recipe(models=["größer\n模型 😀", "b"])
        out = workshop.folder / "out"
        for arguments in (
            ["plan", recipe, "--json"],
            ["merge", recipe, "--out", out, "--json"],
            ["inspect", workshop.folder / "base", workshop.folder / "größer\n模型 😀", "--json"],
        ):
            result = workshop.run(*arguments)
            assert result.status == 0, result.stderr
            document = json.loads(result.stdout)
            assert "größer\n模型 😀" in json.dumps(document, ensure_ascii=False).replace("\\n", "\n")
            assert result.stdout.isascii()  # whatever the encoding of stdout
        assert json.loads((out / "paramosaic.json").read_bytes())["schema_version"] == 2

    def test_weights_say_what_draws_would_leave(self, workshop: Any) -> None:
        workshop.trio()
        models = [workshop.folder / name for name in ("base", "a", "b")]
        said = workshop.run("inspect", *models, "--weights", "3,1")
        assert said.status == 0, said.stderr
        assert "n resamples and the weights 3, 1" in said.stdout
        found = json.loads(workshop.run("inspect", *models, "--weights", "3,1", "--json").stdout)["all"]
        zero = found["zero_delta_share"]
        assert found["zero_after_draw"][0] == pytest.approx(0.75 * zero[0] + 0.25 * zero[1])

    def test_what_was_copied_and_differs_is_said(self, workshop: Any) -> None:
        shapes = {"w": (4, 4), "table": (4,)}
        for seed, name in enumerate(("base", "a", "b")):
            workshop.model(name, seed=0 if name == "a" else seed, shapes=shapes, dtypes={"table": "I64"})
        result = workshop.run("merge", workshop.recipe(), "--out", workshop.folder / "out")
        assert "note        table was copied from the base; it differs in b\n" in result.stdout

    def test_progress_and_warnings_go_to_stderr(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("bare", seed=3, config=None)
        recipe = workshop.recipe(models=["bare", "b"])
        result = workshop.run("merge", recipe, "--out", workshop.folder / "out")
        assert result.status == 0
        assert "warning: bare has no tokenizer" in result.stderr
        assert "100 %" in result.stderr
        assert "warning: " not in result.stdout
        assert "%  " not in result.stdout
        assert result.stdout.startswith("checkpoint ")

    def test_paths_of_all_kinds(self, workshop: Any) -> None:
        recipe = workshop.trio()
        for name in ("with space", "größer 模型 😀", "new\nline", 'it\'s "so"', "-dash", "%s {x}"):
            out = workshop.folder / name
            assert workshop.run("merge", recipe, "--out", out).status == 0
            assert workshop.run("verify", out).status == 0
            assert "exists already" in workshop.refuse("merge", recipe, "--out", out)
        said = workshop.refuse("verify", workshop.folder / "\x1b[31m\nred")
        assert r"\x1b[31m\nred does not exist" in said

    def test_names_cannot_steer_a_terminal(self, workshop: Any) -> None:
        shapes = {"w": (4, 4), "x\x1b[2J\nerror: no": (4,)}
        for seed, name in enumerate(("base", "a", "b\x1b[31m")):
            workshop.model(name, seed=seed, shapes=shapes, dtypes={"x\x1b[2J\nerror: no": "I64"}, config=None)
        recipe = workshop.folder / "recipe.yaml"
        models = ["base", "a", "b\x1b[31m"]
        recipe.write_text(json.dumps({"merge_method": "linear", "models": [{"model": m} for m in models]}))
        out = workshop.folder / "out\x1b[1m"
        base, *others = (workshop.folder / model for model in models)
        for arguments in (
            ["plan", recipe],
            ["merge", recipe, "--out", out],
            ["verify", out],
            ["inspect", base, *others],
        ):
            result = workshop.run(*arguments)
            assert result.status == 0, result.stderr
            assert (result.stdout + result.stderr).replace("\n", "").isprintable()
            assert "\nerror" not in result.stdout

    @pytest.mark.skipif(os.name != "posix", reason="the exit status of a closed pipe is POSIX's")
    def test_a_closed_pipe(self, workshop: Any) -> None:
        script = "import sys; from gui.entry import main; sys.exit(main())"
        process = _python(script, "plan", workshop.trio())
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(60) == 1
        assert "Traceback" not in said
        process.stderr.close()


class TestVerbose:
    def test_stdout_stays_as_it_is(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = workshop.trio()
        monkeypatch.setattr("core.cli.commands.free_disk_bytes", lambda place: 10**12)
        for arguments in (["plan", recipe], ["plan", recipe, "--json"]):
            plain = workshop.run(*arguments)
            assert plain.stderr == ""
            for verbose in (["-v", *arguments], [*arguments, "--verbose"], ["-v", *arguments, "-v"]):
                result = workshop.run(*verbose)
                assert (result.status, result.stdout) == (0, plain.stdout)
                assert "core.cli.commands: paramosaic " in result.stderr
                assert "core.plan.planning: planned parameter_selection of 2 sub-models" in result.stderr
                assert "opened" not in result.stderr
        assert "core.checkpoint.model: opened" in workshop.run("-vv", "plan", recipe).stderr

    def test_a_merge(self, workshop: Any) -> None:
        recipe = workshop.trio()
        out = workshop.folder / "out"
        result = workshop.run("merge", "-v", recipe, "--out", out)
        assert result.status == 0
        assert f"core.checkpoint.staging: {out} has its final name" in result.stderr
        assert "core.cli.commands: merge is done, after" in result.stderr
        refused = workshop.run("merge", "-v", recipe, "--out", out)
        assert refused.status == 1
        assert f"(OutputError, field out, path {out})" in refused.stderr
        assert "exists already" in refused.error


class TestHints:
    def test_what_is_left_is_removed_by_the_command_that_the_hint_gives(
        self, workshop: Any, tmp_path: Path
    ) -> None:
        recipe, out = workshop.trio(), tmp_path / "it's mine" / "out"
        (out.with_name("out.partial") / ".paramosaic").mkdir(parents=True)
        said = workshop.run("merge", recipe, "--out", out)
        assert said.status == 1
        (line,) = [line for line in said.stderr.splitlines() if line.startswith("hint: ")]
        words = shlex.split(line[line.index("paramosaic discard") :])
        assert workshop.run(*words[1:]).status == 0
        assert not out.with_name("out.partial").exists()
        assert workshop.run("merge", recipe, "--out", out).status == 0


class TestOverwrite:
    def test_a_previous_output(self, workshop: Any) -> None:
        recipe = workshop.trio()
        out = workshop.folder / "out"
        assert workshop.run("merge", recipe, "--out", out).status == 0
        (out / ".DS_Store").write_text("of a desktop")
        assert workshop.run("merge", recipe, "--out", out, "--overwrite", "--seed", "8").status == 0
        assert not (out / ".DS_Store").exists()
        assert json.loads((out / "paramosaic.json").read_bytes())["recipe"]["seed"] == 8
        assert not list(workshop.folder.glob("out.*"))

    def test_what_the_record_does_not_list_stays(self, workshop: Any) -> None:
        recipe = workshop.trio()
        out = workshop.folder / "out"
        assert workshop.run("merge", recipe, "--out", out).status == 0
        (out / "thesis.tex").write_text("mine")
        before = workshop.snapshot()
        said = workshop.refuse("merge", recipe, "--out", out, "--overwrite", "--seed", "8")
        assert "thesis.tex" in said
        assert workshop.snapshot() == before

    def test_an_empty_folder(self, workshop: Any) -> None:
        (workshop.folder / "out").mkdir()
        result = workshop.run("merge", workshop.trio(), "--out", workshop.folder / "out", "--overwrite")
        assert result.status == 0

    def test_an_old_output_is_put_back(self, workshop: Any) -> None:
        recipe = workshop.trio()
        out = workshop.folder / "out"
        assert workshop.run("merge", recipe, "--out", out).status == 0
        whole = (out / "model.safetensors").read_bytes()
        with pytest.MonkeyPatch.context() as patch:  # a crash between two renames
            rename = core.disk.system.rename

            def stops(name: Any, new: Any, **how: Any) -> None:
                if Path(name).name == "out.partial" or Path(new).name == "out":
                    raise OSError(errno.EIO, "Input/output error")
                rename(name, new, **how)

            patch.setattr(core.disk.system, "rename", stops)
            assert workshop.run("merge", recipe, "--out", out, "--overwrite", "--seed", "8").status == 1
        assert not out.exists()
        (aside,) = workshop.folder.glob("out.old-*")
        result = workshop.run("merge", recipe, "--out", out, "--seed", "8", "--resume")
        assert result.status == 1
        assert "exists already" in result.error
        assert (out / "model.safetensors").read_bytes() == whole
        assert not aside.exists()
        result = workshop.run("merge", recipe, "--out", out, "--seed", "8", "--resume", "--overwrite")
        assert result.status == 0
        assert json.loads((out / "paramosaic.json").read_bytes())["recipe"]["seed"] == 8
        assert not list(workshop.folder.glob("out.*"))

    def test_inputs_stay_as_they_are(self, workshop: Any) -> None:
        recipe = workshop.trio()
        before = workshop.snapshot()
        assert workshop.run("merge", recipe, "--out", workshop.folder / "out").status == 0
        after = workshop.snapshot()
        assert {path: after[path] for path in before} == before


_SLOW_MERGE = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
from core.sources.files import OpenInputs
from gui.entry import main
read = OpenInputs.read
def slowly(self, *arguments):
    time.sleep(0.05)
    read(self, *arguments)
OpenInputs.read = slowly
sys.argv[0] = "paramosaic"
sys.exit(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_signal_cancels(workshop: Any, number: signal.Signals) -> None:
    shapes = {f"layers.{at}.weight": (4, 4) for at in range(400)}
    for seed, name in enumerate(("base", "a", "b")):
        workshop.model(name, seed=seed, shapes=shapes)
    recipe = workshop.recipe()
    before = workshop.snapshot()
    process = _python(_SLOW_MERGE, "merge", recipe, "--out", workshop.folder / "out", "--threads", "1")
    deadline = time.monotonic() + 60
    while not (workshop.folder / "out.partial" / "model.safetensors").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert said == ""
    assert errors.endswith("cancelled\n")
    assert "Traceback" not in errors
    assert workshop.snapshot() == before
