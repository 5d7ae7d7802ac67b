"""Run one chunk: ``python -m cloudknot.runner STORE RUN [INDEX]``, of a wave: ``STORE RUN WAVE OFFSET``.

INDEX is the number of the chunk; without it, the index that AWS Batch gives a child of an array, or 0. OFFSET
is added to that index. What was committed before is not run again.
"""

from __future__ import annotations

import os
import signal
import sys

from cloudknot.runner.control import Control
from cloudknot.runner.jobs import run_job, worker_spec
from cloudknot.runner.orders import read_orders
from cloudknot.runner.packs import Reports, committed_until
from cloudknot.runner.processes import WorkerProcess
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
    with worker_spec(store, orders) as spec:
        assignment = Assignment(
            run_id=run_id,
            orders=orders,
            first=first,
            last=last,
            spec=spec,
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
    given = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "0")
    if len(arguments) in (2, 3):
        return run_chunk(arguments[0], arguments[1], int(arguments[2] if arguments[2:] else given))
    if len(arguments) == 4:  # noqa: PLR2004  # as the docstring has it
        return run_job(arguments[0], arguments[1], int(arguments[2]), int(arguments[3]) + int(given))
    sys.stderr.write("usage: python -m cloudknot.runner STORE RUN [INDEX], or STORE RUN WAVE OFFSET\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
