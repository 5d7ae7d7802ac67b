"""The process that runs a person's function, item by item, and says what became of each.

Its supervisor gives it chunks over one pipe and reads envelopes from another. Standard output and
standard error are a file of the supervisor's, emptied into the envelope after each item. When the
supervisor's end of the pipe closes, the worker and all that it started end at once.
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import os
import queue
import re
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from cloudknot.runner.cgroups import OomWatch
from cloudknot.runner.envelopes import SUCCESSES, Envelope, Outcome, encode_value
from cloudknot.runner.keys import Keys
from cloudknot.runner.logs import read_log
from cloudknot.runner.orders import Orders, Style, read_orders
from cloudknot.runner.pickles import Pickler, load_function, loads
from cloudknot.runner.shards import read_arguments
from cloudknot.runner.stores import Store, open_store
from cloudknot.runner.surroundings import Surroundings

# A larger value is an object of its own, written here and read only when it is asked for.
LARGE_VALUE_BYTES = 1 << 20

# An item that takes less time than this is not looked at for its memory: looking would cost more.
_MEASURED_S = 1e-3
_STANDARD_LIBRARY = str(Path(os.__file__).parent)
_UNPACKED = re.compile(r"^/.*/[0-9a-f]{32}/")
_LIBRARIES = frozenset({"site-packages", "dist-packages"})
# How often a worker looks whether its supervisor is still its parent.
_LOOK_S = 1.0
_F_SETSIG = 10
# The variable of a worker whose supervisor leaves items that lack memory to others.
DEFERS_OOM = "CLOUDKNOT_DEFERS_OOM"
_PEAK_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


class Chunk(NamedTuple):
    """One order from the supervisor: run the positions first to last (exclusive)."""

    number: int
    store: str
    run: str
    first: int
    last: int


class Worker:
    """Runs chunks until its control pipe closes.

    Parameters
    ----------
    send : callable
        Takes one encoded envelope.
    log : int
        File descriptor of the file that holds what the items write.
    restore : callable
        Called before another run's items: undoes what the last ones left behind.
    raised : callable
        Called when an item has raised, before anything is said of it.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        log: int,
        *,
        restore: Callable[[], None] = lambda: None,
        raised: Callable[[], None] = lambda: None,
    ) -> None:
        self._send = send
        self._log = log
        self._pickler = Pickler()
        self._lock = threading.Lock()
        self._number = self._position = self._limit = self._stopped = -1
        self._pid = os.getpid()
        self._restore = restore
        self._raised = raised
        self._peak_memory_bytes = 0
        self._run: tuple[str, str] | None = None
        self._store: Store | None = None
        self._orders: Orders
        self._call: Callable[[Any], Any]

    def stop(self, number: int) -> None:
        """End that chunk after its present item, and say at once which position will not be run."""
        with self._lock:
            if number > self._number:
                self._stopped = number  # ordered and not begun: the main thread is behind
            elif number == self._number:
                self._cut_behind(self._position)

    def _cut_behind(self, position: int) -> None:
        if self._limit > position + 1:
            self._limit = position + 1
            self._send(Envelope(outcome=Outcome.LIMIT, position=self._limit).encode())

    def run_chunk(self, chunk: Chunk) -> None:
        """Send one envelope an item, then END with the position that was reached.

        END carries a reason where the store failed, which is no item's fault.
        """
        with self._lock:
            self._number, self._position, self._limit = chunk.number, chunk.first, chunk.last
            if self._stopped == chunk.number:
                self._cut_behind(chunk.first)
        reached, detail = chunk.first, {}
        try:
            for reached in self._run_items(chunk):  # noqa: B007  # END tells how far it came
                pass
        except Exception as error:  # a store may raise anything; the supervisor is told
            detail = {"reason": _one_line(error)}
        with self._lock:
            self._limit = -1  # a stop that comes now is for nothing: END is the last word on a chunk
        self._send(Envelope(outcome=Outcome.END, position=reached, detail=detail).encode())

    def _run_items(self, chunk: Chunk) -> Iterator[int]:
        """Send one envelope an item; yield the position behind it."""
        if self._store is None or self._store.uri != chunk.store:
            self._store = open_store(chunk.store)  # of S3, it takes a while
        store = self._store
        if self._run != (chunk.store, chunk.run):
            self._orders = read_orders(store, chunk.run)
            self._load(store, chunk.run, self._orders.style)
            self._run = (chunk.store, chunk.run)
        self._send(Envelope(outcome=Outcome.BEGIN, position=chunk.first).encode())
        keys = Keys(chunk.run)
        stops_at_failure = self._orders.on_error == "stop"
        for position, argument in read_arguments(store, chunk.run, self._orders, chunk.first, chunk.last):
            with self._lock:
                if position >= self._limit:
                    return
                self._position = position
            outcome, envelope = self._run_item(store, keys, position, argument)
            self._send(envelope)
            yield position + 1
            if stops_at_failure and outcome not in SUCCESSES:
                return

    def _load(self, store: Store, run_id: str, style: Style) -> None:
        self._restore()
        shipment = store.get(Keys(run_id).function)
        try:
            self._call = _CALLS[style](load_function(shipment))
        except BaseException as error:  # the person's own modules are imported here
            self._call = partial(_raise_again, error, error.__traceback__)

    def _run_item(self, store: Store, keys: Keys, position: int, argument: bytes) -> tuple[Outcome, bytes]:
        began = time.perf_counter()
        tries, has_more_tries = 0, True
        while has_more_tries:
            tries += 1
            has_more_tries = tries <= self._orders.raised_retries
            try:
                value = loads(argument)
                began = time.perf_counter()
                value = self._call_here(value)
            except BaseException as error:  # whatever the function raises is its answer
                self._raised()
                seconds = time.perf_counter() - began
                outcome, payload, detail = self._describe(error)
            else:
                seconds = time.perf_counter() - began
                outcome, payload, detail = self._pack(store, keys, position, value)
                has_more_tries = False
        log = self._take_log()
        if seconds > _MEASURED_S or not self._peak_memory_bytes:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            self._peak_memory_bytes = usage.ru_maxrss * _PEAK_UNIT_BYTES
        if outcome is Outcome.VALUE and not log:
            return outcome, encode_value(position, tries, seconds, self._peak_memory_bytes, payload)
        envelope = Envelope(
            outcome=outcome,
            position=position,
            tries=tries,
            seconds=seconds,
            peak_memory_bytes=self._peak_memory_bytes,
            payload=payload,
            detail=detail,
            log=log,
        )
        return outcome, envelope.encode()

    def _call_here(self, value: Any) -> Any:
        try:
            return self._call(value)
        finally:
            if os.getpid() != self._pid:
                os._exit(0)  # a child that the function forked: it must not speak for the item

    def _pack(
        self, store: Store, keys: Keys, position: int, value: Any
    ) -> tuple[Outcome, bytes, dict[str, str]]:
        try:
            payload = self._pickler.dumps(value)
        except Exception as error:  # a value's own __reduce__ may raise anything
            detail = {
                "type": _type_name(type(value)),
                "message": _shorten(repr(type(value))),
                "reason": _one_line(error),
                "traceback": "".join(traceback.format_exception(error)),
            }
            return Outcome.NOT_PICKLABLE, b"", detail
        if len(payload) < LARGE_VALUE_BYTES:
            return Outcome.VALUE, payload, {}
        key = keys.value(position, os.urandom(6).hex())
        store.put(key, payload)
        return Outcome.STORED_VALUE, key.encode(), {}

    def _describe(self, error: BaseException) -> tuple[Outcome, bytes, dict[str, str]]:
        trace = _own_frames_removed(error.__traceback__)
        detail = {
            "type": _type_name(type(error)),
            "message": _shorten(_text_of(error)),
            "where": _where(trace),
            "traceback": "".join(traceback.format_exception(type(error), error, trace)),
        }
        try:
            payload = self._pickler.dumps(error)
        except Exception as cause:  # as above
            detail["reason"] = _one_line(cause)
            payload = b""
        return Outcome.RAISED, payload, detail

    def _take_log(self) -> bytes:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except Exception:  # the person's code may have replaced or closed one of them
            pass
        size = os.lseek(self._log, 0, os.SEEK_END)  # cheaper than fstat
        if not size:
            return b""
        written = read_log(self._log)
        os.ftruncate(self._log, 0)
        return written


_CALLS: Mapping[Style, Callable[[Callable[..., Any]], Callable[[Any], Any]]] = {
    "one": lambda function: function,
    "star": lambda function: lambda arguments: function(*arguments),
    "call": lambda function: lambda arguments: function(*arguments[0], **arguments[1]),
}


def _raise_again(error: BaseException, trace: TracebackType | None, _: Any) -> None:
    """Stand in for a function that could not be loaded: each item fails by the same exception."""
    raise error.with_traceback(trace)


def _own_frames_removed(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _where(trace: TracebackType | None) -> str:
    """Return the last line of the person's own code that an exception came through, or else the last."""
    lines = [(frame.f_code.co_filename, number) for frame, number in traceback.walk_tb(trace)]
    own = [line for line in lines if not _is_library(line[0])]
    filename, number = (own or lines or [("", 0)])[-1]
    # Each job unpacks the person's modules in a place of its own, and the same failure is one cause.
    return f"{_UNPACKED.sub('', filename)}:{number}" if filename else ""


def _is_library(filename: str) -> bool:
    return filename.startswith((_STANDARD_LIBRARY, "<frozen")) or not _LIBRARIES.isdisjoint(
        Path(filename).parts
    )


def _type_name(kind: type) -> str:
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # the person's own __str__
        return f"<its message cannot be shown: {type(broken).__name__}>"


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {_shorten(_text_of(error))}"


def _shorten(text: str, width: int = 500) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _end_with_everything_started() -> None:
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _die_where_memory_lacked() -> Callable[[], None]:
    """Return what ends this process where a process that an item started was killed for lack of memory.

    The supervisor takes it for the item's own lack, and leaves the item to a job with more of it.
    """
    watch = OomWatch()

    def look() -> None:
        if watch.has_struck():
            os.kill(os.getpid(), signal.SIGKILL)

    return look


def main(control: int, envelopes: int, lifeline: int) -> None:
    """Serve a supervisor over two pipes until it is gone, which a third one tells."""
    for handle in (control, envelopes, lifeline):
        os.set_inheritable(handle, False)
    _die_with(lifeline)
    sys.argv = [""]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    log = os.dup(1)
    orders: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    writing = threading.Lock()

    def send(data: bytes) -> None:
        with writing:
            _write(envelopes, data)

    defers_oom = os.environ.pop(DEFERS_OOM, None) is not None
    raised = _die_where_memory_lacked() if defers_oom else lambda: None
    worker = Worker(send, log, restore=Surroundings(log).restore, raised=raised)

    def listen() -> None:
        try:
            for line in _lines(control, os.getppid()):
                order = json.loads(line)
                if "stop" in order:
                    worker.stop(order["stop"])
                else:
                    orders.put(Chunk(**order))
        finally:
            _end_with_everything_started()

    threading.Thread(target=listen, daemon=True).start()
    try:
        while True:
            worker.run_chunk(orders.get())
    finally:
        os._exit(1)  # threads that an item left running must not keep a broken worker


def _lines(control: int, supervisor: int) -> Iterator[bytes]:
    """Yield the supervisor's lines until it is gone, also where a child of it holds the pipe open."""
    rest = b""
    while os.getppid() == supervisor:
        if not select.select([control], [], [], _LOOK_S)[0]:
            continue
        data = os.read(control, 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def _die_with(lifeline: int) -> None:
    """Let the kernel kill this process group when the supervisor's end of a pipe closes.

    Linux alone can; it works also while an item is in a call that never gives the interpreter back.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgid(0))
        fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _write(handle: int, data: bytes) -> None:
    written = os.write(handle, data)
    while written < len(data):
        written += os.write(handle, memoryview(data)[written:])
