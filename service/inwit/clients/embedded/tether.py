"""Runs a program that ends when its parent does: `python -m inwit.clients.embedded.tether CMD…`."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h; kept across exec


def tether() -> None:
    """Ask Linux to stop this process with its parent, so that even `kill -9` leaves nothing behind.

    Elsewhere this does nothing, and only an orderly stop ends the children.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    tether()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # the command is our own
