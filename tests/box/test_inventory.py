"""What a person finds again by its tags."""

import pytest

from cloudknot.testing import Box
from tests.box import cloud

pytestmark = pytest.mark.aws_box(executor="process")

LAB = {"Key": "lab", "Value": "a"}


def found(box: Box, *kinds: str) -> set[str]:
    pages = box.client("resourcegroupstaggingapi").get_paginator("get_resources")
    asked = {"TagFilters": [{"Key": "lab", "Values": ["a"]}], "ResourceTypeFilters": list(kinds)}
    return {
        resource["ResourceARN"].split(":", 2)[2]
        for page in pages.paginate(**asked)
        for resource in page["ResourceTagMappingList"]
    }


def test_what_has_a_tag_is_found_whatever_its_service(aws_box: Box) -> None:
    batch = aws_box.client("batch")
    environment = cloud.make_environment(aws_box)
    batch.tag_resource(resourceArn=environment, tags={"lab": "a"})
    cloud.make_queue(aws_box, environment=environment, tags={"lab": "a"})
    cloud.make_queue(aws_box, "other", environment=environment, tags={"lab": "b"})
    definition = cloud.make_definition(aws_box, "true", tags={"lab": "a"})
    job = cloud.submit(aws_box, definition, tags={"lab": "a"})
    aws_box.client("ecr").create_repository(repositoryName="lab", tags=[LAB])
    aws_box.client("events").put_rule(Name="rule", EventPattern='{"source": ["aws.batch"]}', Tags=[LAB])
    aws_box.client("sqs").create_queue(QueueName="news", tags={"lab": "a"})
    place = "us-east-1:123456789012"
    assert found(aws_box) == {
        f"batch:{place}:compute-environment/machines",
        f"batch:{place}:job-queue/queue",
        f"batch:{place}:job-definition/{definition}",
        f"batch:{place}:job/{job}",
        f"ecr:{place}:repository/lab",
        f"events:{place}:rule/rule",
        f"sqs:{place}:news",
    }
    assert found(aws_box, "batch:job-queue") == {f"batch:{place}:job-queue/queue"}
    assert aws_box.client("resourcegroupstaggingapi").get_tag_keys()["TagKeys"] == ["lab"]


def test_what_is_gone_is_not_found(aws_box: Box) -> None:
    definition = cloud.make_definition(aws_box, "true", tags={"lab": "a"})
    aws_box.client("ecr").create_repository(repositoryName="lab", tags=[LAB])
    aws_box.client("batch").deregister_job_definition(jobDefinition=definition)
    aws_box.client("ecr").delete_repository(repositoryName="lab")
    assert found(aws_box) == set()
