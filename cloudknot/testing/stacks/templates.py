"""Templates: read, and refused where CloudFormation or the box cannot make anything of them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are no dependency

from cloudknot.testing.stacks.order import in_order, needs_of
from cloudknot.testing.stacks.refusals import NeedsCapabilities, Refusal

__all__ = ["Template", "capabilities_of", "check_capabilities"]

_SECTIONS = {
    *("AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings"),
    *("Conditions", "Transform", "Resources", "Outputs", "Hooks"),
}
_RESOURCE = {
    *("Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy", "UpdateReplacePolicy"),
    *("CreationPolicy", "UpdatePolicy"),
}
# Passed over without harm by nobody: they would change what is made, or when.
_NOT_DONE = ("CreationPolicy", "UpdatePolicy")
_POLICIES = {
    "DeletionPolicy": ("Delete", "Retain", "RetainExceptOnCreate"),
    "UpdateReplacePolicy": ("Delete", "Retain"),
}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # as it has no types
    """YAML as templates have it: short forms of functions, and dates that are text."""


def _function(loader: Any, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template that can be worked on."""

    text: str
    content: Mapping[str, Any]

    @classmethod
    def read(cls, text: str, known: Collection[str]) -> "Template":
        """Read a template.

        Parameters
        ----------
        text : str
            JSON or YAML.
        known : collection of str
            The types that can be made.

        Raises
        ------
        Refusal
            When it is none, or has what the box does not do.
        """
        content = _read(text)
        if not isinstance(content, Mapping) or not isinstance(content.get("Resources"), Mapping):
            raise Refusal("Template format error: At least one Resources member must be defined.")
        if unknown := sorted(set(content) - _SECTIONS):
            raise Refusal(f"Invalid template property or properties [{', '.join(unknown)}]")
        for section in ("Transform", "Hooks", "Rules"):
            if section in content:
                raise Refusal(f"the box does not do the section {section} of templates")
        if not content["Resources"]:
            raise Refusal("Template format error: At least one Resources member must be defined.")
        template = cls(text=text, content=content)
        template._check(known)
        return template

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        """Return a section, empty where there is none."""
        found: Mapping[str, Any] = self.content.get(section) or {}
        return found

    @property
    def order(self) -> list[str]:
        """The resources, each after those that it needs."""
        return in_order(self._needs())

    def needs(self, name: str) -> frozenset[str]:
        """Return the resources that one needs."""
        return self._needs()[name]

    def _needs(self) -> dict[str, frozenset[str]]:
        resources = self["Resources"]
        return {name: needs_of(resource) & set(resources) for name, resource in resources.items()}

    def _check(self, known: Collection[str]) -> None:
        resources = self["Resources"]
        for name, resource in resources.items():
            if not isinstance(resource, Mapping) or not isinstance(resource.get("Type"), str):
                raise Refusal(
                    f"Template format error: [/Resources/{name}] Every Resources object must contain "
                    "a Type member."
                )
            if unknown := sorted(set(resource) - _RESOURCE):
                raise Refusal(f"Invalid template resource property '{unknown[0]}'")
            for attribute in _NOT_DONE:
                if attribute in resource:
                    raise Refusal(f"the box does not do {attribute} (of {name})")
            for attribute, known_words in _POLICIES.items():
                if resource.get(attribute, "Delete") not in known_words:
                    # `Snapshot` is for types that the box does not make. The words are not confirmed.
                    raise Refusal(f"Template error: {attribute} of {name} must be {' or '.join(known_words)}")
        kinds = {str(resource["Type"]) for resource in resources.values()}
        if strange := sorted(kinds - set(known)):
            raise Refusal(
                f"Template format error: Unrecognized resource types: [{', '.join(strange)}] "
                f"(the box makes {', '.join(sorted(known))})"
            )
        self._check_names()

    def _check_names(self) -> None:
        """Refuse names that nothing in the template has."""
        resources = self["Resources"]
        there = {*resources, *self["Parameters"]}
        for block in ("Resources", "Outputs"):
            asked = {name for part in self[block].values() for name in needs_of(part)}
            if missing := sorted(name for name in asked - there if not name.startswith("AWS::")):
                raise Refusal(
                    f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] "
                    f"in the {block} block of the template"
                )
        for part in (*resources.values(), *self["Outputs"].values()):
            named = part.get("Condition")
            if named is not None and named not in self["Conditions"]:
                raise Refusal(f"Template format error: Unresolved condition dependency {named}")
        _ = self.order


def _read(text: str) -> Any:
    try:
        return json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_Loader)
    except (ValueError, yaml.YAMLError) as error:
        words = " ".join(str(error).split())
        raise Refusal(f"Template format error: the template is neither JSON nor YAML: {words}") from error


_IDENTITIES = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::Policy": "",
}


def capabilities_of(template: Template) -> tuple[str, ...]:
    """Return what has to be acknowledged: identities, or identities with names of their own."""
    found = [one for one in template["Resources"].values() if one["Type"] in _IDENTITIES]
    if any(_IDENTITIES[one["Type"]] in (one.get("Properties") or {}) for one in found):
        return ("CAPABILITY_NAMED_IAM",)
    return ("CAPABILITY_IAM",) if found else ()


def check_capabilities(template: Template, given: Collection[str]) -> None:
    """Refuse a template whose identities are not acknowledged."""
    needed = set(capabilities_of(template)) - set(given)
    if "CAPABILITY_NAMED_IAM" in given:  # says all that the other says
        needed.discard("CAPABILITY_IAM")
    if needed:
        raise NeedsCapabilities(f"Requires capabilities : [{', '.join(sorted(needed))}]")
