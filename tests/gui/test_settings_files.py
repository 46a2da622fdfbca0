"""Settings of nonsense: the window starts all the same, soon, and leaves the file alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gui.settings import Settings

NONSENSE: dict[str, bytes] = {
    "binary": bytes(range(256)) * 40,
    "a list of a size that is none": b"[General]\nversion=@Variant(\\0\\0\\0\\x9\\x7f\\xff\\xff\\xff)\n",
    "the same, disguised": b"[General]\nversion=\\x40Variant(\\0\\0\\0\\x9\\x7f\\xff\\xff\\xff)\n",
    "the same, in octal": b"[General]\nversion=\\100Variant(\\0\\0\\0\\x9\\x7f\\xff\\xff\\xff)\n",
    "the same, in a list": b"[recipes]\nrecent=a, @Variant(\\0\\0\\0\\xb\\xff\\xff\\xff\\xf0)\n",
    "the same, on the next line": b"[General]\nversion=\\\n@Variant(\\0\\0\\0\\x9\\x7f\\xff\\xff\\xff)\n",
    "the same, after bytes": b'[a]\nb="@ByteArray(a)", @Variant(\\0\\0\\0\\x9\\x7f\\xff\\xff\\xff)\n',
    "numbers of thousands of digits": b"[General]\nversion="
    + b"9" * 9000
    + b"\n[merge]\nthreads=0"
    + b"1" * 9000,
    "other types": b"[General]\nversion=1\n[merge]\ndevice=a, b\nthreads=x\n[window]\ngeometry=1\nstate=\n",
    "no text": b"[recipes]\nrecent=\xff\xfe, \\x0\n[General]\nversion=1\n",
    "a huge file": b"#" * 2_000_000,
}


def _use(settings: Settings) -> None:
    settings.add_recent_recipe(Path("/a/recipe.yaml"))
    assert settings.recent_recipes[0] == Path("/a/recipe.yaml")
    assert settings.shard_size_bytes > 0
    assert settings.threads is None or settings.threads > 0
    settings.device = "cpu"
    assert settings.device == "cpu"
    assert isinstance(settings.geometry, bytes)
    settings.sync()


def test_nonsense(tmp_path: Path) -> None:
    """In a process of its own: Qt ends it for some of these."""
    for number, content in enumerate(NONSENSE.values()):
        (tmp_path / f"{number}.ini").write_bytes(content)
    text = (
        "import pathlib, gui.settings\n"
        f"for number in range({len(NONSENSE)}):\n"
        f"    settings = gui.settings.Settings(pathlib.Path({str(tmp_path)!r}, f'{{number}}.ini'))\n"
        "    settings.device = 'cpu'\n"
        "    print(settings.device, settings.threads, settings.shard_size_bytes, settings.recent_recipes)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-c", text], env=environment, check=False, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert len(said.stdout.splitlines()) == len(NONSENSE)
    for number, (kind, content) in enumerate(NONSENSE.items()):
        if "the same" in kind or "size" in kind:
            assert (tmp_path / f"{number}.ini").read_bytes() == content, kind


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link in a circle", "gigabytes"])
def test_what_is_no_file_of_settings(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "settings.ini"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "gigabytes":
        with path.open("wb") as file:
            file.truncate(4_000_000_000)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path.name)
    before = time.monotonic()
    _use(Settings(path))
    assert time.monotonic() - before < 2


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "settings.ini"
    names = ["/a/x@y/r.yaml", "/a/@Variant(x", "/b/ü, =;\"'%.yaml", "/c/ a b.yaml"]
    settings = Settings(path)
    for name in names:
        settings.add_recent_recipe(Path(name))
    settings.geometry = bytes(range(256))
    settings.window_state = b'@"=,;\\)(' * 4
    settings.sync()
    again = Settings(path)
    assert again.recent_recipes == [Path(name) for name in reversed(names)]
    assert (again.geometry, again.window_state) == (settings.geometry, settings.window_state)
