"""Ending a connection badly: a reset at once, or a close before all was sent."""

import os
import socket
import struct

__all__ = ["hang_up", "reset"]

_LINGER_NOT = struct.pack("ii", 1, 0)


def reset(connection: socket.socket) -> None:
    """Reset a TCP connection: its other end reads what has come to it, and then fails with ECONNRESET.

    The server's own objects go on holding the socket's number, so a socket with nobody at its other end takes
    its place: the server reads the end and cannot write, as when a client is gone.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # Closes the connection, and a close that does not linger is a reset.
        os.dup2(ours.fileno(), connection.fileno(), inheritable=False)


def hang_up(connection: socket.socket) -> None:
    """Close a connection in good order after what was written."""
    connection.shutdown(socket.SHUT_RDWR)
