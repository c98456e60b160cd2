"""The code that a user trusts on this machine: digests of files, kept in the user's state folder.

An experiment's folder, with the files of its models, may come from anywhere. A digest is only added when the user names
the file with `--models` or trusts it with `--trust-code`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tui_attn.system.files import user_folder
from tui_attn.system.plain_file import open_to_write, read_own

TRAVELLED = "TUI_ATTN_TRUSTED"
"""Environment variable of workers on other hosts: digests that the user trusts where the experiment was started."""


_MOST_BYTES = 1 << 24
"""Of the list."""


class TrustError(Exception):
    """The list can't be written; the message is one line and says what to do."""


def is_trusted(sha256: str) -> bool:
    """Whether this user trusts the file with this digest. A list that others may write to is ignored.

    On other hosts, which may have another list, the digests come with a worker's environment.
    """
    if sha256 in os.environ.get(TRAVELLED, "").split(","):
        return True
    path = _path()
    listed = None if path is None else read_own(path, _MOST_BYTES)
    return listed is not None and sha256.encode() in listed.split()


def trust(sha256: str) -> None:
    """Record that this user trusts the file with this digest. Raises `TrustError`."""
    if is_trusted(sha256):
        return
    path = _path()
    if path is None:
        raise TrustError("there is no home folder to record trusted code in: set XDG_STATE_HOME")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = open_to_write(path, os.O_APPEND)
        with os.fdopen(fd, "r+b", buffering=0) as file:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"  # written while the disk was full
            line = b"\n" * torn + sha256.encode() + b"\n"
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise TrustError(f"can't write {path} ({error.strerror}): set XDG_STATE_HOME to a folder of yours") from None
    if not is_trusted(sha256):
        raise TrustError(f"{path} may be written by others: give it the mode 0600, or remove it")


def _path() -> Path | None:
    """One digest a line; None for a user without a home."""
    folder = user_folder("state")
    return None if folder is None else folder / "own-code.sha256"
