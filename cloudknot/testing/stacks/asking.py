"""CloudFormation's operations on stacks, in place of moto's."""

import re
import threading
from collections.abc import Mapping
from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.utils import generate_changeset_id, generate_stack_id

from cloudknot.testing.stacks import creating, deleting, updating
from cloudknot.testing.stacks.change_sets import ChangeSet, find
from cloudknot.testing.stacks.exports import export_in_use
from cloudknot.testing.stacks.kind import Kind
from cloudknot.testing.stacks.planning import is_idle, plan
from cloudknot.testing.stacks.refusals import AlreadyExists, InvalidChangeSetStatus, Refusal
from cloudknot.testing.stacks.stack import Stack
from cloudknot.testing.stacks.templates import Template, check_capabilities
from cloudknot.testing.stacks.wishes import maker_for, source_of, template_of

__all__ = ["Stacks"]

_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_SETTLED = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "CREATE_FAILED",
    "UPDATE_FAILED",
)


class Stacks:
    """The stacks of one region.

    Parameters
    ----------
    account, region : str
        Where.
    kinds : mapping of Kind
        The types that the box makes.
    """

    # One at a time: what a stack makes may be what another one imports.
    _changing = threading.RLock()

    def __init__(self, account: str, region: str, kinds: Mapping[str, Kind]) -> None:
        self._account = account
        self._region = region
        self._kinds = kinds

    def create(self, asked: Mapping[str, Any]) -> Stack:
        """Do CreateStack."""
        on_failure = asked.get("OnFailure")
        if on_failure and asked.get("DisableRollback") is not None:
            raise Refusal("You can specify either DisableRollback or OnFailure, but not both.")
        with self._changing:
            stack = self._new(str(asked["StackName"]), asked)
            source = source_of(stack, template_of(asked, self._kinds, self._account), asked)
            check_capabilities(source.template, stack.capabilities)
            maker = maker_for(stack, self._kinds, asked.get("RoleARN"))
            self._backend.stacks[stack.stack_id] = stack
            if on_failure is None:
                on_failure = "DO_NOTHING" if asked.get("DisableRollback") else "ROLLBACK"
            creating.create(stack, source, maker, on_failure=on_failure)
            self._put_away(stack)
        return stack

    def update(self, asked: Mapping[str, Any]) -> Stack:
        """Do UpdateStack."""
        with self._changing:
            stack = self.found(str(asked["StackName"]))
            _check_settled(stack)
            source = source_of(stack, template_of(asked, self._kinds, self._account, stack), asked)
            capabilities = list(asked.get("Capabilities") or ())
            check_capabilities(source.template, capabilities)
            if is_idle(stack, source, self._kinds):
                raise Refusal("No updates are to be performed.")
            maker = maker_for(stack, self._kinds, asked.get("RoleARN"))
            stack.capabilities = capabilities
            updating.update(stack, source, maker, has_rollback=not asked.get("DisableRollback"))
        return stack

    def delete(self, asked: Mapping[str, Any]) -> None:
        """Do DeleteStack; a stack that is not there is deleted already."""
        with self._changing:
            name = str(asked["StackName"])
            stack = self._named(name)
            if stack is None:
                return
            if stack.enable_termination_protection:
                raise Refusal(
                    f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
                )
            kept = list(asked.get("RetainResources") or ())
            if kept and stack.status != "DELETE_FAILED":
                raise Refusal(
                    f"Invalid operation on stack [{stack.stack_id}]. RetainResources can be specified only "
                    "when the stack is in the DELETE_FAILED state."
                )
            if in_use := export_in_use(stack):
                # The words: aws-samples/iam-identity-center-team#474. It stays what it was: rlister/stax#40.
                stack.become(stack.status, f"Delete canceled. Cannot delete export {in_use}.")
                return
            deleting.delete(stack, maker_for(stack, self._kinds, asked.get("RoleARN")), kept=kept)
            self._put_away(stack)

    def create_change_set(self, asked: Mapping[str, Any]) -> ChangeSet:
        """Do CreateChangeSet."""
        name, stack_name = str(asked["ChangeSetName"]), str(asked["StackName"])
        way = asked.get("ChangeSetType") or "UPDATE"
        if not _NAME.fullmatch(name):
            raise _unfit_name("changeSetName", name)
        if way not in ("CREATE", "UPDATE"):
            raise Refusal(f"the box does not do change sets of type {way}: CREATE or UPDATE")
        with self._changing:
            stack = self._named(stack_name)
            if way == "CREATE" and (stack is None or stack.status == "REVIEW_IN_PROGRESS"):
                stack, is_known = (stack, True) if stack else (self._new(stack_name, asked), False)
            elif way == "CREATE":
                raise Refusal(
                    f"Stack [{stack_name}] already exists and cannot be created again with the changeSet "
                    f"[{name}]."
                )
            else:
                stack, is_known = self.found(stack_name), True
                _check_settled(stack)
            if any(each.change_set_name == name for each in self._change_sets_of(stack)):
                # The words are not confirmed; people report others where the templates differ.
                raise AlreadyExists(f"ChangeSet {name} already exists")
            template = template_of(asked, self._kinds, self._account, stack if way == "UPDATE" else None)
            source = source_of(stack, template, asked)
            check_capabilities(template, list(asked.get("Capabilities") or ()))
            change_set = ChangeSet(
                arn=generate_changeset_id(name, self._region, self._account),
                name=name,
                stack=stack,
                source=source,
                is_new=way == "CREATE",
                changes=plan(stack, source, self._kinds),
                has_changes=way == "CREATE" or not is_idle(stack, source, self._kinds),
                asked=asked,
            )
            if not is_known:
                self._backend.stacks[stack.stack_id] = stack
                stack.become("REVIEW_IN_PROGRESS", "User Initiated")
            self._backend.change_sets[change_set.change_set_id] = change_set
        return change_set

    def execute(self, name: str, stack_name: str | None) -> None:
        """Do ExecuteChangeSet."""
        with self._changing:
            change_set = self.change_set(name, stack_name)
            if change_set.execution_status != "AVAILABLE":
                raise InvalidChangeSetStatus(_not_executable(change_set))
            stack = change_set.stack
            maker = maker_for(stack, self._kinds, change_set.role_arn)
            stack.capabilities = change_set.capabilities
            for other in self._change_sets_of(stack):
                if other is not change_set:
                    del self._backend.change_sets[other.change_set_id]
            if change_set.change_set_type == "CREATE":
                on_failure = change_set.on_stack_failure or "ROLLBACK"
                creating.create(stack, change_set.source, maker, on_failure=on_failure)
                self._put_away(stack)
            else:
                is_kept = change_set.on_stack_failure == "DO_NOTHING"
                updating.update(stack, change_set.source, maker, has_rollback=not is_kept)
            change_set.execution_status = "EXECUTE_COMPLETE"

    def change_set(self, name: str, stack_name: str | None) -> ChangeSet:
        """Return a change set; raises ChangeSetNotFound."""
        return find(self._backend.change_sets, name, stack_name)

    def remove_change_set(self, name: str, stack_name: str | None) -> None:
        """Do DeleteChangeSet."""
        del self._backend.change_sets[self.change_set(name, stack_name).change_set_id]

    def change_sets(self, stack_name: str) -> list[ChangeSet]:
        """Do ListChangeSets."""
        return self._change_sets_of(self.found(stack_name))

    def found(self, name: str) -> Stack:
        """Return a stack that is there, by its name or id; raises Refusal."""
        stack = self._named(name)
        if stack is None:
            raise Refusal(f"Stack [{name}] does not exist")
        return stack

    def any(self, name: str) -> Stack:
        """Return a stack by its name, or by its id even when it is deleted; raises Refusal."""
        deleted = self._backend.deleted_stacks.get(name)
        if deleted is not None:
            stack: Stack = deleted
            return stack
        return self.found(name)

    def holding(self, asked: Mapping[str, Any]) -> Stack:
        """Return the stack that is named, or that has the resource which is (DescribeStackResources)."""
        if name := asked.get("StackName"):
            return self.any(str(name))
        wanted = asked.get("PhysicalResourceId")
        for stack in list(self._backend.stacks.values()):
            if any(resource.id == wanted for resource in stack.resources.values()):
                found: Stack = stack
                return found
        raise Refusal(f"Stack for {wanted} does not exist")

    def read(self, asked: Mapping[str, Any]) -> Template:
        """Read and check the template of a request (ValidateTemplate)."""
        return template_of(asked, self._kinds, self._account)

    @property
    def _backend(self) -> Any:
        return cloudformation_backends[self._account][self._region]

    def _named(self, name: str) -> Stack | None:
        stacks = list(self._backend.stacks.values())
        return next((stack for stack in stacks if name in (stack.name, stack.stack_id)), None)

    def _change_sets_of(self, stack: Stack) -> list[ChangeSet]:
        return [each for each in list(self._backend.change_sets.values()) if each.stack is stack]

    def _new(self, name: str, asked: Mapping[str, Any]) -> Stack:
        if not _NAME.fullmatch(name):
            raise _unfit_name("stackName", name)
        if self._named(name) is not None:
            raise AlreadyExists(f"Stack [{name}] already exists")
        stack_id = generate_stack_id(name, self._region, self._account)
        stack = Stack(stack_id=stack_id, name=name, account=self._account, region=self._region)
        stack.capabilities = list(asked.get("Capabilities") or ())
        stack.notification_arns = list(asked.get("NotificationARNs") or ())
        stack.timeout_in_minutes = asked.get("TimeoutInMinutes")
        stack.enable_termination_protection = bool(asked.get("EnableTerminationProtection"))
        stack.disable_rollback = bool(asked.get("DisableRollback"))
        stack.policy = str(asked.get("StackPolicyBody") or "")
        return stack

    def _put_away(self, stack: Stack) -> None:
        """Let a stack that is deleted be found by its id only."""
        if stack.status == "DELETE_COMPLETE":
            for change_set in self._change_sets_of(stack):
                del self._backend.change_sets[change_set.change_set_id]
            self._backend.stacks.pop(stack.stack_id, None)
            self._backend.deleted_stacks[stack.stack_id] = stack


def _check_settled(stack: Stack) -> None:
    if stack.status not in _SETTLED:
        raise Refusal(f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")


def _not_executable(change_set: ChangeSet) -> str:
    # As in saksdirect/nova#10, and in aws/amazon-chime-sdk-js#1089 for one that was made in full.
    is_made = change_set.status == "CREATE_COMPLETE"
    what, now = (
        ("execution status", change_set.execution_status) if is_made else ("status", change_set.status)
    )
    return f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current {what} of [{now}]"


def _unfit_name(member: str, name: str) -> Refusal:
    return Refusal(
        f"1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )
