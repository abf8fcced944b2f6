"""Background writes: one thread, one job at a time; errors are raised by the next `wait` or `submit`."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundWriter:
    """Runs jobs in a thread, in the order of submission, at most one at a time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a job is running; does not block."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def failed(self) -> bool:
        """Whether a job has failed since the last `wait`; does not block."""
        return self._error is not None

    def submit(self, job: Callable[[], None]) -> None:
        """Start a job once the previous one is done. Raises the previous job's error instead of starting."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(job,), name="writing")
        self._thread.start()

    def set_error(self, error: Exception) -> None:
        """Have the next `wait` raise an error that occurred outside a job."""
        self._error = error

    def wait(self) -> None:
        """Wait for the running job. Raises its error, once."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - `wait` raises it again
            self._error = error
