"""The thread behind a view: it looks repeatedly, ends when there is no more to see, and starts anew."""

import threading


class LookingThread:
    """NAME: of the thread. A subclass says what to look at (`_turn`), and how long to rest (`_rest`)."""

    NAME = "tlcourse-view"

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def wake(self) -> None:
        """Make sure the thread is running. Any thread may call this."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._live, name=self.NAME, daemon=True)
                self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """Look no more. Returns when the thread has ended, unless that takes seconds."""
        self._closed = True
        self._wake.set()
        thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join(timeout=10)

    def _live(self) -> None:
        try:
            while not self._closed and self._turn():
                self._wake.wait(self._rest())
                self._wake.clear()
        except BaseException:  # shown by threading's hook; the next message starts a new thread
            with self._lock:
                self._thread = None
            raise

    def _turn(self) -> bool:
        """Look once. False, and `_thread` is None, if the thread may end."""
        raise NotImplementedError

    def _rest(self) -> float:
        """Seconds until the next look, if nobody wakes the thread before."""
        raise NotImplementedError
