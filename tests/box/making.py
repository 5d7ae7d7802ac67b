"""What tests of the things that people make in Batch stand on: a front with a clock that stands still."""

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cloudknot.testing.batch.account import InstanceType
from cloudknot.testing.batch.api import BatchApi
from cloudknot.testing.batch.catalogue import SETTLE_S, Catalogue
from cloudknot.testing.batch.errors import BatchError, ClientException
from cloudknot.testing.batch.limits import SUBMITS_PER_S
from cloudknot.testing.clock import Clock
from tests.box.model import check_response

JsonObject = dict[str, Any]

_REQUEST_ID = re.compile(r", RequestId: [0-9a-f-]{36}$")

CONTAINER: JsonObject = {
    "image": "busybox",
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
}
EC2: JsonObject = {
    "type": "EC2",
    "minvCpus": 0,
    "maxvCpus": 8,
    "instanceTypes": ["optimal"],
    "instanceRole": "ecsInstanceRole",
    "subnets": ["subnet-1"],
    "securityGroupIds": ["sg-1"],
}
FARGATE: JsonObject = {
    "type": "FARGATE",
    "maxvCpus": 8,
    "subnets": ["subnet-1"],
    "securityGroupIds": ["sg-1"],
}


class Surroundings:
    """An account with four kinds of machine, and no trouble but a lag."""

    id = "123456789012"
    region = "eu-central-1"

    def __init__(self, lag_s: float = 0.0) -> None:
        self._lag_s = lag_s

    def publish(
        self, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any], at: float
    ) -> None:
        raise AssertionError("what is made sends no events")

    def write_log(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        raise AssertionError("what is made has no log")

    def admit(
        self,
        task_id: str,
        container: Mapping[str, Any],
        *,
        instance_role: str | None,
        log: tuple[str, str] | None,
    ) -> dict[str, str]:
        raise AssertionError("no task is run")

    def end_task(self, task_id: str) -> None:
        raise AssertionError("no task is run")

    def instance_types(self) -> Sequence[InstanceType]:
        return [
            InstanceType(name=name, vcpus=2, memory_mib=8192, architecture=architecture)
            for name, architecture in [
                ("m6i.large", "x86_64"),
                ("c5.large", "x86_64"),
                ("m6g.large", "arm64"),
                ("t3.large", "x86_64"),
            ]
        ]

    def launch(self, environment: str, instance_type: str) -> str | None:
        raise AssertionError("nothing is launched")

    def pull(self, image: str) -> str | None:
        raise AssertionError("no image is pulled")

    def reclaim_after(self, instance_id: str, environment: str) -> float | None:
        return None

    def copies_of_event(self) -> int:
        raise AssertionError("what is made sends no events")

    def lag_s(self, service: str) -> float:
        return self._lag_s


class Jobs:
    """Stands in for the engine: takes down what it is asked."""

    def __init__(self) -> None:
        self.submitted: list[JsonObject] = []
        self.stopped: list[tuple[str, str, str]] = []
        self.tags_of_job: dict[str, dict[str, str]] = {}

    def submit(self, params: JsonObject) -> JsonObject:
        self.submitted.append(params)
        return {"jobArn": "arn:job", "jobName": params["jobName"], "jobId": f"id-{len(self.submitted)}"}

    def describe(self, job_ids: Sequence[str]) -> list[JsonObject]:
        known = [one for one in job_ids if not one.startswith("unknown")]
        return [
            {"jobName": "n", "jobId": one, "jobQueue": "q", "status": "RUNNABLE", "jobDefinition": "d"}
            for one in known
        ]

    def list(self, params: JsonObject) -> JsonObject:
        return {"jobSummaryList": [{"jobId": "id-1", "jobName": str(sorted(params))}]}

    def cancel(self, job_id: str, reason: str) -> None:
        self._stop("cancel", job_id, reason)

    def terminate(self, job_id: str, reason: str) -> None:
        self._stop("terminate", job_id, reason)

    def snapshot(self, queue: str) -> JsonObject:
        return {"frontOfQueue": {"jobs": [{"jobArn": queue}]}}

    def tags(self, arn: str) -> dict[str, str] | None:
        return self.tags_of_job.get(arn)

    def _stop(self, how: str, job_id: str, reason: str) -> None:
        if job_id.startswith(("bad", "unknown")):
            raise ClientException("no")
        self.stopped.append((how, job_id, reason))


class Front:
    """Batch's front, which is asked as a client asks and whose replies are held against the model."""

    def __init__(
        self, *, settle_s: float = SETTLE_S, lag_s: float = 0.0, submits_per_s: float | None = SUBMITS_PER_S
    ) -> None:
        self.clock = Clock(ticking=False)
        self.jobs = Jobs()
        self.changes = 0
        surroundings = Surroundings(lag_s)
        self.catalogue = Catalogue(
            account_id=surroundings.id,
            region=surroundings.region,
            clock=self.clock,
            lock=threading.RLock(),
            account=surroundings,
            trouble=surroundings,
            on_change=self._count,
            settle_s=settle_s,
        )
        self.api = BatchApi(self.catalogue, self.jobs, submits_per_s=submits_per_s)

    def ask(self, operation: str, *, size: int = 100, **params: Any) -> JsonObject:
        """Ask, and check the reply."""
        reply = self.api.handle(operation, params, size=size)
        check_response(operation, reply)
        return reply

    def refused(self, operation: str, *, size: int = 100, **params: Any) -> str:
        """Ask what is to be refused; return the words, those of a request's content in angle brackets."""
        with pytest.raises(BatchError) as caught:
            self.api.handle(operation, params, size=size)
        said = caught.value.message
        assert (caught.value.code, caught.value.status) == ("ClientException", 400)
        inner = said.removeprefix("Error executing request, Exception : ")
        if inner == said:
            return said
        assert _REQUEST_ID.search(inner)
        return f"<{_REQUEST_ID.sub('', inner)}>"

    def environment(self, name: str = "ce", resources: JsonObject = EC2, **params: Any) -> str:
        """Make an environment that is VALID; return its ARN."""
        reply = self.ask(
            "CreateComputeEnvironment",
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources=resources,
            **params,
        )
        self.clock.advance(SETTLE_S)
        return str(reply["computeEnvironmentArn"])

    def queue(self, name: str = "q", environments: Sequence[str] = ("ce",), **params: Any) -> str:
        """Make a queue that is VALID; return its ARN."""
        reply = self.ask("CreateJobQueue", **queue_params(name, environments), **params)
        self.clock.advance(SETTLE_S)
        return str(reply["jobQueueArn"])

    def definition(self, name: str = "d", container: JsonObject = CONTAINER, **params: Any) -> str:
        """Register a definition; return its ARN."""
        reply = self.ask("RegisterJobDefinition", **definition_params(name, container), **params)
        return str(reply["jobDefinitionArn"])

    def submit(self, **params: Any) -> JsonObject:
        """Submit a job of `d` to `q`."""
        return self.ask("SubmitJob", **submit_params(**params))

    def _count(self) -> None:
        self.changes += 1


def ready(resources: JsonObject = EC2, **settings: Any) -> Front:
    """Return a front with an environment `ce`, a queue `q`, and for machines a definition `d`."""
    front = Front(**settings)
    front.environment(resources=resources)
    front.queue()
    if resources["type"] == "EC2":
        front.definition()
    return front


def environment_params(name: str = "ce", resources: JsonObject = EC2, **changes: Any) -> JsonObject:
    kept = {**resources, **changes}
    return {"computeEnvironmentName": name, "type": "MANAGED", "computeResources": kept}


def status_of(front: Front, name: str = "ce") -> str:
    (shown,) = front.ask("DescribeComputeEnvironments", computeEnvironments=[name])["computeEnvironments"]
    return str(shown["status"])


def queue_status_of(front: Front, name: str = "q") -> str:
    (shown,) = front.ask("DescribeJobQueues", jobQueues=[name])["jobQueues"]
    return str(shown["status"])


def queue_params(name: str = "q", environments: Sequence[str] = ("ce",)) -> JsonObject:
    order = [{"order": number, "computeEnvironment": one} for number, one in enumerate(environments, 1)]
    return {"jobQueueName": name, "priority": 1, "computeEnvironmentOrder": order}


def definition_params(name: str = "d", container: JsonObject = CONTAINER) -> JsonObject:
    return {"jobDefinitionName": name, "type": "container", "containerProperties": container}


def submit_params(**params: Any) -> JsonObject:
    return {"jobName": "job", "jobQueue": "q", "jobDefinition": "d", **params}


def resources(**amounts: str) -> list[JsonObject]:
    """Return `resourceRequirements` of VCPU, MEMORY, GPU."""
    return [{"type": kind, "value": value} for kind, value in amounts.items()]
