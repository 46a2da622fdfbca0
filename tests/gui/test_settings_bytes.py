"""Whatever the places of docks are as bytes, they are read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from gui.settings import Settings


@pytest.mark.parametrize("around", [b"\0\x02", b",", b'"', b"\\", b"=a;"])
def test_every_byte_comes_back(tmp_path: Path, around: bytes) -> None:
    for byte in b"\0\x02\x19\x7f\xff\n aAfFx019\"\\\\,;=@()%':":
        settings = Settings(tmp_path / "settings.ini")
        settings.window_state = around + bytes([byte]) + around
        settings.device = "cpu"
        settings.sync()
        again = Settings(tmp_path / "settings.ini")
        assert again.window_state == around + bytes([byte]) + around
        assert again.device == "cpu"
