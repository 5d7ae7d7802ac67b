"""What the names in a stack's template stand for."""

from collections.abc import Mapping, Sequence
from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.ec2.models import ec2_backends

from cloudknot.testing.stacks.intrinsics import holds
from cloudknot.testing.stacks.refusals import Refusal
from cloudknot.testing.stacks.stack import Resource, Source, Stack

__all__ = ["Names"]


class Names:
    """`intrinsics.Scope` of one stack.

    Parameters
    ----------
    stack : Stack
        Whose template it is.
    source : Source
        The template and its parameters: those that it has, or is to have.
    resources : mapping
        What there is by now; names that are missing here are refused.
    """

    def __init__(self, stack: Stack, source: Source, resources: Mapping[str, Resource]) -> None:
        self._stack = stack
        self._source = source
        self._resources = resources
        self.imports: set[str] = set()

    def ref(self, name: str) -> Any:
        """Return a parameter's value, a resource's id, or one of CloudFormation's own names."""
        if name in self._source.refs:
            return self._source.refs[name]
        own = {
            "AWS::AccountId": self._stack.account_id,
            "AWS::Region": self._stack.region_name,
            "AWS::StackId": self._stack.stack_id,
            "AWS::StackName": self._stack.name,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::Partition": "aws",
            "AWS::NotificationARNs": self._stack.notification_arns,
        }
        return own[name] if name in own else self._resource(name).id

    def attribute(self, name: str, attribute: str) -> Any:
        """Return an attribute of a resource."""
        resource = self._resource(name)
        if attribute not in resource.attributes:
            raise Refusal(
                f"Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
            )
        return resource.attributes[attribute]

    def _resource(self, name: str) -> Resource:
        if name not in self._resources:
            raise Refusal(
                f"Template format error: Unresolved resource dependencies [{name}] in the Resources block "
                "of the template"
            )
        return self._resources[name]

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        conditions = self._source.template["Conditions"]
        if name not in conditions:
            raise Refusal(f"Template format error: Unresolved condition dependency {name}")
        return holds(conditions[name], self)

    def is_wanted(self, logical_id: str) -> bool:
        """Whether a resource's condition holds; so it does for one that has none."""
        named = self._source.template["Resources"][logical_id].get("Condition")
        return named is None or self.condition(named)

    def mapped(self, table: str, row: str, column: str) -> Any:
        """Return a value of the template's Mappings."""
        rows = self._source.template["Mappings"].get(table, {})
        # YAML reads an account's number or a version as a number.
        found = {str(name): part for name, part in rows.items()}.get(row, {})
        if column not in found:
            raise Refusal(f"Template error: Unable to get mapping for {table}::{row}::{column}")
        return found[column]

    def imported(self, name: str) -> str:
        """Return what another stack exports."""
        exports = cloudformation_backends[self._stack.account_id][self._stack.region_name].exports
        if name not in exports:
            raise Refusal(f"No export named {name} found.")
        self.imports.add(name)
        return str(exports[name].value)

    def zones(self, region: str) -> Sequence[str]:
        """Return the availability zones of a region."""
        where = region or self._stack.region_name
        backend = ec2_backends[self._stack.account_id][where]
        return [str(zone.name) for zone in backend.describe_availability_zones()]
