"""The first module that runs: answers `--version` at once, hands everything else to the program that was called.

Importing click costs more than Python's own start, and a prompt or a health check often asks for nothing but that.
"""

from __future__ import annotations

import sys

from ghostd import __version__


def main() -> None:
    """`python -I ghostd/cli/start.py ghost …`: the launchers' door."""
    program = sys.argv.pop(1)
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"{program}, version {__version__}\n")
        return
    if program == "ghostd":
        from ghostd.cli import ghostd

        ghostd.main()
    else:
        from ghostd.cli import ghost

        ghost.main()


if __name__ == "__main__":
    main()
