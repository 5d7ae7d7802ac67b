"""A side of the benchmark: the client process of one library, which works when it is told to.

``Side`` starts it as ``python sides.py LIBRARY``. It takes one order a line on standard input, such
as ``{"work": "trivial", "count": 10}``, and answers each with one line of JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

WORKERS = 2
# A library that has not answered by then has failed.
PATIENCE_S = 180.0
ARRAY_ITEMS = 1_250_000  # 10 MB of float64

Function = Callable[[Any], Any]
Answer = dict[str, Any]


def increment(number: int) -> int:
    return number + 1


def make_array(number: int) -> Any:
    import numpy as np  # noqa: PLC0415  # in the workers only

    return np.full(ARRAY_ITEMS, float(number))


class Mapper(NamedTuple):
    """One library, opened with two workers and used as its documentation has it.

    Parameters
    ----------
    map : callable
        Takes a function and its inputs, returns the values in order.
    call : callable
        Takes a function and one input, returns the value.
    tidy : callable
        Removes what a map left on the disk. It is not part of what is timed.
    """

    map: Callable[[Function, Iterable[Any]], Sequence[Any]]
    call: Callable[[Function, Any], Any]
    tidy: Callable[[], object] = lambda: None


def open_cloudknot(stack: ExitStack) -> Mapper:
    knot_class = importlib.import_module("cloudknot").Knot
    return Mapper(
        map=lambda function, inputs: knot_class(function, name="overhead").map(inputs).result(),
        call=lambda function, item: knot_class(function, name="overhead").submit(item).result(),
        tidy=lambda: knot_class(increment, name="overhead").clobber(results=True),
    )


def open_process_pool(stack: ExitStack) -> Mapper:
    executor = stack.enter_context(ProcessPoolExecutor(WORKERS))
    return Mapper(
        map=lambda function, inputs: list(executor.map(function, inputs)),
        call=lambda function, item: executor.submit(function, item).result(),
    )


def open_joblib(stack: ExitStack) -> Mapper:
    joblib = importlib.import_module("joblib")
    return joblib_mapper(joblib, joblib.Parallel(n_jobs=WORKERS))


def open_kept_joblib(stack: ExitStack) -> Mapper:
    joblib = importlib.import_module("joblib")
    # Between the maps its batches keep the size to which they have grown.
    return joblib_mapper(joblib, stack.enter_context(joblib.Parallel(n_jobs=WORKERS)))


def joblib_mapper(joblib: Any, parallel: Callable[[Iterable[Any]], list[Any]]) -> Mapper:
    return Mapper(
        map=lambda function, inputs: parallel(joblib.delayed(function)(item) for item in inputs),
        call=lambda function, item: parallel([joblib.delayed(function)(item)])[0],
    )


def open_submitit(stack: ExitStack) -> Mapper:
    submitit = importlib.import_module("submitit")
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    executor = submitit.AutoExecutor(folder=folder, cluster="local")
    return Mapper(
        map=lambda function, inputs: [job.result() for job in executor.map_array(function, inputs)],
        call=lambda function, item: executor.submit(function, item).result(),
    )


def open_lithops(stack: ExitStack, **options: Any) -> Mapper:
    lithops = importlib.import_module("lithops")
    config = {
        "lithops": {
            "backend": "localhost",
            "storage": "localhost",
            "log_level": "ERROR",
            "monitoring_interval": 0.1,  # seconds; it looks every 2 s unless told
        },
        "localhost": {"runtime": sys.executable, "worker_processes": WORKERS, **options},
    }

    def map_items(function: Function, inputs: Iterable[Any]) -> Sequence[Any]:
        # An executor a map: a later map of the same executor never came back now and then.
        with lithops.FunctionExecutor(config=config) as executor:
            futures = executor.map(function, list(inputs))
            values: list[Any] = executor.get_result(futures, show_progressbar=False)
            return values

    return Mapper(map=map_items, call=lambda function, item: map_items(function, [item])[0])


OPENERS: Mapping[str, Callable[[ExitStack], Mapper]] = {
    "cloudknot": open_cloudknot,
    "ProcessPoolExecutor": open_process_pool,
    "joblib": open_joblib,
    "joblib, kept open": open_kept_joblib,
    "submitit": open_submitit,
    "lithops": open_lithops,
    "lithops, version 1": lambda stack: open_lithops(stack, version=1),
}


def run_trivial(mapper: Mapper, count: int) -> Answer:
    seconds, values = clock(lambda: mapper.map(increment, range(count)))
    check(list(values) == list(range(1, count + 1)))
    mapper.tidy()
    return {"items/s": count / seconds}


def run_generator(mapper: Mapper, count: int) -> Answer:
    seconds, values = clock(lambda: mapper.map(increment, (number for number in range(count))))
    grown_mb = peak_memory_mb() - START_MEMORY_MB
    check(len(values) == count and all(value == place + 1 for place, value in enumerate(values)))
    return {"s": seconds, "MB": grown_mb}


def run_arrays(mapper: Mapper, count: int) -> Answer:
    seconds, values = clock(lambda: mapper.map(make_array, range(count)))
    check(all(value.size == ARRAY_ITEMS and value[-1] == place for place, value in enumerate(values)))
    mapper.tidy()
    return {"s": seconds}


def run_call(mapper: Mapper, count: int) -> Answer:
    seconds, value = clock(lambda: mapper.call(increment, count))
    check(value == count + 1)
    return {"ms": seconds * 1000}


def run_edited_cell(mapper: Mapper, count: int) -> Answer:
    """Call a function that was typed anew, as a notebook's cell does."""
    names: dict[str, Any] = {"__name__": "__main__"}
    added = time.monotonic_ns()
    exec(f"def edited(number): return number + {added}", names)
    seconds, value = clock(lambda: mapper.call(names["edited"], count))
    check(value == count + added)
    return {"ms": seconds * 1000}


def run_edited_module(mapper: Mapper, count: int) -> Answer:
    """Call a function whose module's file was edited: the workers hold the old one."""
    folder = Path(tempfile.gettempdir()) / "edited"
    folder.mkdir(exist_ok=True)
    path = folder / "edited_module.py"
    # Longer each time: Python takes a file of equal size, written within the same second, for the old one.
    added = path.stat().st_size if path.exists() else 0
    path.write_text(f"def edited(number):\n    return number + {added}\n# {'-' * added}\n")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    module = importlib.reload(importlib.import_module("edited_module"))
    seconds, value = clock(lambda: mapper.call(module.edited, count))
    check(value == count + added)
    return {"ms": seconds * 1000}


WORKS: Mapping[str, Callable[[Mapper, int], Answer]] = {
    "trivial": run_trivial,
    "generator": run_generator,
    "arrays": run_arrays,
    "call": run_call,
    "edited cell": run_edited_cell,
    "edited module": run_edited_module,
}


def clock(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    value = work()
    return time.perf_counter() - began, value


def check(is_right: bool) -> None:
    if not is_right:
        raise ValueError("the values that came back are wrong")


def peak_memory_mb() -> float:
    """Return the highest resident memory of this process so far, its children's left out."""
    try:
        # Linux lets ru_maxrss begin with the parent's, also across exec; VmHWM begins anew.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        unit_bytes = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 1e6


START_MEMORY_MB = peak_memory_mb()


def serve(library: str) -> None:
    """Answer each order, until no more come."""
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # a library may print
    with ExitStack() as stack:
        mapper: Mapper | None = None
        for line in orders:
            order = json.loads(line)
            try:
                if mapper is None:
                    mapper = OPENERS[library](stack)
                    run_trivial(mapper, WORKERS * 2)  # starts the workers
                answer = WORKS[order["work"]](mapper, order["count"])
            except ModuleNotFoundError as error:
                answer = {"failure": f"not installed: {error}"}
            except Exception as error:  # a library may raise anything; its row will say so
                answer = {"failure": f"failed: {type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


class Side:
    """A library's client process, as the benchmark sees it."""

    def __init__(self, library: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    def ask(self, work: str, count: int) -> Answer:
        """Have a piece of work done; return its figures by unit, or ``failure``."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        with contextlib.suppress(BrokenPipeError):  # its end is seen where the answer is read
            orders.write(json.dumps({"work": work, "count": count}).encode() + b"\n")
            orders.flush()
        if not select.select([answers], [], [], PATIENCE_S)[0]:
            return {"failure": f"failed: no answer within {PATIENCE_S:.0f} s"}
        line = answers.readline()
        answer: Answer = json.loads(line) if line else {"failure": "failed: its process ended"}
        return answer

    def close(self) -> None:
        """Let it end by itself, or else kill it."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


if __name__ == "__main__":
    serve(sys.argv[1])
