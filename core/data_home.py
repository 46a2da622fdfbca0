"""Where this user's own data of the program are: the history of runs, scores, and merges that do not last."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["data_home"]


def data_home() -> Path:
    """Where this system keeps such data; $PARAMOSAIC_DATA_DIR where that is set."""
    chosen = os.environ.get("PARAMOSAIC_DATA_DIR")
    if chosen:
        return Path(chosen).absolute()
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local", "Paramosaic")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "Paramosaic"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))  # to be ignored where it is not absolute
    return (data if data.is_absolute() else home / ".local" / "share") / "paramosaic"
