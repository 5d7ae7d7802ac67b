"""What a task writes, cut into lines as they go to CloudWatch."""

__all__ = ["EVENT_BYTES", "Line", "Lines"]

Line = tuple[int, str]
"""Milliseconds since the epoch, and the text without its line end."""

EVENT_BYTES = 262_144 - 26
"""How long an event may be: 256 KiB, less what CloudWatch counts for each; docker splits longer ones."""

# What bytes inside of a character of UTF-8 look like.
_INSIDE = range(0x80, 0xC0)


class Lines:
    r"""One stream of bytes as lines.

    A line has the time of its first byte. One that is too long becomes several, never inside of a character.
    Empty lines are left out, as docker's awslogs driver does it. What is no UTF-8 is replaced.

    Examples
    --------
    >>> lines = Lines()
    >>> lines.feed(b"one\n\ntw", at=5)
    [(5, 'one')]
    >>> lines.feed(b"o\nthree", at=6), lines.finish()
    ([(5, 'two')], [(6, 'three')])
    """

    def __init__(self, limit: int = EVENT_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._at = 0

    def feed(self, data: bytes, at: int) -> list[Line]:
        """Take bytes that came at a time, and return the lines that are complete now."""
        *whole, rest = data.split(b"\n")
        lines: list[Line] = []
        for piece in whole:
            self._add(piece, at, lines)
            self._end(lines)
        self._add(rest, at, lines)
        return lines

    def finish(self) -> list[Line]:
        """Return the last line, where it has no end."""
        lines: list[Line] = []
        self._end(lines)
        return lines

    def _add(self, piece: bytes, at: int, lines: list[Line]) -> None:
        if not self._rest:
            self._at = at
        self._rest += piece
        while len(self._rest) > self._limit:
            end = self._limit
            while end > self._limit - 3 and self._rest[end] in _INSIDE:
                end -= 1
            lines.append((self._at, self._rest[:end].decode(errors="replace")))
            del self._rest[:end]

    def _end(self, lines: list[Line]) -> None:
        if self._rest:
            lines.append((self._at, self._rest.decode(errors="replace")))
            self._rest.clear()
