"""Tells that something changed in a folder, through the kernel's own notices; a hint, never the truth."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from ghostd.base.errors import Cannot

#: Changes within so many milliseconds are told together.
_TOGETHER = 300
#: The library looks at its own list of changes so often (milliseconds); a sleep, no file is touched.
_STEP = 100


class Watch:
    """Watches folders, not what is below their folders. `fileno` is readable while changes wait.

    Raises Cannot(no-watch) where the kernel refuses, or a folder has just gone.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stop = threading.Event()
        self._changed: set[Path] = set()
        self._lock = threading.Lock()
        try:
            self._notify = RustNotify([str(folder) for folder in folders], False, False, 0, False, False)
        except (OSError, WatchfilesRustInternalError) as error:
            os.close(self._read)
            os.close(self._write)
            hint = "changes are still found, later, by looking; fs.inotify.max_user_watches may be too low"
            raise Cannot(f"watch folders: {error}", kind="no-watch", hint=hint) from error
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._read

    def changes(self) -> frozenset[Path]:
        """The paths that changed since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        with self._lock:
            found = frozenset(self._changed)
            self._changed.clear()
        return found

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._notify.close()
        os.close(self._read)
        os.close(self._write)

    def _run(self) -> None:
        while not self._stop.is_set():
            found = self._notify.watch(_TOGETHER, _STEP, 0, self._stop)
            if isinstance(found, str):
                continue
            with self._lock:
                self._changed.update(Path(path) for _, path in found)
            # A full pipe means that the reader has been told.
            with contextlib.suppress(BlockingIOError):
                os.write(self._write, b"\0")
