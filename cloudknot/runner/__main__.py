"""Run one chunk of a run: ``python -m cloudknot.runner STORE RUN [INDEX]``.

INDEX is the number of the chunk; without it, the index that AWS Batch gives a child of an array,
or 0. What was committed before is not run again.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from cloudknot.runner.bundles import unpack_bundle
from cloudknot.runner.control import Control
from cloudknot.runner.orders import read_orders
from cloudknot.runner.packs import Reports, committed_until
from cloudknot.runner.processes import WorkerProcess, WorkerSpec
from cloudknot.runner.stores import open_store
from cloudknot.runner.supervisor import Assignment, Supervisor

_COMMIT_S = 3.0


def run_chunk(store_uri: str, run_id: str, index: int) -> int:
    """Run what is left of a chunk; return the exit code: 0 where all of it is committed."""
    store = open_store(store_uri)
    orders = read_orders(store, run_id)
    size = orders.chunk_size or max(orders.count, 1)
    last = min(orders.count, size * (index + 1))
    first = committed_until(store, run_id, size * index)
    control = Control()
    signal.signal(signal.SIGTERM, lambda *_: control.cancel())
    supervisor = Supervisor(store, start=WorkerProcess, commit_s=_COMMIT_S)
    with tempfile.TemporaryDirectory() as folder:
        path = [str(unpack_bundle(store, orders.bundle, Path(folder)))] if orders.bundle else []
        assignment = Assignment(
            run_id=run_id,
            orders=orders,
            first=first,
            last=last,
            spec=WorkerSpec(
                sys_path=(*path, *(entry or str(Path.cwd()) for entry in sys.path)),
                cwd=str(Path.cwd()),
                environment=orders.environment(os.environ),
            ),
            control=control,
            observe=_show_logs,
        )
        try:
            reached = supervisor.run_chunk(assignment)
        finally:
            supervisor.close()
    return 0 if reached >= last else 1


def _show_logs(items: Reports) -> None:
    for _, _, offset in items.entries:
        sys.stdout.buffer.write(items.decode(offset).log)
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run the chunk that the command line names."""
    if len(arguments) not in (2, 3):
        sys.stderr.write("usage: python -m cloudknot.runner STORE RUN [INDEX]\n")
        return 2
    given = arguments[2:] or [os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "0")]
    return run_chunk(arguments[0], arguments[1], int(given[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
