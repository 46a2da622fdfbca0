"""Where the file dialogs begin: where such a thing was saved last, never among the program's own files."""

from __future__ import annotations

import os
import sysconfig
from functools import cache
from pathlib import Path

from gui.settings import Settings
from resources import DEMO_FOLDER

__all__ = ["Places", "current_folder", "is_ours"]

_FOREIGN = frozenset({"site-packages", "dist-packages"})


class Places:
    """Remembers, for each kind of thing that is saved, the folder of the last one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self, kind: str, *others: Path | None, here: Path | None = None) -> Path:
        """A folder that is there, in which a file can be made.

        Args:
            kind: of what is saved: "recipe", "pictures", "log" or "output".
            others: where to begin while nothing of the kind was saved, the best first.
            here: where it is now, which comes before all of these.
        """
        for folder in (here, self._settings.saved_in(kind), *others, current_folder()):
            usable = None if folder is None else _usable(folder)
            if usable is not None:
                return usable
        return Path.home()

    def remember(self, kind: str, folder: Path) -> None:
        """Something of that kind was saved in `folder`."""
        self._settings.set_saved_in(kind, folder.absolute())


def is_ours(path: Path) -> bool:
    """Whether `path` is among the files of the program, or of the packages that it was installed with."""
    real = Path(os.path.realpath(path))
    return not _FOREIGN.isdisjoint(real.parts) or any(real.is_relative_to(one) for one in _own_folders())


@cache
def _own_folders() -> tuple[Path, ...]:
    top = Path(__file__).parents[2]
    packages = [DEMO_FOLDER.parent, top / "core", top / "gui"]
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    return tuple(Path(os.path.realpath(folder)) for folder in (*packages, *installed))


def current_folder() -> Path | None:
    """The folder in which the program runs; None where that is gone."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _usable(folder: Path) -> Path | None:
    """`folder`, or the nearest one around it that is there; None where nothing of the user's goes in."""
    try:
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
    except (OSError, ValueError):
        return None
    return folder if os.access(folder, os.W_OK) and not is_ours(folder) else None
