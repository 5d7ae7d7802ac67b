"""Runs tasks as containers of a docker engine."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

from cloudknot.testing.executors import Observer, Outcome, Task
from cloudknot.testing.executors.docker_leftovers import remove, sweep
from cloudknot.testing.executors.docker_logs import Output
from cloudknot.testing.executors.docker_options import config_of, host_of
from cloudknot.testing.executors.docker_outcomes import (
    FAILURES,
    UNWANTED,
    NotStartedError,
    outcome_of,
    words,
)
from cloudknot.testing.executors.docker_pulls import PullError, Pulls
from cloudknot.testing.executors.telling import Channel, Teller

__all__ = ["DockerExecutor", "sweep"]

_LOG = logging.getLogger(__name__)

_TIMEOUT_S = 120
_END_S = 60.0
# What docker answers when a container that is to get a signal runs no more, or is no more.
_ENDED = (404, 409)


class _UnwantedError(Exception):
    """The task was stopped before its container ran."""


@dataclass(eq=False, kw_only=True)
class _Run:
    task: Task
    channel: Channel
    container: str | None = None
    """Its container, once it runs."""
    is_unwanted: bool = False
    wake: threading.Event = field(default_factory=threading.Event)


class DockerExecutor:
    """Runs each task in a container of its own, that is removed when it has ended.

    Memory is limited without swap. `vcpus` are shares, as on ECS: a container may use what others leave. An
    image that `login` knows is pulled for each task, as ECS does it. Others are used where they are here, and
    pulled where not.

    Parameters
    ----------
    login : callable
        Returns who may pull an image (``{"username": ..., "password": ...}``), or None: nobody in particular.
    label : str
        The box's name. Its containers have it as a label, and `sweep` finds them by it.
    at_once : int, default 16
        Containers that run side by side; others wait.
    """

    def __init__(
        self,
        *,
        login: Callable[[str], Mapping[str, Any] | None],
        label: str,
        at_once: int = 16,
    ) -> None:
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, not {at_once}")
        self._login = login
        self._label = label
        self._at_once = at_once
        self._changed = threading.Condition()
        self._runs: dict[str, _Run] = {}
        self._waiting: dict[str, _Run] = {}
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._is_closed = False
        self._signals: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._signaller = threading.Thread(target=self._send_signals, name="box signals", daemon=True)
        self._client: docker.DockerClient | None = None
        self._connecting = threading.Lock()
        self._pulls = Pulls(self._api)
        self._teller = Teller()
        self._signaller.start()

    def start(self, task: Task, observer: Observer) -> None:
        """Run a task when there is a place for it.

        Raises
        ------
        RuntimeError
            The executor is closed.
        """
        run = _Run(task=task, channel=Channel(self._teller, task.id, observer))
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the docker executor is closed: it starts no more tasks")
            self._runs[task.id] = self._waiting[task.id] = run
            if self._idle < len(self._waiting) and len(self._threads) < self._at_once:
                thread = threading.Thread(target=self._work, name="box container", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def stop(self, task_id: str) -> None:
        """Send SIGTERM to a task's first process; one whose container does not run yet is not started."""
        with self._changed:
            self._end(task_id, "SIGTERM")

    def kill(self, task_id: str) -> None:
        """Send SIGKILL to a task; one whose container does not run yet is not started."""
        with self._changed:
            self._end(task_id, "SIGKILL")

    def close(self) -> None:
        """Kill all tasks, tell how they ended, and return when no container or thread is left."""
        with self._changed:
            is_first, self._is_closed = not self._is_closed, True
            for task_id in list(self._runs):
                self._end(task_id, "SIGKILL")
            self._changed.notify_all()
        if not is_first:
            return
        for thread in self._threads:
            thread.join(_END_S)
        self._signals.put(None)
        self._signaller.join(_END_S)
        self._pulls.close()
        self._teller.close()
        if self._client is not None:
            self._client.close()

    def _end(self, task_id: str, name: str) -> None:
        run = self._runs.get(task_id)
        if run is None:
            return
        if run.container is not None:
            self._signals.put((run.container, name))
            return
        run.is_unwanted = True
        run.wake.set()
        if self._waiting.pop(task_id, None):
            del self._runs[task_id]
            run.channel.ended(UNWANTED)

    def _send_signals(self) -> None:
        while (signal := self._signals.get()) is not None:
            container, name = signal
            try:
                self._api().kill(container, signal=name)
            except FAILURES as error:
                is_over = isinstance(error, APIError) and error.status_code in _ENDED
                level = logging.DEBUG if is_over else logging.WARNING
                _LOG.log(level, "no %s for container %s: %s", name, container, words(error))

    def _api(self) -> Any:
        with self._connecting:
            if self._client is None:
                self._client = docker.from_env(timeout=_TIMEOUT_S, max_pool_size=2 * self._at_once + 4)
            return self._client.api

    def _take(self) -> _Run | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            self._idle -= 1
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def _work(self) -> None:
        while (run := self._take()) is not None:
            try:
                outcome = self._run(run)
            except _UnwantedError:
                outcome = UNWANTED
            except NotStartedError as error:
                outcome = error.outcome
            except Exception as error:  # whatever it is, the task ends and the others go on
                _LOG.exception("task %s failed", run.task.id)
                outcome = _failure(run, error)
            with self._changed:
                del self._runs[run.task.id]
            run.channel.ended(outcome)

    def _run(self, run: _Run) -> Outcome:
        api = self._connect()
        container = self._create(api, run)
        try:
            with contextlib.closing(Output(api, container)) as output:
                self._start(api, run, container)
                for lines in output.lines():
                    run.channel.wrote(lines)
            api.wait(container)
            return outcome_of(api.inspect_container(container)["State"])
        finally:
            remove(api, container)

    def _connect(self) -> Any:
        try:
            return self._api()
        except FAILURES as error:
            raise NotStartedError("CannotGetDockerclientError", error) from error

    def _create(self, api: Any, run: _Run) -> str:
        task = run.task
        try:
            config = config_of(task, label=self._label)
            host = host_of(task)
            config["host_config"] = api.create_host_config(**host)
            login = self._login(task.image)
        except Exception as error:  # a definition that cannot be run here, or an account that gives no login
            raise NotStartedError("CannotCreateContainerError", error) from error
        if login is not None:
            self._pull(run, login)
        _check_wanted(run)
        try:
            try:
                created = api.create_container(**config)
            except ImageNotFound:
                self._pull(run, login)
                created = api.create_container(**config)
        except FAILURES as error:
            raise NotStartedError("CannotCreateContainerError", error) from error
        return str(created["Id"])

    def _pull(self, run: _Run, login: Mapping[str, Any] | None) -> None:
        pull = self._pulls.pull(run.task.image, login)
        run.wake.clear()
        _check_wanted(run)
        pull.add_done_callback(lambda _: run.wake.set())
        run.wake.wait()
        _check_wanted(run)
        try:
            pull.result()
        except PullError as error:
            raise NotStartedError("CannotPullContainerError", error) from error

    def _start(self, api: Any, run: _Run, container: str) -> None:
        _check_wanted(run)
        try:
            api.start(container)
        except FAILURES as error:
            raise NotStartedError("CannotStartContainerError", error) from error
        with self._changed:
            run.container = container
            if run.is_unwanted:  # it was stopped while docker started it
                self._signals.put((container, "SIGKILL"))
        run.channel.started()


def _failure(run: _Run, error: Exception) -> Outcome:
    if run.container is None:
        return NotStartedError("CannotStartContainerError", error).outcome
    return Outcome(exit_code=None, reason=f"CannotInspectContainerError: {words(error)}")


def _check_wanted(run: _Run) -> None:
    if run.is_unwanted:
        raise _UnwantedError
