"""What the window remembers between two sessions."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths

from core.errors import MergeError
from core.plan.planning import DEFAULT_SHARD_SIZE_BYTES
from core.small_files import read_if_there

__all__ = ["VERSION", "Settings"]

VERSION = 1
"""Of the keys and what they mean."""

_MAX_RECENT = 10
_MAX_BYTES = 1_000_000
_MAX_DIGITS = 19

_BYTES = re.compile(rb'[^=]+=(?:@ByteArray\((?:[^\\,;="]|\\.)*\)|"@ByteArray\((?:[^"\\]|\\.)*\)")', re.DOTALL)
_OTHER_TYPE = re.compile(rb"(?<![\w./@-])@(?!@)|\\x[0-9a-fA-F]*40|\\[0-7]*100")
"""The sign with which Qt begins a value of a type, but in the middle of a word; and the same, disguised."""

_log = logging.getLogger(__name__)


class Settings:
    """A typed file of settings. A value that cannot be understood counts as not there.

    Where the file is none that this could have written, it is left alone and nothing is remembered.

    Args:
        path: an INI file; None for the one in the user's configuration folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            location = QStandardPaths.StandardLocation.AppConfigLocation
            path = Path(QStandardPaths.writableLocation(location)) / "settings.ini"
        self._store: _Store = (
            QSettings(str(path), QSettings.Format.IniFormat) if _is_sound(path) else _Forgetful()
        )
        migrate(self._store)

    def sync(self) -> None:
        """Write now what would be written a moment later."""
        self._store.sync()

    # -- the window

    @property
    def geometry(self) -> bytes:
        """Of the window; empty where there is none."""
        return self._bytes("window/geometry")

    @geometry.setter
    def geometry(self, value: bytes) -> None:
        self._store.setValue("window/geometry", QByteArray(value))

    @property
    def window_state(self) -> bytes:
        """Of its docks; empty where there is none."""
        return self._bytes("window/state")

    @window_state.setter
    def window_state(self, value: bytes) -> None:
        self._store.setValue("window/state", QByteArray(value))

    @property
    def window_heights(self) -> tuple[int, int] | None:
        """Of the window as it was left, and of the docks below the pictures in it; None where that is not
        known."""
        heights = [_number(text) for text in self._text("window/heights").split()]
        return (heights[0], heights[1]) if len(heights) == 2 and 0 < heights[1] < heights[0] else None

    @window_heights.setter
    def window_heights(self, value: tuple[int, int] | None) -> None:
        self._store.setValue("window/heights", "" if value is None else f"{value[0]} {value[1]}")

    @property
    def recipe_unfolded(self) -> bool:
        """Whether the recipe's folded part is open."""
        return self._text("window/recipe_unfolded") == "true"

    @recipe_unfolded.setter
    def recipe_unfolded(self, value: bool) -> None:
        self._store.setValue("window/recipe_unfolded", "true" if value else "false")

    @property
    def theme(self) -> str:
        """ "light", "dark", or "" for the system's."""
        text = self._text("window/theme")
        return text if text in {"light", "dark"} else ""

    @theme.setter
    def theme(self, value: str) -> None:
        self._store.setValue("window/theme", value)

    # -- recipes

    @property
    def recent_recipes(self) -> list[Path]:
        """The files that were opened or saved last, the latest first. They are not looked for here."""
        value = self._store.value("recipes/recent")
        texts = value if isinstance(value, list) else [value]
        return [Path(text) for text in texts if isinstance(text, str) and text]

    def add_recent_recipe(self, path: Path) -> None:
        path = path.absolute()
        recent = [path, *(other for other in self.recent_recipes if other != path)][:_MAX_RECENT]
        self._store.setValue("recipes/recent", [str(entry) for entry in recent])

    # -- where things were saved

    def saved_in(self, kind: str) -> Path | None:
        """The folder in which something of that kind was saved last; None at first."""
        text = self._text(f"saved/{kind}")
        return Path(text) if text else None

    def set_saved_in(self, kind: str, folder: Path) -> None:
        self._store.setValue(f"saved/{kind}", str(folder))

    # -- merging

    @property
    def device(self) -> str:
        """The device that was chosen last, "auto" at first."""
        return self._text("merge/device") or "auto"

    @device.setter
    def device(self, value: str) -> None:
        self._store.setValue("merge/device", value)

    @property
    def threads(self) -> int | None:
        """None for as many as get the most done."""
        return self._whole("merge/threads")

    @threads.setter
    def threads(self, value: int | None) -> None:
        self._store.setValue("merge/threads", "" if value is None else str(value))

    @property
    def shard_size_bytes(self) -> int:
        """Of one output file."""
        return self._whole("merge/shard_size_bytes") or DEFAULT_SHARD_SIZE_BYTES

    @shard_size_bytes.setter
    def shard_size_bytes(self, value: int) -> None:
        self._store.setValue("merge/shard_size_bytes", str(value))

    # -- inside

    def _text(self, key: str) -> str:
        value = self._store.value(key)
        return value if isinstance(value, str) else ""

    def _whole(self, key: str) -> int | None:
        """A whole number above zero, or None."""
        text = self._text(key)
        return number if (number := _number(text)) and number < 2**63 else None

    def _bytes(self, key: str) -> bytes:
        value = self._store.value(key)
        return bytes(value.data()) if isinstance(value, QByteArray) else b""


class _Store(Protocol):
    """What is used of QSettings."""

    def value(self, key: str, default: Any = None, /) -> Any: ...
    def setValue(self, key: str, value: Any, /) -> None: ...
    def sync(self) -> None: ...
    def clear(self) -> None: ...


class _Forgetful:
    """Settings that last as long as the window."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def value(self, key: str, default: Any = None, /) -> Any:
        return self._values.get(key, default)

    def setValue(self, key: str, value: Any, /) -> None:
        self._values[key] = value

    def sync(self) -> None: ...

    def clear(self) -> None:
        self._values.clear()


def _is_sound(path: Path) -> bool:
    """Whether Qt may read the file.

    It would wait for a pipe, read a file of gigabytes, and end the process for a list of a size that is none.
    """
    try:
        content = read_if_there(path, _MAX_BYTES, MergeError)
    except MergeError as error:
        _log.warning("the settings are not read and not kept: %s", error)
        return False
    for line in (content or b"").splitlines():
        if not _BYTES.fullmatch(line) and _OTHER_TYPE.search(line):
            _log.warning("the settings are not read and not kept: %s has values of a strange type", path)
            return False
    return True


def _number(text: str) -> int:
    """The whole number that `text` is; 0 where it is none, or one of too many digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else 0


def migrate(store: _Store) -> None:
    """Bring a file of an earlier version up to date. A later version's is read as far as it can be."""
    if _number(str(store.value("version", ""))) < 1:
        store.clear()  # before version 1 nothing was kept; whatever lies here is not ours
        store.setValue("version", str(VERSION))
