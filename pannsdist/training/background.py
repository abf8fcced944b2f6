"""Writing beside the training: one thread, one job at a time, and no error of it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Does jobs in a thread, in the order in which they were given. At most one is under way."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a job is under way; looking waits for nothing."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def failed(self) -> bool:
        """Whether a job has failed since `settle` was called; looking waits for nothing."""
        return self._error is not None

    def start(self, job: Callable[[], None]) -> None:
        """Have a job done, once the one before it is done. Raises what that one raised."""
        self.settle()
        self._thread = threading.Thread(target=self._do, args=(job,), name="writing")
        self._thread.start()

    def fail(self, error: Exception) -> None:
        """Have an error from elsewhere raised where somebody waits."""
        self._error = error

    def settle(self) -> None:
        """Wait for what is under way. Raises what it raised, once."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - it is raised again, where somebody waits
            self._error = error
