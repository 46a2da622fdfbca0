"""What the window remembers between two sessions."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths

from core.plan.planning import DEFAULT_SHARD_SIZE_BYTES

__all__ = ["VERSION", "Settings"]

VERSION = 1
"""Of the keys and what they mean."""

_MAX_RECENT = 10


class Settings:
    """A typed file of settings. A value that cannot be understood counts as not there.

    Args:
        path: an INI file; None for the one in the user's configuration folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            location = QStandardPaths.StandardLocation.AppConfigLocation
            path = Path(QStandardPaths.writableLocation(location)) / "settings.ini"
        self._store = QSettings(str(path), QSettings.Format.IniFormat)
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
    def recipe_unfolded(self) -> bool:
        """Whether the recipe's folded part is open."""
        return self._text("window/recipe_unfolded") == "true"

    @recipe_unfolded.setter
    def recipe_unfolded(self, value: bool) -> None:
        self._store.setValue("window/recipe_unfolded", "true" if value else "false")

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
        """None for one a core, up to eight."""
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

    @property
    def throughput(self) -> str:
        """What was measured of this machine, as JSON; "" at first."""
        return self._text("merge/throughput")

    @throughput.setter
    def throughput(self, value: str) -> None:
        self._store.setValue("merge/throughput", value)

    # -- inside

    def _text(self, key: str) -> str:
        value = self._store.value(key)
        return value if isinstance(value, str) else ""

    def _whole(self, key: str) -> int | None:
        """A whole number above zero, or None."""
        text = self._text(key)
        return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**63 else None

    def _bytes(self, key: str) -> bytes:
        value = self._store.value(key)
        return bytes(value.data()) if isinstance(value, QByteArray) else b""


def migrate(store: QSettings) -> None:
    """Bring a file of an earlier version up to date. A later version's is read as far as it can be."""
    text = str(store.value("version", ""))
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        store.clear()  # before version 1 nothing was kept; whatever lies here is not ours
        store.setValue("version", str(VERSION))
