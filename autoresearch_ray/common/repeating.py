"""What goes on beside the main thread until the end of a `with`, and how long it pauses after failures."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beside(name: str, work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `work` in a thread; its argument is set when the `with` ends, which waits until it returns."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def pause_after(failures: int, bounds: tuple[float, float]) -> float:
    """Seconds to wait after so many failures in a row (from 1): the first bound, doubled each time up to the second."""
    first, longest = bounds
    return min(longest, first * 2.0 ** min(failures - 1, 32))
