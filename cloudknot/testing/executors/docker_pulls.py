"""Pulls images; tasks that want the same one at the same time share a pull."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from docker.errors import DockerException

__all__ = ["PullError", "Pulls"]

_END_S = 5.0


class PullError(Exception):
    """An image cannot be pulled, in the engine's words."""


class Pulls:
    """The pulls of one engine.

    A pull serves those who asked before it began: who asks later may mean an image that was pushed since.

    Parameters
    ----------
    api : callable
        Gives the SDK's ``APIClient``.
    """

    def __init__(self, api: Callable[[], Any]) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._next: dict[str, Future[None]] = {}
        self._threads: set[threading.Thread] = set()
        self._is_closed = False

    def pull(self, image: str, login: Mapping[str, Any] | None) -> Future[None]:
        """Begin to pull an image; the result is None, or raises `PullError`."""
        with self._lock:
            if image in self._next:
                return self._next[image]
            future = self._next[image] = Future()
            # A daemon: a registry that does not answer must not keep the box from ending.
            thread = threading.Thread(
                target=self._run, args=(image, login, future), name=f"box pull {image}", daemon=True
            )
            self._threads.add(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Give up what is being pulled."""
        with self._lock:
            self._is_closed = True
            threads = list(self._threads)
        for thread in threads:
            thread.join(_END_S)

    def _run(self, image: str, login: Mapping[str, Any] | None, future: Future[None]) -> None:
        with self._lock:
            one_at_a_time = self._locks.setdefault(image, threading.Lock())
        with one_at_a_time:
            with self._lock:
                del self._next[image]
            try:
                self._pull(image, login)
            except Exception as error:  # whatever it is, those who wait are told
                future.set_exception(error)
            else:
                future.set_result(None)
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _pull(self, image: str, login: Mapping[str, Any] | None) -> None:
        try:
            for event in self._api().pull(image, stream=True, decode=True, auth_config=login):
                if "error" in event:
                    raise PullError(str(event["error"]))
                if self._is_closed:
                    raise PullError(f"the box ended while {image} was pulled")
        except DockerException as error:
            words = getattr(error, "explanation", None) or error
            raise PullError(f"Error response from daemon: {words}") from error
