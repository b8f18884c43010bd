"""Run a command that dies with whoever started it.

    lifeline.py COMMAND [ARGUMENT …]

The starter holds the other end of our standard input. When it ends, by whatever means (`kill -9` too), the pipe closes and
the whole process group goes: the command, and what it started.
"""

import os
import signal
import subprocess
import sys
import threading


def end_with_starter() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The whole group gets it; we stay until the command has cleaned up. (A handler, which exec resets: it must not inherit "ignore".)
        signal.signal(number, lambda _number, _frame: None)
    threading.Thread(target=end_with_starter, daemon=True).start()
    try:
        code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        print(f"{sys.argv[1]}: {error.strerror}", file=sys.stderr)
        return 127
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
