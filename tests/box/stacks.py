"""Stacks for the tests of CloudFormation, and what has become of them."""

import json
from collections.abc import Mapping
from typing import Any

from cloudknot.testing import Box
from tests.box import cloud

NAMED = ["CAPABILITY_NAMED_IAM"]
QUEUE: dict[str, Any] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}}
# SQS takes no name of this length, which is found out when it is asked for only.
FAILS: dict[str, Any] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "z" * 81}}
VPC: dict[str, Any] = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}
ROUTES: dict[str, Any] = {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}}


def body(resources: Mapping[str, Any], **sections: Any) -> str:
    """Return a template."""
    return json.dumps({"Resources": resources, **sections})


def create(
    box: Box, resources: Mapping[str, Any], *, client: Any = None, sections: Any = None, **options: Any
) -> str:
    """Create the stack `s`, or the one of `StackName`; return its id."""
    asked = {"StackName": "s", "Capabilities": NAMED, **options}
    asked["TemplateBody"] = body(resources, **(sections or {}))
    return str((client or box.client("cloudformation")).create_stack(**asked)["StackId"])


def update(
    box: Box, resources: Mapping[str, Any], *, client: Any = None, sections: Any = None, **options: Any
) -> None:
    """Update the stack `s`."""
    asked = {"StackName": "s", "Capabilities": NAMED, **options}
    asked["TemplateBody"] = body(resources, **(sections or {}))
    (client or box.client("cloudformation")).update_stack(**asked)


def status(box: Box, name: str = "s") -> str:
    """Return the status of a stack."""
    return str(box.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])


def events(box: Box, name: str = "s") -> list[dict[str, Any]]:
    """Return the events of a stack, in their order."""
    found = box.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return list(reversed(found))


def said(box: Box, name: str = "s") -> list[tuple[str, str]]:
    """Return who became what."""
    return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in events(box, name)]


def reason(box: Box, logical_id: str, state: str, name: str = "s") -> str:
    """Return why something has become so."""
    found = [
        event
        for event in events(box, name)
        if (event["LogicalResourceId"], event["ResourceStatus"]) == (logical_id, state)
    ]
    return str(found[-1]["ResourceStatusReason"])


def resources(box: Box, name: str = "s") -> dict[str, str]:
    """Return the resources of a stack and their states."""
    found = box.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
    return {one["LogicalResourceId"]: one["ResourceStatus"] for one in found}


def queues(box: Box) -> list[str]:
    """Return the names of the queues of SQS."""
    urls = box.client("sqs").list_queues().get("QueueUrls", [])
    return sorted(url.rpartition("/")[2] for url in urls)


def attribute(box: Box, name: str, queue: str = "q") -> str | None:
    """Return an attribute of a queue of SQS."""
    sqs = box.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    value: str | None = found.get("Attributes", {}).get(name)
    return value


def person(box: Box, *actions: str) -> Any:
    """Return a client of CloudFormation of somebody who may do only this."""
    user = box.user("ada", cloud.policy((list(actions), "*")))
    return user.client("cloudformation", endpoint_url=box.endpoint)
