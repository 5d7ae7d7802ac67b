"""What tests of Batch's jobs stand on: an account, trouble, an executor and a catalogue driven by hand."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudknot.testing.batch.account import InstanceType, NotStarted
from cloudknot.testing.batch.engine import Engine
from cloudknot.testing.batch.machines import Pace
from cloudknot.testing.batch.values import ComputeEnvironment, JobDefinition, JobQueue
from cloudknot.testing.clock import Clock
from cloudknot.testing.executors import Observer, Outcome, Task

JsonObject = dict[str, Any]

REGION, ACCOUNT = "us-east-1", "123456789012"
SUCCESS = Outcome(exit_code=0)
FAILURE = Outcome(exit_code=1)


def instance_type(name: str, vcpus: int, gib: int, *, arm: bool = False, gpus: int = 0) -> InstanceType:
    """Return a kind of machine."""
    return InstanceType(
        name=name,
        vcpus=vcpus,
        memory_mib=gib * 1024,
        architecture="arm64" if arm else "x86_64",
        gpus=gpus,
    )


TYPES = (
    instance_type("m6i.large", 2, 8),
    instance_type("m6i.xlarge", 4, 16),
    instance_type("m6i.metal", 128, 512),
    instance_type("c6i.large", 2, 4),
    instance_type("m6g.large", 2, 8, arm=True),
    instance_type("m5.large", 2, 8),
    instance_type("m5.24xlarge", 96, 384),
    instance_type("g4dn.xlarge", 4, 16, gpus=1),
)


@dataclass
class FakeAccount:
    """Takes down what it is told; refuses what a test says."""

    id: str = ACCOUNT
    region: str = REGION
    events: list[tuple[str, tuple[str, ...], JsonObject, float]] = field(default_factory=list)
    logs: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    ended_tasks: list[str] = field(default_factory=list)
    pulls: list[tuple[str, str | None]] = field(default_factory=list)
    platform: dict[str, str] = field(default_factory=dict)
    refusals: deque[Exception | None] = field(default_factory=deque)
    """What `admit` says of the next tasks."""
    pull_refusal: NotStarted | None = None
    is_keeping_events: bool = True

    def publish(
        self, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any], at: float
    ) -> None:
        if self.is_keeping_events:
            self.events.append((detail_type, tuple(resources), dict(detail), at))

    def write_log(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        self.logs.setdefault((group, stream), []).extend(lines)

    def admit(
        self,
        task_id: str,
        container: Mapping[str, Any],
        *,
        instance_role: str | None,
        log: tuple[str, str] | None,
    ) -> dict[str, str]:
        self.pulls.append((container["image"], instance_role))
        if self.pull_refusal:
            raise self.pull_refusal
        why = self.refusals.popleft() if self.refusals else None
        if why:
            raise why
        return dict(self.platform)

    def end_task(self, task_id: str) -> None:
        self.ended_tasks.append(task_id)

    def instance_types(self) -> Sequence[InstanceType]:
        return TYPES

    def states_told(self, job_id: str) -> list[str]:
        """Return the states of a job that events have told."""
        return [body["status"] for _, _, body, _ in self.events if body["jobId"] == job_id]


@dataclass
class FakeTrouble:
    """Says what a test has put in."""

    launches: deque[str | None] = field(default_factory=deque)
    pulls: deque[str | None] = field(default_factory=deque)
    copies: int = 1
    lag: float = 0.0
    asked_launches: list[tuple[str, str]] = field(default_factory=list)

    def launch(self, environment: str, instance_type: str) -> str | None:
        self.asked_launches.append((environment, instance_type))
        return self.launches.popleft() if self.launches else None

    def pull(self, image: str) -> str | None:
        return self.pulls.popleft() if self.pulls else None

    def reclaim_after(self, instance_id: str, environment: str) -> float | None:
        return None

    def copies_of_event(self) -> int:
        return self.copies

    def lag_s(self, service: str) -> float:
        return self.lag if service == "batch" else 0.0


@dataclass
class FakeExecutor:
    """Keeps tasks until a test says what becomes of them."""

    tasks: dict[str, tuple[Task, Observer]] = field(default_factory=dict)
    """Those that have not ended, by id."""
    stopped: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    most_at_once: int = 0

    def start(self, task: Task, observer: Observer) -> None:
        self.tasks[task.id] = task, observer
        self.most_at_once = max(self.most_at_once, len(self.tasks))

    def stop(self, task_id: str) -> None:
        self.stopped.append(task_id)

    def kill(self, task_id: str) -> None:
        self.killed.append(task_id)

    def close(self) -> None:
        self.tasks.clear()

    def task_of(self, job_id: str) -> Task:
        """Return the task of a job."""
        return next(task for task, _ in self.tasks.values() if task.job_id == job_id)

    def begin(self, job_id: str) -> None:
        """Let the container of a job run."""
        task, observer = self.tasks[self.task_of(job_id).id]
        observer.started(task.id)

    def write(self, job_id: str, *texts: str) -> None:
        """Let it write lines."""
        task, observer = self.tasks[self.task_of(job_id).id]
        observer.wrote(task.id, list(enumerate(texts)))

    def end(self, job_id: str, outcome: Outcome = SUCCESS) -> None:
        """Let it end."""
        task, observer = self.tasks.pop(self.task_of(job_id).id)
        observer.ended(task.id, outcome)

    def run_all(self, outcome: Outcome = SUCCESS) -> int:
        """Begin and end all tasks that are there; return how many they were."""
        tasks, self.tasks = self.tasks, {}
        for task, observer in tasks.values():
            observer.started(task.id)
            observer.ended(task.id, outcome)
        return len(tasks)


class FakeCatalogue:
    """Queues, environments and definitions that are just there."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.has_jobs: Callable[[str], bool] = lambda _arn: False
        self.terminate_all: Callable[[str, str], None] = lambda _arn, _reason: None
        self._queues: dict[str, JobQueue] = {}
        self._environments: dict[str, ComputeEnvironment] = {}
        self._definitions: dict[str, JobDefinition] = {}

    def queue(self, name_or_arn: str) -> JobQueue:
        return self._queues[name_or_arn.rpartition("/")[2]]

    def definition(self, name_or_arn: str) -> JobDefinition:
        return self._definitions[name_or_arn]

    def environments_of(self, queue: JobQueue) -> list[ComputeEnvironment]:
        return [self._environments[arn.rpartition("/")[2]] for arn in queue.environments]

    def queues(self) -> list[JobQueue]:
        return list(self._queues.values())

    def environments(self) -> list[ComputeEnvironment]:
        return list(self._environments.values())

    def add_environment(self, name: str, **resources: Any) -> ComputeEnvironment:
        """Make an environment that is VALID."""
        made = self._environments[name] = ComputeEnvironment(
            name=name,
            arn=_arn("compute-environment", name),
            uuid=name,
            created_at=0.0,
            status="VALID",
            resources={
                "type": "EC2",
                "minvCpus": 0,
                "maxvCpus": 16,
                "instanceTypes": ["m6i"],
                "allocationStrategy": "BEST_FIT_PROGRESSIVE",
                "instanceRole": "ecsInstanceRole",
                **resources,
            },
            ecs_cluster_arn=f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}_Batch",
        )
        return made

    def remove_environment(self, name: str) -> None:
        """Forget an environment."""
        del self._environments[name]

    def add_queue(self, name: str, *environments: str, priority: int = 1, **values: Any) -> JobQueue:
        """Make a queue that is VALID."""
        made = self._queues[name] = JobQueue(
            name=name,
            arn=_arn("job-queue", name),
            created_at=0.0,
            priority=priority,
            environments=[_arn("compute-environment", one) for one in environments],
            status="VALID",
            **values,
        )
        return made

    def add_definition(
        self,
        name: str = "d",
        *,
        vcpus: str = "1",
        memory: str = "1024",
        gpus: str | None = None,
        container: JsonObject | None = None,
        **values: Any,
    ) -> JobDefinition:
        """Make the first revision of a definition."""
        needs = [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": memory}]
        needs += [{"type": "GPU", "value": gpus}] if gpus else []
        made = self._definitions[name] = JobDefinition(
            name=name,
            revision=1,
            arn=_arn("job-definition", f"{name}:1"),
            created_at=0.0,
            container={
                "image": "busybox",
                "command": ["true"],
                "resourceRequirements": needs,
                **(container or {}),
            },
            **values,
        )
        return made


class Box:
    """An engine and fakes: an environment `ce`, a queue `q`, a definition `d` of 1 vCPU and 1 GiB."""

    def __init__(self, *, pace: Pace | None = None, **resources: Any) -> None:
        self.clock = Clock(ticking=False, read=itertools.repeat(1_700_000_000.0).__next__)
        self.account = FakeAccount()
        self.trouble = FakeTrouble()
        self.executor = FakeExecutor()
        self.catalogue = FakeCatalogue()
        self.catalogue.add_environment("ce", **resources)
        self.catalogue.add_queue("q", "ce")
        self.catalogue.add_definition()
        self.engine = Engine(
            catalogue=self.catalogue,
            clock=self.clock,
            lock=threading.RLock(),
            account=self.account,
            trouble=self.trouble,
            executor=self.executor,
            pace=pace,
        )

    def submit(
        self, *, definition: str = "d", queue: str = "q", size: int | None = None, **params: Any
    ) -> str:
        """Submit a job, let the engine look at it, and return its id."""
        job_id = self.submit_unseen(definition=definition, queue=queue, size=size, **params)
        self.settle()
        return job_id

    def submit_unseen(
        self, *, definition: str = "d", queue: str = "q", size: int | None = None, **params: Any
    ) -> str:
        """Submit a job."""
        array = {"arrayProperties": {"size": size}} if size else {}
        reply = self.engine.submit(
            {"jobName": "job", "jobQueue": queue, "jobDefinition": definition, **array, **params}
        )
        return str(reply["jobId"])

    def settle(self) -> None:
        """Let the engine do all that is to be done now."""
        self.clock.advance(0)

    def run(self, job_id: str, outcome: Outcome = SUCCESS) -> None:
        """Let a job that is placed begin and end."""
        self.executor.begin(job_id)
        self.executor.end(job_id, outcome)
        self.settle()

    def begin(self, job_id: str) -> None:
        """Let a job that is placed begin."""
        self.executor.begin(job_id)
        self.settle()

    def job(self, job_id: str) -> JsonObject:
        """Describe a job."""
        (found,) = self.engine.describe([job_id])
        return found

    def status(self, job_id: str) -> str:
        """Return the state of a job."""
        return str(self.job(job_id)["status"])

    def reason(self, job_id: str) -> str | None:
        """Return the status reason of a job."""
        reason: str | None = self.job(job_id).get("statusReason")
        return reason

    def ending(self, job_id: str) -> tuple[str, str | None]:
        """Return the state and the status reason of a job."""
        return self.status(job_id), self.reason(job_id)

    def counts(self, job_id: str) -> dict[str, int]:
        """Return how many children of an array are in each state that any is in."""
        counts: dict[str, int] = self.job(job_id)["arrayProperties"]["statusSummary"]
        return {state: count for state, count in counts.items() if count}


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:batch:{REGION}:{ACCOUNT}:{kind}/{name}"
