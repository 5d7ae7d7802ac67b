"""The front: what it checks, what it hands on, and that all it says is AWS's shape."""

from typing import Any

import pytest

from cloudknot.testing.batch.errors import BatchError, ClientException
from tests.box.making import FARGATE, Front, definition_params, ready, resources, submit_params
from tests.box.model import check_response

UNSUPPORTED = [
    "CreateConsumableResource",
    "ListJobsByConsumableResource",
    "CreateServiceEnvironment",
    "SubmitServiceJob",
    "CreateQuotaShare",
    "NoSuchOperation",
]


@pytest.mark.parametrize("operation", UNSUPPORTED)
def test_an_operation_that_the_box_does_not_do_is_named(operation: str) -> None:
    with pytest.raises(BatchError, match=operation) as caught:
        Front().api.handle(operation, {}, size=2)
    assert (caught.value.code, caught.value.status) == ("UnsupportedOperation", 501)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "jobName is required"),
        ({"jobName": 3}, "jobName must be of type string"),
        ({"jobName": None}, "jobName is required"),
        (submit_params(arrayProperties=[]), "arrayProperties must be of type structure"),
        (submit_params(arrayProperties={"size": "2"}), "arrayProperties.size must be of type integer"),
        (submit_params(arrayProperties={"size": True}), "arrayProperties.size must be of type integer"),
        (submit_params(propagateTags=1), "propagateTags must be of type boolean"),
        (submit_params(parameters={"a": 1}), "parameters.a must be of type string"),
        (submit_params(dependsOn={"jobId": "j"}), "dependsOn must be of type list"),
        (submit_params(dependsOn=[{"jobId": "j", "type": "ALL"}]), r"dependsOn\[0\].type"),
        (
            submit_params(containerOverrides={"resourceRequirements": [{"type": "VCPU"}]}),
            r"containerOverrides.resourceRequirements\[0\].value is required",
        ),
    ],
)
def test_a_request_of_another_shape_is_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientException, match=words):
        ready().api.handle("SubmitJob", params, size=2)


def test_members_that_are_unknown_or_null_are_passed_over() -> None:
    front = ready()
    front.submit(somethingNew=1, timeout=None)
    assert front.jobs.submitted == [submit_params()]


def test_a_job_that_is_taken_goes_to_the_engine() -> None:
    front = ready()
    reply = front.submit(arrayProperties={"size": 3}, tags={"a": "b"})
    assert reply["jobId"] == "id-1"
    assert front.jobs.submitted[0]["tags"] == {"a": "b"}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"jobQueue": "nothing"}, "JobQueue nothing not found."),
        (
            {"jobDefinition": "nothing"},
            "JobDefinition name nothing does not exist or is not in ACTIVE status",
        ),
        ({"jobDefinition": "d:7"}, "JobDefinition name d:7 does not exist or is not in ACTIVE status"),
        (
            {"containerOverrides": {"command": ["Ref::x"]}},
            "Unable to substitute value. No parameter found for reference x",
        ),
        ({"containerOverrides": {"command": [""]}}, "<Command field cannot have empty strings>"),
        (
            {"shareIdentifier": "a"},
            "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue "
            "with fair share scheduling policy.",
        ),
    ],
)
def test_a_submit_is_refused_in_awss_words(params: dict[str, Any], words: str) -> None:
    front = ready()
    assert front.refused("SubmitJob", **submit_params(**params)) == words
    assert front.jobs.submitted == []


def test_a_submit_to_a_queue_that_is_disabled_or_not_valid_yet_is_refused() -> None:
    front = ready()
    front.ask("CreateJobQueue", jobQueueName="new", priority=1, computeEnvironmentOrder=_order("ce"))
    assert "CREATING" in front.refused("SubmitJob", **submit_params(jobQueue="new"))
    front.ask("UpdateJobQueue", jobQueue="q", state="DISABLED")
    assert "DISABLED" in front.refused("SubmitJob", **submit_params())


def test_a_definition_for_machines_is_refused_by_a_queue_of_fargate() -> None:
    front = ready(FARGATE)
    front.definition()
    said = front.refused("SubmitJob", **submit_params())
    assert said == ("Job Queue is attached to Compute Environment that can not run Jobs with capability EC2.")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"resourceRequirements": resources(VCPU="1", MEMORY="4000")},
            "Fargate resource requirements (1.00 vCPU, 4000 MiB) not valid.",
        ),
        ({"vcpus": 1}, "vcpus is not applicable for Fargate. Use resource requirements instead."),
    ],
)
def test_fargates_sizes_hold_for_overrides_too(overrides: dict[str, Any], words: str) -> None:
    front = ready(FARGATE)
    container = {
        "image": "busybox",
        "executionRoleArn": "arn:aws:iam::1:role/r",
        "resourceRequirements": resources(VCPU="0.25", MEMORY="512"),
    }
    front.definition(container=container, platformCapabilities=["FARGATE"])
    front.submit(containerOverrides={"resourceRequirements": resources(VCPU="1", MEMORY="4096")})
    assert front.refused("SubmitJob", **submit_params(containerOverrides=overrides)) == words


def test_a_queue_with_a_policy_needs_a_share() -> None:
    front = ready()
    arn = front.ask("CreateSchedulingPolicy", name="p")["arn"]
    front.queue("fair", schedulingPolicyArn=arn)
    front.refused("SubmitJob", **submit_params(jobQueue="fair"))
    front.submit(jobQueue="fair", shareIdentifier="a", schedulingPriorityOverride=9999)
    front.refused(
        "SubmitJob", **submit_params(jobQueue="fair", shareIdentifier="a", schedulingPriorityOverride=10_000)
    )


@pytest.mark.parametrize(("operation", "how"), [("CancelJob", "cancel"), ("TerminateJob", "terminate")])
def test_a_job_is_stopped(operation: str, how: str) -> None:
    front = Front()
    assert front.ask(operation, jobId="id-1", reason="r") == {}
    assert front.jobs.stopped == [(how, "id-1", "r")]
    front.refused(operation, jobId="bad", reason="r")


@pytest.mark.parametrize(("operation", "how"), [("CancelJobs", "cancel"), ("TerminateJobs", "terminate")])
def test_jobs_are_stopped_each_for_itself_and_unknown_ones_are_no_fault(operation: str, how: str) -> None:
    front = Front()
    reply = front.ask(operation, jobs=["id-1", "bad-2", "unknown-3"], reason="r")
    assert reply == {
        "successful": ["id-1", "unknown-3"],
        "errors": [{"job": "bad-2", "code": "ClientException", "message": "no"}],
    }
    assert front.jobs.stopped == [(how, "id-1", "r")]


@pytest.mark.parametrize(
    ("params", "is_taken"),
    [
        ({"jobQueue": "q"}, True),
        ({"arrayJobId": "j", "maxResults": 1000}, True),
        ({"jobQueue": "q", "filters": [{"name": "JOB_NAME", "values": ["a*"]}], "maxResults": 100}, True),
        ({}, False),
        ({"jobQueue": "q", "arrayJobId": "j"}, False),
        ({"jobQueue": "q", "jobStatus": "DONE"}, False),
        ({"jobQueue": "q", "maxResults": 0}, False),
        ({"jobQueue": "q", "maxResults": 1001}, False),
        ({"jobQueue": "q", "filters": [{"name": "JOB_NAME", "values": ["a*"]}], "maxResults": 101}, False),
        ({"jobQueue": "q", "filters": [{"name": "COLOUR", "values": ["a*"]}]}, False),
        ({"jobQueue": "q", "filters": [{"name": "JOB_NAME"}, {"name": "JOB_NAME"}]}, False),
    ],
)
def test_jobs_are_listed_of_a_queue_or_an_array(params: dict[str, Any], *, is_taken: bool) -> None:
    if is_taken:
        Front().ask("ListJobs", **params)
    else:
        Front().refused("ListJobs", **params)


def test_the_front_of_a_queue_is_shown() -> None:
    front = ready()
    (job,) = front.ask("GetJobQueueSnapshot", jobQueue="q")["frontOfQueue"]["jobs"]
    assert job["jobArn"].endswith(":job-queue/q")
    assert front.refused("GetJobQueueSnapshot", jobQueue="nothing") == "JobQueue nothing not found."


def test_everything_that_is_made_can_be_tagged() -> None:
    front = ready()
    arns = [
        *(one.arn for one in front.catalogue.environments()),
        *(one.arn for one in front.catalogue.queues()),
        front.catalogue.definition("d").arn,
        front.ask("CreateSchedulingPolicy", name="p")["arn"],
        "arn:aws:batch:eu-central-1:123456789012:job/id-1",
    ]
    front.jobs.tags_of_job = {arns[-1]: {}}
    for arn in arns:
        front.ask("TagResource", resourceArn=arn, tags={"a": "1", "b": "2"})
        front.ask("UntagResource", resourceArn=arn, tagKeys=["b", "c"])
        assert front.ask("ListTagsForResource", resourceArn=arn) == {"tags": {"a": "1"}}
    assert front.catalogue.queue("q").tags == {"a": "1"}


@pytest.mark.parametrize("what", ["job-queue/x", "job/x", "job-definition/d:9", "scheduling-policy/x"])
def test_what_is_not_there_cannot_be_tagged(what: str) -> None:
    arn = f"arn:aws:batch:eu-central-1:123456789012:{what}"
    ready().refused("TagResource", resourceArn=arn, tags={"a": "1"})


def test_there_are_fifty_tags_at_most() -> None:
    front = ready()
    arn = front.catalogue.queue("q").arn
    front.ask("TagResource", resourceArn=arn, tags={str(number): "" for number in range(50)})
    front.ask("TagResource", resourceArn=arn, tags={"0": "other"})
    front.refused("TagResource", resourceArn=arn, tags={"more": ""})


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"jobName": "n"},
        {"jobName": "n", "jobId": 1},
        {"jobName": "n", "jobId": "i", "colour": "red"},
    ],
)
def test_a_reply_of_another_shape_does_not_pass_the_check(reply: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="SubmitJob"):
        check_response("SubmitJob", reply)


def test_a_choice_that_the_model_does_not_have_does_not_pass_the_check() -> None:
    summary = {"jobId": "i", "jobName": "n", "status": "DONE"}
    with pytest.raises(AssertionError, match="'DONE' is none of"):
        check_response("ListJobs", {"jobSummaryList": [summary]})


def test_a_request_is_not_changed() -> None:
    params = definition_params()
    before = str(params)
    Front().api.handle("RegisterJobDefinition", params, size=1)
    assert str(params) == before


def _order(name: str) -> list[dict[str, Any]]:
    return [{"order": 1, "computeEnvironment": name}]
