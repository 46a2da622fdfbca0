"""Where numba keeps what it compiled. To be imported before numba is."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

__all__: list[str] = []


def _give_numba_a_place() -> None:
    """Where neither this package nor a home can be written to, let numba cache in a folder of this process.

    A folder that others can write to would not do: the cache holds code.
    """
    if "NUMBA_CACHE_DIR" in os.environ or os.access(Path(__file__).parent, os.W_OK):
        return
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        home = os.path.expanduser("~/Library/Caches")
    else:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    try:
        place = Path(home or "", "numba")
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            return
    except OSError:
        pass
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="paramosaic-")


_give_numba_a_place()
