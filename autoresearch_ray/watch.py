"""A run's page in a browser of this machine, alive while the run goes: `python -m autoresearch_ray.watch RUN_DIR`.

The page is the run's report.html, which follows the store. It listens on 127.0.0.1 alone and changes nothing. Ctrl-C
ends it. Exit status: 0 ended, 2 it cannot be shown.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.errors import AutoresearchError, SettingsError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.live_page.server import PageServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.watch", description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; a free one unless said")
    options = parser.parse_args(arguments)
    try:
        server = _open(options.run_dir, options.port)
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    os.nice(10)  # trials go first
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with server:
        STDOUT.write(f"watching {options.run_dir} at {server.url}\n")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _open(folder: Path, port: int) -> PageServer:
    """A server that has shown the run once. AutoresearchError when there is none, or none to show."""
    if not 0 <= port <= 65535:
        raise SettingsError(f"--port {port}: expected 1 to 65535")
    try:
        server = PageServer(folder, port)
    except OSError as error:
        raise SettingsError(f"--port {port}: {error.strerror}; expected a port that is free") from None
    try:
        server.page.render()
    except AutoresearchError:
        server.server_close()
        raise
    return server


if __name__ == "__main__":
    sys.exit(main())
