"""Batch's resources as CloudFormation makes them, through the box's own Batch instead of moto's."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from moto.batch import models as batch_models
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel

__all__ = ["Resource", "to_camel_case"]

# CloudFormation in moto finds its models among the subclasses of one class, and the last one of a type is
# used: moto's own have to be there before ours.
_ = batch_models

# Below these names, keys are the person's own words.
_FREE = frozenset({"Parameters", "Tags", "Options"})


def to_camel_case(value: Any) -> Any:
    """Return a template's properties as the API spells them.

    Examples
    --------
    >>> to_camel_case({"Type": "MANAGED", "ComputeResources": {"MinvCpus": 0, "Tags": {"Lab": "x"}}})
    {'type': 'MANAGED', 'computeResources': {'minvCpus': 0, 'tags': {'Lab': 'x'}}}
    """
    if isinstance(value, Mapping):
        return {
            name[:1].lower() + name[1:]: part if name in _FREE else to_camel_case(part)
            for name, part in value.items()
            if part is not None
        }
    if isinstance(value, list):
        return [to_camel_case(part) for part in value]
    return value


class Resource:
    """One resource of a stack.

    Attributes
    ----------
    call : callable
        Does an operation in a region, ``call(region, "CreateJobQueue", params)``, and lets what it began
        come to its end. Set once, by who puts the box together.
    """

    call: ClassVar[Callable[[str, str, dict[str, Any]], dict[str, Any]]]
    kind: ClassVar[str]
    name_property: ClassVar[str]
    made_by: ClassVar[str]
    changed_by: ClassVar[str]
    arn_name: ClassVar[str]

    def __init__(self, name: str, arn: str, region: str) -> None:
        self.name = name
        self.arn = arn
        self.region = region

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in (cls.arn_name[:1].upper() + cls.arn_name[1:], "Arn")

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if not self.has_cfn_attr(attribute_name):
            raise UnformattedGetAttTemplateException
        return self.arn

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Any:
        params = to_camel_case(cloudformation_json["Properties"])
        own_name = cls.name_property[:1].lower() + cls.name_property[1:]
        params.setdefault(own_name, resource_name)
        params |= cls.in_place_of_defaults(params)
        reply = cls.call(region_name, cls.made_by, params)
        return cls(params[own_name], reply[cls.arn_name], region_name)

    @classmethod
    def in_place_of_defaults(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Any:
        params = cls.changeable(to_camel_case(cloudformation_json["Properties"]))
        cls.call(region_name, cls.changed_by, {**params, cls.key(): original_resource.arn})
        return original_resource

    @classmethod
    def key(cls) -> str:
        word = cls.name_property.removesuffix("Name")
        return word[:1].lower() + word[1:]

    @classmethod
    def changeable(cls, params: dict[str, Any]) -> dict[str, Any]:
        own_name = cls.name_property[:1].lower() + cls.name_property[1:]
        return {name: part for name, part in params.items() if name not in (own_name, "tags", "type")}

    def delete(self, account_id: str, region_name: str) -> None:
        type(self).call(self.region, self.changed_by, {self.key(): self.arn, "state": "DISABLED"})
        type(self).call(
            self.region, f"Delete{self.changed_by.removeprefix('Update')}", {self.key(): self.arn}
        )


class ComputeEnvironment(Resource, CloudFormationModel):
    kind = "AWS::Batch::ComputeEnvironment"
    name_property = "ComputeEnvironmentName"
    made_by = "CreateComputeEnvironment"
    changed_by = "UpdateComputeEnvironment"
    arn_name = "computeEnvironmentArn"

    @classmethod
    def changeable(cls, params: dict[str, Any]) -> dict[str, Any]:
        kept = super().changeable(params)
        kept.pop("replaceComputeEnvironment", None)
        if "computeResources" in kept:
            fixed = ("type", "spotIamFleetRole")
            kept["computeResources"] = {
                name: part for name, part in kept["computeResources"].items() if name not in fixed
            }
        return kept

    @classmethod
    def in_place_of_defaults(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        # In a template the kind may be written in any case.
        return {"type": str(params.get("type", "MANAGED")).upper()}


class JobQueue(Resource, CloudFormationModel):
    kind = "AWS::Batch::JobQueue"
    name_property = "JobQueueName"
    made_by = "CreateJobQueue"
    changed_by = "UpdateJobQueue"
    arn_name = "jobQueueArn"


class SchedulingPolicy(Resource, CloudFormationModel):
    kind = "AWS::Batch::SchedulingPolicy"
    name_property = "Name"
    made_by = "CreateSchedulingPolicy"
    changed_by = "UpdateSchedulingPolicy"
    arn_name = "arn"

    @classmethod
    def key(cls) -> str:
        return "arn"

    def delete(self, account_id: str, region_name: str) -> None:
        type(self).call(self.region, "DeleteSchedulingPolicy", {"arn": self.arn})


class JobDefinition(Resource, CloudFormationModel):
    kind = "AWS::Batch::JobDefinition"
    name_property = "JobDefinitionName"
    made_by = "RegisterJobDefinition"
    changed_by = ""
    arn_name = "jobDefinitionArn"

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Any:
        made = cls.create_from_cloudformation_json(
            original_resource.name, cloudformation_json, account_id, region_name
        )
        original_resource.delete(account_id, region_name)
        return made

    def delete(self, account_id: str, region_name: str) -> None:
        type(self).call(self.region, "DeregisterJobDefinition", {"jobDefinition": self.arn})
