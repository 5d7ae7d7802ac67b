"""A box whose time stands still, with machines and a queue, as a person with boto3 sees it.

One serves the tests of a module, which give their queues and definitions names of their own: a box that is
emptied for each test would take longer than the test.
"""

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from cloudknot.testing.launch import running
from tests.box import cloud
from tests.box.recorder import Recorder

# Nothing that the client does by itself comes between the test and the answer.
ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1})
_SETTLE_S = 2.0
_PATIENCE_S = 30.0

Job = dict[str, Any]


class Lab:
    """A frozen box, the queue `queue` on `machines` with room for all, and a client that is looked after."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.recorder = Recorder()
        self.batch: Any = self.recorder.watch(box.client("batch", config=ONCE))
        self._names = itertools.count(1)
        self.resources = cloud.machines(box, "machines")
        self.queue = self.make_queue(self.make_environment(maxvCpus=256))
        self._definitions: dict[str, str] = {}

    def pass_time(self, seconds: float = 0.0) -> None:
        """Let the box's time go on."""
        self.box.advance(seconds)

    def name(self, what: str) -> str:
        """Return a name that nothing has yet."""
        return f"{what}-{next(self._names)}"

    def make_environment(self, **resources: Any) -> str:
        """Make an environment of machines of EC2 that is VALID; return its name."""
        name = self.name("machines")
        self.batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources={**self.resources, "maxvCpus": 256, **resources},
        )
        self.pass_time(_SETTLE_S)
        return name

    def make_queue(self, *environments: str, **options: Any) -> str:
        """Make a queue that is VALID; return its name."""
        name = self.name("queue")
        order = [{"order": number, "computeEnvironment": one} for number, one in enumerate(environments)]
        self.batch.create_job_queue(
            **{
                "jobQueueName": name,
                "priority": 1,
                "state": "ENABLED",
                "computeEnvironmentOrder": order,
                **options,
            }
        )
        self.pass_time(_SETTLE_S)
        return name

    def sh(self, script: str, *, vcpus: int = 1, memory_mib: int = 256, **options: Any) -> str:
        """Register a definition that runs a line of shell; return its name and revision."""
        return cloud.make_definition(
            self.box,
            *("sh", "-c", script),
            name=options.pop("name", self.name("definition")),
            vcpus=vcpus,
            memory_mib=memory_mib,
            **options,
        )

    def submit(self, script: str = "exit 0", *, queue: str | None = None, **options: Any) -> str:
        """Submit a job that runs a line of shell; return its id."""
        if script not in self._definitions:
            self._definitions[script] = self.sh(script)
        definition = options.pop("jobDefinition", self._definitions[script])
        reply = self.batch.submit_job(
            **{
                "jobName": "job",
                "jobQueue": queue or self.queue,
                "jobDefinition": definition,
                **options,
            }
        )
        self.pass_time(0.05)  # submits are counted by the box's time
        return str(reply["jobId"])

    def describe(self, job_id: str) -> Job:
        """Return what DescribeJobs says of a job."""
        (found,) = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        return dict(found)

    def states(self, job_ids: Sequence[str]) -> list[str]:
        """Return the states of jobs, in their order."""
        found = {job["jobId"]: job["status"] for job in self.batch.describe_jobs(jobs=list(job_ids))["jobs"]}
        return [found[job_id] for job_id in job_ids]

    def wait_for(self, job_id: str, *states: str) -> Job:
        """Wait, in real time, until a job is in one of these states; return what DescribeJobs says of it."""
        end = time.monotonic() + _PATIENCE_S
        while (job := self.describe(job_id))["status"] not in states:
            assert time.monotonic() < end, job
            self.pass_time()
            time.sleep(0.01)
        return job

    def finish(self, job_id: str) -> Job:
        """Wait until a job has ended; return what DescribeJobs says of it."""
        return self.wait_for(job_id, *cloud.FINAL)

    def run(self, script: str = "exit 0", **options: Any) -> Job:
        """Submit a job and wait until it has ended."""
        return self.finish(self.submit(script, **options))

    def wait_until_said(self, job_id: str, line: str) -> None:
        """Wait until a job has written a line."""
        job = self.wait_for(job_id, "RUNNING")
        cloud.wait_until(lambda: line in cloud.log_of(self.box, job), f"the line {line!r}")

    def ids(self, **params: Any) -> list[str]:
        """Return the ids on one page of ListJobs."""
        return [job["jobId"] for job in self.batch.list_jobs(**params)["jobSummaryList"]]

    def refused(self, operation: str, **params: Any) -> str:
        """Ask for what is to be refused as the client's fault; return the words without the id."""
        error = self.error(operation, **params)
        assert (error["Code"], error["Status"]) == ("ClientException", 400)
        return str(error["Message"]).partition(", RequestId: ")[0]

    def listen(self, **pattern: Any) -> str:
        """Have Batch's events sent to a queue of SQS from now on; return its URL."""
        sqs, events = self.box.client("sqs"), self.box.client("events")
        name = self.name("events")
        url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
        asked = {"source": ["aws.batch"], **pattern}
        rule = events.put_rule(Name=name, EventPattern=json.dumps(asked))["RuleArn"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        return url

    def hear(self, url: str) -> list[Job]:
        """Take the events that have come into a queue."""
        sqs = self.box.client("sqs")
        events: list[Job] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            events += [json.loads(message["Body"]) for message in messages]
        return events

    def error(self, operation: str, **params: Any) -> Mapping[str, Any]:
        """Ask for what is to be refused; return code, message and status."""
        with pytest.raises(ClientError) as caught:
            getattr(self.batch, operation)(**params)
        reply = caught.value.response
        return {**reply["Error"], "Status": reply["ResponseMetadata"]["HTTPStatusCode"]}


@contextmanager
def open_lab(folder: Path) -> Iterator[Lab]:
    """Have a lab for a while."""
    with running(folder, name=f"lab-{folder.name}") as box:
        box.reset(executor="process", ticking=False)
        yield Lab(box)
