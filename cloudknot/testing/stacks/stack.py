"""A stack: what it is made from, what it has made, and what has happened to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from moto.cloudformation.models import Event
from moto.core.utils import utcnow

from cloudknot.testing.stacks.templates import Template

__all__ = ["Resource", "Source", "Stack"]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource that a stack has, or had."""

    logical_id: str
    kind: str
    id: str = ""
    name: str = ""
    status: str
    reason: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    """Those that had to be there before, and have to stay until it is gone."""
    deletion: str = "Delete"
    replacement: str = "Delete"
    at: datetime = field(default_factory=utcnow)


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a stack is to be: a template, and what fills it in."""

    template: Template
    values: Mapping[str, str]
    """The parameters as text."""
    refs: Mapping[str, Any]
    """The parameters as `Ref` gives them."""
    tags: Mapping[str, str]


class Stack:
    """One stack, with the names that moto's answers read."""

    class Meta:
        """How moto finds what it answers with."""

        serialization_aliases: ClassVar[dict[str, str]] = {"Parameters": "parameter_list"}

    def __init__(self, *, stack_id: str, name: str, account: str, region: str) -> None:
        self.stack_id = stack_id
        self.name = name
        self.account_id = account
        self.region_name = region
        self.source: Source | None = None
        self.resources: dict[str, Resource] = {}
        self.past: dict[str, Resource] = {}
        """Those that are gone, or could not be made."""
        self.outputs: list[dict[str, Any]] | None = None
        self.imports: frozenset[str] = frozenset()
        self.events: list[Event] = []
        self.status = "CREATE_IN_PROGRESS"
        self.status_reason: str | None = None
        self.role_arn: str | None = None
        self.capabilities: list[str] = []
        self.notification_arns: list[str] = []
        self.timeout_in_minutes: int | None = None
        self.enable_termination_protection = False
        self.disable_rollback = False
        self.policy = ""
        self.creation_time = utcnow()
        self.last_updated_time: datetime | None = None
        self.deletion_time: datetime | None = None

    @property
    def template(self) -> str:
        """The template's text."""
        return self.source.template.text if self.source else ""

    @property
    def description(self) -> str | None:
        """What the template says that it is."""
        return self.source.template.content.get("Description") if self.source else None

    template_description = description

    @property
    def tags(self) -> dict[str, str]:
        """The stack's tags."""
        return dict(self.source.tags) if self.source else {}

    @property
    def parameter_list(self) -> list[dict[str, str]]:
        """The parameters, secret ones hidden."""
        if self.source is None:
            return []
        declared = self.source.template["Parameters"]
        hidden = {name for name, one in declared.items() if str(one.get("NoEcho", "")).lower() == "true"}
        return [
            {"ParameterKey": name, "ParameterValue": "****" if name in hidden else value}
            for name, value in self.source.values.items()
        ]

    def become(self, status: str, reason: str | None = None) -> None:
        """Take a status, and tell of it."""
        self.status, self.status_reason = status, reason
        self.tell(self.name, self.stack_id, "AWS::CloudFormation::Stack", status, reason)

    def note(self, resource: Resource) -> None:
        """Tell of what has become of a resource."""
        self.tell(resource.logical_id, resource.id, resource.kind, resource.status, resource.reason)

    def tell(self, logical_id: str, id_: str, kind: str, status: str, reason: str | None) -> None:
        """Add an event, and send it to who wants to be notified."""
        event = Event(
            stack_id=self.stack_id,
            stack_name=self.name,
            logical_resource_id=logical_id,
            physical_resource_id=id_,
            resource_type=kind,
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=None,
        )
        event.sendToSns(self.account_id, self.region_name, self.notification_arns)
        self.events.append(event)
