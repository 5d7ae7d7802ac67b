"""Change sets: what an update would do, shown first and done when it is asked for."""

from collections.abc import Mapping
from typing import Any

from moto.core.utils import utcnow

from cloudknot.testing.stacks.planning import Change
from cloudknot.testing.stacks.refusals import ChangeSetNotFound
from cloudknot.testing.stacks.stack import Source, Stack

__all__ = ["ChangeSet", "find"]

_NOTHING = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)


class ChangeSet:
    """One change set, with the names that moto's answers read.

    Parameters
    ----------
    arn, name : str
        Its own.
    stack : Stack
        Of which stack.
    source : Source
        What the stack would be.
    is_new : bool
        Whether it makes the stack.
    changes : list of Change
        What it would do.
    asked : mapping
        The request: `Description`, `RoleARN`, `Capabilities`, `OnStackFailure`.
    """

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        stack: Stack,
        source: Source,
        is_new: bool,
        changes: list[Change],
        has_changes: bool,
        asked: Mapping[str, Any],
    ) -> None:
        self.change_set_id = arn
        self.change_set_name = name
        self.change_set_type = "CREATE" if is_new else "UPDATE"
        self.stack = stack
        self.stack_id = stack.stack_id
        self.stack_name = stack.name
        self.source = source
        self.description = asked.get("Description")
        self.role_arn = asked.get("RoleARN")
        self.capabilities = list(asked.get("Capabilities") or ())
        self.on_stack_failure = asked.get("OnStackFailure")
        self.parameters = dict(source.values)
        self.notification_arns: list[str] = []
        self.tags = [{"Key": key, "Value": value} for key, value in source.tags.items()]
        self.changes = changes
        self.creation_time = utcnow()
        self.status = "CREATE_COMPLETE" if has_changes else "FAILED"
        self.execution_status = "AVAILABLE" if has_changes else "UNAVAILABLE"
        self.status_reason = None if has_changes else _NOTHING


def find(change_sets: Mapping[str, Any], name: str, stack_name: str | None) -> ChangeSet:
    """Return a change set by its ARN, or by its name and its stack's.

    Raises
    ------
    ChangeSetNotFound
        When there is none.
    """
    for change_set in list(change_sets.values()):
        is_of_stack = stack_name is None or stack_name in (change_set.stack_name, change_set.stack_id)
        if name == change_set.change_set_id or (name == change_set.change_set_name and is_of_stack):
            found: ChangeSet = change_set
            return found
    raise ChangeSetNotFound(f"ChangeSet [{name}] does not exist")
