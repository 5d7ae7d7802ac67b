"""CloudFormation: what a change would do, doing it, and waiting until it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from cloudknot.aws.blueprint import Blueprint
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import read_stack
from cloudknot.errors import AwsError

_FIRST_WAIT_S, _LONGEST_WAIT_S, _GROWTH = 0.5, 10.0, 1.4
# What CloudFormation says of a change set that would do nothing.
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")
# Left by a first try that failed: there is nothing in it, and it cannot be updated.
_EMPTY = "ROLLBACK_COMPLETE"
_BROKEN = frozenset({"CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"})
_NOT_THERE = frozenset({"", "REVIEW_IN_PROGRESS"})
# The API's name of the error, and botocore's of the class.
_NOT_EXECUTABLE = ("InvalidChangeSetStatus", "InvalidChangeSetStatusException")
# Where another resource failed, what was under way says so, and that is no cause.
_CANCELLED = ("Resource creation cancelled", "Resource update cancelled", "Resource deletion cancelled")

Tell = Callable[[str], None]
Sleep = Callable[[float], None]


def silent(line: str) -> None:
    """Hear what comes about, and pass it over."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What would become of one resource.

    Parameters
    ----------
    action : {"Add", "Modify", "Remove"}
        What would be done.
    kind : str
        CloudFormation's type, such as ``"AWS::Batch::JobQueue"``.
    name : str
        Its name in the template.
    is_replaced : bool
        Whether it would be made anew.
    """

    action: str
    kind: str
    name: str
    is_replaced: bool = False

    @property
    def ends_jobs(self) -> bool:
        """Return whether jobs end with it."""
        return self.kind == "AWS::Batch::JobQueue" and (self.is_replaced or self.action == "Remove")


@dataclass(frozen=True, kw_only=True)
class ChangeSet:
    """A change that CloudFormation has worked out and not done yet.

    Parameters
    ----------
    name, stack_id : str
        Its own, and its stack's ARN.
    is_new : bool
        Whether it makes the stack.
    changes : tuple of Change
        What it would do. It may be none where only the stack's outputs or tags would change.
    """

    name: str
    stack_id: str
    is_new: bool
    changes: tuple[Change, ...] = ()

    @property
    def named(self) -> dict[str, str]:
        """Return how requests name it; permissions are given for the stack."""
        return {"ChangeSetName": self.name, "StackName": self.stack_id}


class Stacks:
    """The stacks of a region.

    Parameters
    ----------
    aws : Aws
        The account and region.
    tell : callable
        Hears what comes about.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(self, aws: Aws, *, tell: Tell = silent, sleep: Sleep = time.sleep) -> None:
        self._aws = aws
        self._tell = tell
        self._sleep = sleep

    def propose(self, blueprint: Blueprint) -> ChangeSet | None:
        """Return what making a stack so would change; None where it is so already.

        The change set must then be carried out or dropped.

        Raises
        ------
        AwsError
            AWS refused, or the stack is in no state to be changed.
        """
        described = self.settle(blueprint.stack)
        status = _status(described)
        if status in _BROKEN:
            raise AwsError(f"the stack {blueprint.stack} is {status}: {_cure(blueprint.stack, status)}")
        if status == _EMPTY:
            self._tell(f"removing what an earlier try has left of the stack {blueprint.stack}")
            self.remove(blueprint.stack)
            status = ""
        is_new, name = status in _NOT_THERE, f"cloudknot-{uuid4().hex[:12]}"
        reply = self._create_change_set(blueprint, name, is_new=is_new)
        change_set = ChangeSet(name=name, stack_id=str(reply["StackId"]), is_new=is_new)
        why_not, changes = self._wait_for_change_set(change_set)
        if why_not is None:
            return replace(change_set, changes=changes)
        self.drop(change_set)
        if any(words in why_not for words in _NO_CHANGE):
            return None
        raise AwsError(f"the stack {blueprint.stack} cannot be changed so: {why_not}")

    def drop(self, change_set: ChangeSet) -> None:
        """Forget a change; a stack that it would have made is not there then."""
        try:
            self._ask("delete_change_set", **change_set.named)
        except AwsError as error:  # dropped before, or by a request whose answer was lost
            if "does not exist" not in str(error):
                raise
        if change_set.is_new:  # a stack under review, which has nothing
            self._ask("delete_stack", StackName=change_set.stack_id)

    def carry_out(self, change_set: ChangeSet) -> dict[str, Any]:
        """Do a change, and return what CloudFormation says of the stack then.

        Raises
        ------
        AwsError
            It failed, with the words of the first resource that did. What it had begun is undone; a stack
            that it was to make is removed.
        """
        seen = {event["EventId"] for event in self._events(change_set.stack_id)}
        self._execute(change_set)
        status, failure = self._follow(change_set.stack_id, seen)
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            described = read_stack(self._aws, change_set.stack_id)
            assert described is not None
            return described
        what = "made" if change_set.is_new else "changed"
        left = "nothing is left of it" if change_set.is_new else "it is as it was before"
        if change_set.is_new:
            try:
                self.remove(change_set.stack_id)
            except AwsError as error:
                left = f"and removing what is left failed too: {error}"
        elif status != "UPDATE_ROLLBACK_COMPLETE":
            left = _cure(change_set.stack_id.split("/")[1], status)
        raise AwsError(f"the stack could not be {what}: {failure or status}; {left}", code=status)

    def remove(self, stack: str) -> None:
        """Delete a stack and wait until it is gone; one that is not there is gone.

        Raises
        ------
        AwsError
            Something cannot be deleted, with CloudFormation's words.
        """
        described = read_stack(self._aws, stack)
        if described is None or described["StackStatus"] == "DELETE_COMPLETE":
            return
        stack_id = str(described["StackId"])
        seen = {event["EventId"] for event in self._events(stack_id)}
        self._ask("delete_stack", StackName=stack_id)
        status, failure = self._follow(stack_id, seen)
        if status != "DELETE_COMPLETE":
            raise AwsError(
                f"the stack {described['StackName']} is not deleted yet: {failure or status}", code=status
            )

    def resources(self, stack: str) -> Iterator[Mapping[str, Any]]:
        """Yield the resources that a stack has now."""
        for one in self._aws.pages(
            "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack
        ):
            if one["ResourceStatus"] != "DELETE_COMPLETE" and one.get("PhysicalResourceId"):
                yield one

    def settle(self, stack: str) -> dict[str, Any] | None:
        """Wait until nobody changes a stack; return CloudFormation's description, or None."""
        wait_s, is_told = _FIRST_WAIT_S, False
        while True:
            described = read_stack(self._aws, stack)
            status = _status(described)
            if not status.endswith("_IN_PROGRESS") or status in _NOT_THERE:
                return described
            if not is_told:
                self._tell(f"waiting for the stack {stack}, which is {status}")
                is_told = True
            self._sleep(wait_s)
            wait_s = min(wait_s * _GROWTH, _LONGEST_WAIT_S)

    def _create_change_set(self, blueprint: Blueprint, name: str, *, is_new: bool) -> Any:
        try:
            return self._ask(
                "create_change_set",
                StackName=blueprint.stack,
                ChangeSetName=name,
                ChangeSetType="CREATE" if is_new else "UPDATE",
                TemplateBody=blueprint.template,
                Parameters=[
                    {"ParameterKey": name, "ParameterValue": value}
                    for name, value in blueprint.parameters.items()
                ],
                Tags=[{"Key": name, "Value": value} for name, value in blueprint.all_tags.items()],
                Capabilities=["CAPABILITY_IAM"],
            )
        except AwsError as error:
            if error.code != "AlreadyExistsException":
                raise
            # Nobody else's has this name: the answer to this request's first try was lost.
            return self._ask("describe_change_set", StackName=blueprint.stack, ChangeSetName=name)

    def _execute(self, change_set: ChangeSet) -> None:
        try:
            self._ask("execute_change_set", **change_set.named)
        except AwsError as error:
            if error.code not in _NOT_EXECUTABLE:
                raise
            status = str(self._ask("describe_change_set", **change_set.named).get("ExecutionStatus"))
            if not status.startswith("EXECUTE_"):  # the answer to this request's first try was not lost
                raise

    def _wait_for_change_set(self, change_set: ChangeSet) -> tuple[str | None, tuple[Change, ...]]:
        """Return why it cannot be done, or None, and its changes."""
        wait_s = _FIRST_WAIT_S
        while True:
            reply = self._ask("describe_change_set", **change_set.named)
            if reply["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                break
            self._sleep(wait_s)
            wait_s = min(wait_s * _GROWTH, _LONGEST_WAIT_S)
        if reply["Status"] != "CREATE_COMPLETE":
            return str(reply.get("StatusReason") or reply["Status"]), ()
        changes = list(reply.get("Changes", ()))
        while token := reply.get("NextToken"):
            reply = self._ask("describe_change_set", **change_set.named, NextToken=token)
            changes.extend(reply.get("Changes", ()))
        return None, tuple(_read_change(one["ResourceChange"]) for one in changes)

    def _follow(self, stack_id: str, seen: set[str]) -> tuple[str, str]:
        """Tell what comes about until the stack has settled; return its status and the first failure."""
        wait_s, failure = _FIRST_WAIT_S, ""
        while True:
            fresh = self._fresh_events(stack_id, seen)
            for event in fresh:
                status, name = str(event["ResourceStatus"]), str(event["LogicalResourceId"])
                if event.get("PhysicalResourceId") == stack_id:
                    if status.endswith(("_COMPLETE", "_FAILED")):
                        return status, failure
                    continue
                why = str(event.get("ResourceStatusReason", ""))
                if status.endswith("_FAILED") and not why.startswith(_CANCELLED):
                    failure = failure or f"{name} ({event['ResourceType']}): {why}"
                if status.endswith(("_COMPLETE", "_FAILED")):
                    self._tell(f"{name}: {status.lower().replace('_', ' ')}")
            wait_s = _FIRST_WAIT_S if fresh else min(wait_s * _GROWTH, _LONGEST_WAIT_S)
            self._sleep(wait_s)

    def _fresh_events(self, stack_id: str, seen: set[str]) -> list[dict[str, Any]]:
        """Return the events that are not seen yet, oldest first, and mark them."""
        fresh = []
        for event in self._events(stack_id):  # the newest come first
            if event["EventId"] in seen:
                break
            fresh.append(event)
        seen.update(event["EventId"] for event in fresh)
        return fresh[::-1]

    def _events(self, stack_id: str) -> Iterator[dict[str, Any]]:
        return self._aws.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=stack_id)

    def _ask(self, operation: str, **parameters: Any) -> Any:
        return self._aws.call("cloudformation", operation, **parameters)


def _status(described: Mapping[str, Any] | None) -> str:
    return "" if described is None else str(described["StackStatus"])


def _cure(stack: str, status: str) -> str:
    if status == "UPDATE_ROLLBACK_FAILED":
        return f"'aws cloudformation continue-update-rollback --stack-name {stack}' undoes the rest"
    return f"'cloudknot down --stack {stack}' removes what is left of it"


def _read_change(change: Mapping[str, Any]) -> Change:
    return Change(
        action=str(change["Action"]),
        kind=str(change["ResourceType"]),
        name=str(change["LogicalResourceId"]),
        is_replaced=change.get("Replacement") == "True",
    )
