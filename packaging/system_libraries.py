"""Make sure that the shared libraries that Qt takes from the system are there.

PySide6 brings Qt itself, but Qt leaves OpenGL, fonts, the keyboard and X11 to the system, and a bare Linux
machine or container lacks some of these. Where all of them load, this says nothing and exits 0. Where some
are missing, root on a system with apt-get has them installed, and everybody else gets the line to type and
exit code 1. macOS and Windows need nothing.

The standard library only, and Python 3.8 or newer, since this runs before there is a .venv.

Usage: python packaging/system_libraries.py [--x11]

--x11 also asks for what a real X screen needs; a DISPLAY in the environment asks for it as well.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # python -I leaves it out

from gui.display import ALWAYS, X11, missing_libraries  # noqa: TID251 - of the standard library


def install(packages: List[str]) -> None:
    """Install Debian packages, as root. apt-get says what went wrong; the caller looks whether it worked."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        subprocess.run(
            ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )


def main(arguments: List[str]) -> int:
    """Check, install where that is allowed, and return the exit code."""
    if arguments not in ([], ["--x11"]):
        print("usage: python packaging/system_libraries.py [--x11]", file=sys.stderr)
        return 2
    if not sys.platform.startswith("linux"):
        return 0

    wanted = dict(ALWAYS)
    if arguments or os.environ.get("DISPLAY"):
        wanted.update(X11)
    lacking = missing_libraries(wanted)
    has_apt = shutil.which("apt-get") is not None
    if lacking and has_apt and os.geteuid() == 0:
        packages = sorted(set(lacking.values()))
        print("Installing system libraries that Qt needs: " + " ".join(packages), file=sys.stderr, flush=True)
        install(packages)
        lacking = missing_libraries(lacking)
    if not lacking:
        return 0

    if has_apt:
        line = "sudo apt-get install -y --no-install-recommends " + " ".join(sorted(set(lacking.values())))
        print("Qt needs system libraries that are missing here; install them with: " + line, file=sys.stderr)
    else:
        print(
            "Qt needs system libraries that are missing here; install the packages that hold "
            + ", ".join(sorted(lacking)),
            file=sys.stderr,
        )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
