"""What an item has written to standard output and standard error."""

from __future__ import annotations

import os

# Of a longer output the beginning and the end are kept.
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 3 << 20
# So much is kept whole.
WHOLE_BYTES = _HEAD_BYTES + _TAIL_BYTES


def read_log(handle: int) -> bytes:
    """Return what a file holds, without its middle where it is long."""
    size = os.fstat(handle).st_size
    left_out = size - WHOLE_BYTES
    if left_out <= 0:
        return os.pread(handle, size, 0)
    note = f"\n[cloudknot: {left_out} bytes are left out here]\n".encode()
    return os.pread(handle, _HEAD_BYTES, 0) + note + os.pread(handle, _TAIL_BYTES, size - _TAIL_BYTES)


def unshown(log: bytes, shown: int) -> bytes:
    """Return what is left to show of a log whose item has ended.

    Parameters
    ----------
    log : bytes
        What ``read_log`` returned of it at its end.
    shown : int
        Bytes of it that were shown while they were written.
    """
    is_cut = len(log) > WHOLE_BYTES
    return log[min(shown, _HEAD_BYTES) if is_cut else shown :]
