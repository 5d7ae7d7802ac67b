"""What a request to CloudFormation wants: its template and parameters, and whose permissions count."""

from collections.abc import Mapping
from typing import Any

from moto.cloudformation.utils import get_stack_from_s3_url

from cloudknot.testing.iam import current
from cloudknot.testing.iam.principals import role_session
from cloudknot.testing.iam.trust import may_assume
from cloudknot.testing.iam.values import Principal
from cloudknot.testing.stacks.calls import client
from cloudknot.testing.stacks.kind import Kind
from cloudknot.testing.stacks.making import Maker
from cloudknot.testing.stacks.parameters import given_values, resolved
from cloudknot.testing.stacks.refusals import Refusal
from cloudknot.testing.stacks.scope import Names
from cloudknot.testing.stacks.stack import Source, Stack
from cloudknot.testing.stacks.templates import Template

__all__ = ["maker_for", "source_of", "template_of"]

_SESSION = "AWSCloudFormation"


def template_of(
    asked: Mapping[str, Any], kinds: Mapping[str, Kind], account: str, stack: Stack | None = None
) -> Template:
    """Return the template of a request, or the one that the stack has; raises Refusal."""
    text, url = asked.get("TemplateBody"), asked.get("TemplateURL")
    if stack is not None and asked.get("UsePreviousTemplate"):
        if text or url:
            raise Refusal("You cannot specify both usePreviousTemplate and Template Body/Template URL.")
        text = stack.template
    elif url:
        text = str(get_stack_from_s3_url(str(url), account_id=account, partition="aws"))
    if not text:
        raise Refusal("Either Template URL or Template Body must be specified.")
    return Template.read(str(text), kinds)


def source_of(stack: Stack, template: Template, asked: Mapping[str, Any]) -> Source:
    """Return what a request wants a stack to be; raises Refusal."""
    previous = stack.source.values if stack.source else {}
    given: dict[str, str] = {}
    for parameter in asked.get("Parameters") or ():
        key = str(parameter["ParameterKey"])
        if parameter.get("UsePreviousValue"):
            if key not in previous:
                raise Refusal(
                    f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for "
                    "a parameter key not in the previous template"
                )
            given[key] = previous[key]
        else:
            given[key] = str(parameter.get("ParameterValue", ""))
    values = given_values(template, given)
    tags = asked.get("Tags")
    source = Source(
        template=template,
        values=values,
        refs=resolved(template, values, lambda name: _stored(name, stack.region_name)),
        tags={str(tag["Key"]): str(tag["Value"]) for tag in tags} if tags else stack.tags,
    )
    for logical_id in template["Resources"]:  # conditions are worked out before anything is made
        Names(stack, source, {}).is_wanted(logical_id)
    return source


def _stored(name: str, region: str) -> str:
    try:
        return str(client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"])
    except client("ssm", region).exceptions.ParameterNotFound as error:
        raise Refusal(
            f"Unable to fetch parameters [{name}] from parameter store for this account."
        ) from error


def maker_for(stack: Stack, kinds: Mapping[str, Kind], role_arn: str | None) -> Maker:
    """Return what makes things with the permissions of the stack's role, or of who asks."""
    role_arn = role_arn or stack.role_arn
    if role_arn is None:
        who = current.principal.get()
        return Maker(stack, kinds, who if isinstance(who, Principal) else None)
    role = client("iam", stack.region_name)
    try:
        trust = role.get_role(RoleName=role_arn.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    except role.exceptions.NoSuchEntityException:
        trust = None
    if trust is None or not may_assume(trust, "cloudformation.amazonaws.com"):
        raise Refusal(f"Role {role_arn} is invalid or cannot be assumed")
    stack.role_arn = role_arn
    return Maker(stack, kinds, role_session(stack.account_id, role_arn, _SESSION))
