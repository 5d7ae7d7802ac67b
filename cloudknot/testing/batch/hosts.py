"""Which machines a compute environment has, and where on them there is room."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from cloudknot.testing.batch.account import InstanceType, Trouble
from cloudknot.testing.batch.containers import Requirements
from cloudknot.testing.batch.instances import does_fit, offered_memory, preferred
from cloudknot.testing.batch.jobs import Job
from cloudknot.testing.batch.machines import Host, Later, Machine, Pace
from cloudknot.testing.batch.values import ComputeEnvironment
from cloudknot.testing.clock import Timer

__all__ = ["Fleet"]

# Shapes of jobs for which a fleet remembers where there is room; past these it looks afresh.
_SHAPES = 64


class Fleet:
    """What a compute environment runs its jobs on.

    Parameters
    ----------
    environment : ComputeEnvironment
        Whose fleet it is.
    types : callable
        Gives the kinds of machine that it may launch.
    trouble : Trouble
        What shall go wrong.
    later : callable
        Does something after some seconds.
    pace : Pace
        How long things take.
    ready : callable
        Called when a machine begins to take jobs.
    changed : callable
        Called when jobs may move.
    """

    def __init__(
        self,
        environment: ComputeEnvironment,
        *,
        types: Callable[[], Sequence[InstanceType]],
        trouble: Trouble,
        later: Later,
        pace: Pace,
        ready: Callable[[Machine], None],
        changed: Callable[[], None],
    ) -> None:
        self.environment = environment
        self.machines: dict[str, Machine] = {}
        self.used_vcpus = 0.0
        """By the jobs on it."""
        self._types = types
        self._trouble = trouble
        self._later = later
        self._pace = pace
        self._ready = ready
        self._changed = changed
        self._vcpus = 0
        self._room: dict[Requirements, list[Machine]] = {}
        self._retry: Timer | None = None
        self._failure = ("", "")
        self._failed_types: set[str] = set()

    @property
    def failed_launch(self) -> tuple[str, str] | None:
        """Return the type that could not be launched and why, as long as no other launch is tried."""
        return self._failure if self._retry else None

    @property
    def vcpus(self) -> int:
        """Return the vCPUs of all its machines."""
        return self._vcpus

    @property
    def max_vcpus(self) -> float:
        """Return `maxvCpus`."""
        return float(self.environment.resources.get("maxvCpus", 0))

    def has_type(self, needs: Requirements) -> bool:
        """Say whether it would ever hold such a job."""
        if self.environment.is_fargate:
            return not needs.gpus
        return any(does_fit(kind, needs) for kind in self._types())

    def take(self, job: Job) -> tuple[bool, Machine | None]:
        """Find a place for a job and give it that; Fargate has places without machines."""
        needs = job.order.needs
        if needs.vcpus > self.max_vcpus:
            return False, None
        if self.environment.is_fargate:
            has_room = not needs.gpus and self.used_vcpus + needs.vcpus <= self.max_vcpus
            self.used_vcpus += needs.vcpus if has_room else 0
            return has_room, None
        machine = self._find(needs) or self._launch_for(needs)
        if machine is None:
            return False, None
        machine.jobs[job.id] = job
        machine.vcpus -= needs.vcpus
        machine.memory_mib -= needs.memory_mib
        machine.gpus -= needs.gpus
        self.used_vcpus += needs.vcpus
        if machine.idle:
            machine.idle.cancel()
            machine.idle = None
        return True, machine

    def give_back(self, job: Job, machine: Machine | None) -> None:
        """Take back the place of a job."""
        needs = job.order.needs
        self.used_vcpus -= needs.vcpus
        if machine is None:
            return
        del machine.jobs[job.id]
        machine.vcpus += needs.vcpus
        machine.memory_mib += needs.memory_mib
        machine.gpus += needs.gpus
        if machine.id not in self.machines:
            return
        self._note_room(machine)
        if not machine.jobs:
            self._await_idleness(machine)

    def fill_up(self) -> None:
        """Launch what `minvCpus` asks for."""
        while self._vcpus < self._least and (
            machine := self._launch_for(Requirements(vcpus=0, memory_mib=0))
        ):
            self._await_idleness(machine)

    def let_go(self) -> None:
        """Let go of machines that were kept for a `minvCpus` that was higher."""
        for machine in self.machines.values():
            if not machine.jobs and machine.idle is None:
                self._await_idleness(machine)

    def lose(self, machine: Machine) -> None:
        """Forget a machine that is gone."""
        del self.machines[machine.id]
        self._vcpus -= machine.kind.vcpus
        self._room.clear()
        if machine.idle:
            machine.idle.cancel()

    def view(self) -> list[Host]:
        """Return its machines as they are seen from outside."""
        return [
            Host(
                instance_id=machine.id,
                instance_type=machine.kind.name,
                environment=self.environment.name,
                is_spot=self.environment.model == "SPOT",
                vcpus=machine.kind.vcpus,
                memory_mib=offered_memory(machine.kind),
                job_ids=tuple(machine.jobs),
            )
            for machine in self.machines.values()
        ]

    def _find(self, needs: Requirements) -> Machine | None:
        if needs not in self._room:
            if len(self._room) >= _SHAPES:
                self._room.clear()
            self._room[needs] = list(self.machines.values())
        machines = self._room[needs]
        while machines:
            machine = machines[-1]
            if machine.id in self.machines and machine.holds(needs):
                return machine
            machines.pop()  # it comes back when a job leaves it
        return None

    def _launch_for(self, needs: Requirements) -> Machine | None:
        if self._retry:
            return None
        fitting = [
            kind for kind in preferred(self._types(), self._strategy, needs) if self._has_room_for(kind)
        ]
        kind = next((kind for kind in fitting if kind.name not in self._failed_types), None)
        if kind is None:
            return None
        why = self._trouble.launch(self.environment.name, kind.name)
        if why is None:
            self._failed_types.clear()
            return self._add(kind)
        self._failure = kind.name, why
        if self._strategy != "BEST_FIT":  # BEST_FIT waits for its type, the others turn to another
            self._failed_types.add(kind.name)
            if all(one.name in self._failed_types for one in fitting):
                self._failed_types.clear()
        self._retry = self._later(self._pace.retry_s, self._try_again)
        return None

    @property
    def _strategy(self) -> str:
        return str(self.environment.resources.get("allocationStrategy") or "BEST_FIT")

    def _has_room_for(self, kind: InstanceType) -> bool:
        if self._vcpus + kind.vcpus <= self.max_vcpus:
            return True
        # All but BEST_FIT may pass maxvCpus by one instance (API reference); here where nothing else runs.
        return not self.machines and self.max_vcpus > 0 and self._strategy != "BEST_FIT"

    def _add(self, kind: InstanceType) -> Machine:
        cluster = self.environment.ecs_cluster_arn
        machine = Machine(
            id=f"i-0{secrets.token_hex(8)}",
            arn=f"{cluster.replace(':cluster/', ':container-instance/')}/{secrets.token_hex(16)}",
            kind=kind,
            vcpus=float(kind.vcpus),
            memory_mib=offered_memory(kind),
            gpus=kind.gpus,
            is_ready=not self._pace.launch_s,
        )
        self.machines[machine.id] = machine
        self._vcpus += kind.vcpus
        self._note_room(machine)
        if not machine.is_ready:
            self._later(self._pace.launch_s, lambda: self._get_ready(machine))
        return machine

    def _note_room(self, machine: Machine) -> None:
        for wanted, machines in list(self._room.items()):
            if len(machines) > 2 * len(self.machines) + _SHAPES:  # nobody looks there any more
                del self._room[wanted]
            elif machine.holds(wanted) and (not machines or machines[-1] is not machine):
                machines.append(machine)

    def _get_ready(self, machine: Machine) -> None:
        machine.is_ready = True
        if machine.id in self.machines:
            self._ready(machine)

    def _await_idleness(self, machine: Machine) -> None:
        machine.idle = self._later(self._pace.idle_s, lambda: self._end_idle(machine))

    def _end_idle(self, machine: Machine) -> None:
        machine.idle = None
        if machine.id in self.machines and self._vcpus - machine.kind.vcpus >= self._least:
            self.lose(machine)
            self._changed()

    def _try_again(self) -> None:
        self._retry = None
        self._changed()

    @property
    def _least(self) -> int:
        # It holds for an environment that is DISABLED too (API reference).
        is_made = not self.environment.is_fargate and self.environment.status in ("VALID", "UPDATING")
        return int(self.environment.resources.get("minvCpus", 0)) if is_made else 0
