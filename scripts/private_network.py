"""Run a command where only a loopback interface of its own exists, and where all its processes end with it.

Thespian's multi-process bases listen on 0.0.0.0 and unpickle what arrives, so they are started nowhere else. Needs
Linux, and root or unprivileged user namespaces. As a module: bring the loopback up, then become the given command.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_OWN = ("--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1  # netdevice(7)


def enclosed(command: list[str]) -> list[str] | None:
    """`command`, wrapped so that it runs enclosed; None where this machine does not permit that. Run it in ROOT."""
    if shutil.which("unshare") is None:
        return None
    for options in (_OWN, ("--map-root-user", *_OWN)):
        if subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0:
            return ["unshare", *options, sys.executable, "-m", "scripts.private_network", *command]
    return None


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


if __name__ == "__main__":
    _raise_loopback()
    os.environ["THESPIAN_BASE_IPADDR"] = "127.0.0.1"  # else Thespian asks a public resolver's route
    os.execvp(sys.argv[1], sys.argv[1:])
