r"""What the items of a job write, in one stream of lines: said by the job, read out of its log.

A line that begins with ``[cloudknot] `` is the job's own, and all others are an item's as it wrote them::

    [cloudknot] item 17        what follows was written by item 17 of the map
    [cloudknot] | a line       a line of the item's, with \\ for a backslash and \xff for what is no UTF-8
    [cloudknot] > a part       likewise, and its rest is in the next line
    [cloudknot] ! words        the job's own words

So an item's line goes through whole also where it looks like one of the job's, and where a log has no room
for it: CloudWatch has no empty lines, no bytes that are no UTF-8, and docker's driver cuts at 16 KiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MARK = b"[cloudknot] "
_ITEM, _LINE, _PART, _WORDS = b"item", b"|", b">", b"!"
# docker cuts lines at 16 KiB, and a byte that is no UTF-8 takes four.
_LINE_BYTES = 4000
_ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def header(index: int) -> bytes:
    """Return the line that stands before what an item writes."""
    return b"%s%s %d\n" % (_MARK, _ITEM, index)


def words(text: str) -> bytes:
    """Return a line of the job's own."""
    return b"%s%s %s\n" % (_MARK, _WORDS, " ".join(text.split()).encode(errors="backslashreplace"))


def encode(written: bytes) -> bytes:
    r"""Return what an item wrote as lines of the stream.

    Examples
    --------
    >>> encode(b"fit 1\n\nfit 2: [")
    b'fit 1\n[cloudknot] | \n[cloudknot] > fit 2: [\n'
    """
    *lines, rest = written.split(b"\n")
    return b"".join([*(_encode_line(line, is_whole=True) for line in lines), _encode_line(rest)])


def _encode_line(line: bytes, *, is_whole: bool = False) -> bytes:
    parts = [line[first : first + _LINE_BYTES] for first in range(0, len(line), _LINE_BYTES)]
    last = [parts.pop() if parts else b""] if is_whole else []
    said = [b"%s%s %s\n" % (_MARK, _PART, _escape(part)) for part in parts]
    said += [
        part + b"\n" if _is_plain(part) else b"%s%s %s\n" % (_MARK, _LINE, _escape(part)) for part in last
    ]
    return b"".join(said)


def _is_plain(line: bytes) -> bool:
    if not line.strip() or line.startswith(_MARK):
        return False
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _escape(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").decode(errors="backslashreplace").encode()


def _unescape(text: bytes) -> bytes:
    def plain(found: re.Match[bytes]) -> bytes:
        return b"\\" if found[1] == b"\\" else bytes.fromhex(found[1][1:].decode())

    return _ESCAPED.sub(plain, text)


class ItemStream:
    r"""What one item wrote, found in a stream.

    Parameters
    ----------
    index : int
        The item's index in the user's map.

    Examples
    --------
    >>> stream = ItemStream(1)
    >>> stream.feed(["[cloudknot] item 0", "a", "[cloudknot] item 1", "b", "[cloudknot] > c"])
    >>> stream.log
    b'b\nc'
    """

    def __init__(self, index: int) -> None:
        self._header = header(index).rstrip()
        self._is_its = False
        self._log = bytearray()

    @property
    def log(self) -> bytes:
        """Return what it wrote so far, in its latest try."""
        return bytes(self._log)

    def feed(self, lines: Iterable[str]) -> None:
        """Take in further lines of the stream, without their ends."""
        for text in lines:
            line = text.encode(errors="surrogateescape")
            if not line.startswith(_MARK):
                self._add(line + b"\n")
                continue
            kind, _, rest = line[len(_MARK) :].partition(b" ")
            if kind == _ITEM:
                self._is_its = line == self._header
                if self._is_its:
                    self._log.clear()
            elif kind in (_LINE, _PART):
                self._add(_unescape(rest) + (b"\n" if kind == _LINE else b""))

    def _add(self, written: bytes) -> None:
        if self._is_its:
            self._log += written
