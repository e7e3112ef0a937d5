"""What other users of this machine see of this process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def hide_argument(secret: str) -> bool:
    """Overwrite a secret in this process's command line, as `ps` and monitors read it.

    The command line lies in the process's own memory; Linux says where (proc(5): `arg_start`,
    `arg_end`). Until this moment others could read it.

    Returns:
        Whether it is not to be seen there now.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        shown = ctypes.string_at(start, end - start)
    except (OSError, ValueError, IndexError):
        return False
    wanted = os.fsencode(secret)
    at = shown.find(wanted)
    while at >= 0:
        ctypes.memset(start + at, ord("*"), len(wanted))
        at = shown.find(wanted, at + 1)
    return wanted not in Path("/proc/self/cmdline").read_bytes()
