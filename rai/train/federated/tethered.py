"""A Flower command whose process ends when the process that started it does, however that one ended.

Run by its path, so that nothing heavy is imported: `python -P tethered.py PARENT COMMAND [OPTIONS]`, where PARENT is
the number of a process and COMMAND one of Flower's. It leads a group of processes, and takes the whole group with it.
"""

import os
import signal
import sys
import threading
import time
from importlib.metadata import entry_points

EVERY = 0.5


def tether(parent: int) -> None:
    """From now on, end this process and its group as soon as `parent` is not its parent any more."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main() -> None:
    """Run the command that is named, with its options, as if it had been called by itself."""
    parent, command, *options = sys.argv[1:]
    tether(int(parent))
    sys.argv = [command, *options]
    (found,) = entry_points(group="console_scripts", name=command)
    found.load()()


if __name__ == "__main__":
    main()
