"""How the process that has a run looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable

from cloudknot.backends import Backend
from cloudknot.catalog import Catalog, TakenOverError
from cloudknot.ledger import cancelled_positions
from cloudknot.runner.keys import Keys
from cloudknot.runs import Run, State, Status

# How often the process that runs a run looks whether another one asks to cancel it.
_LOOK_FOR_CANCEL_S = 1.0
_LOOK_FAR_S = 5.0
# So long nothing may move of a run that another process has taken over, before it is given up here.
_QUIET_S = 300.0


class OwnersLook:
    """Asks the place, and now and then whether another process wants to cancel.

    Where another process has taken the run over, it is followed as by any other.
    """

    def __init__(self, backend: Backend, run: Run, catalog: Catalog, *, follow: Callable[[], Status]) -> None:
        self._backend = backend
        self._run = run
        self._catalog = catalog
        self._follow = follow
        self._generation = catalog.generation(run.run_id)
        self._keys = Keys(run.run_id)
        self._next = 0.0
        self._quiet_since = time.monotonic()

    def __call__(self) -> Status:
        """Say where the run stands."""
        now = time.monotonic()
        if not self._catalog.generation(self._run.run_id):
            status = self._follow()
            if status.state is not State.INTERRUPTED:
                self._quiet_since = now
            # The other process may just be about to submit what follows.
            return status if now - self._quiet_since > _QUIET_S else Status(state=State.RUNNING)
        if now >= self._next:
            self._next = now + (_LOOK_FAR_S if self._backend.is_remote else _LOOK_FOR_CANCEL_S)
            asked = set(self._backend.store.list(self._keys.cancels))
            for position in cancelled_positions(asked, self._run.run_id):
                self._backend.cancel(self._run, position)
            if self._keys.cancel_run(self._generation) in asked:
                self._backend.cancel(self._run)
        try:
            return self._backend.poll(self._run)
        except TakenOverError:
            self._catalog.let_go(self._run.run_id)
            self._backend.forget(self._run)
            return Status(state=State.RUNNING)
