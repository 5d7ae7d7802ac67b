"""The permissions that calls of the smaller services need, each a line or two."""

from collections.abc import Callable, Mapping
from typing import Any

from cloudknot.testing.iam.arns import Place, flat_list, pass_role, tags_in
from cloudknot.testing.iam.values import Ask, ContextValue

__all__ = ["SERVICES", "queue_arn"]

Params = Mapping[str, Any]
Asks = Callable[[str, Params, Place], list[Ask]]

_SINGLE = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
_READS_BUDGETS = ("Describe",)
_OF_STACKS = {"ListStacks", "DescribeStacks"}


def _ecr(operation: str, params: Params, place: Place) -> list[Ask]:
    tags = tags_in(params.get("tags"))
    names = params.get("repositoryNames") or (
        [params["repositoryName"]] if params.get("repositoryName") else []
    )
    resources = [place.arn("ecr", f"repository/{name}") for name in names]
    if params.get("resourceArn"):
        resources = [str(params["resourceArn"])]
    if operation == "DescribeRepositories" and not resources:
        resources = [place.arn("ecr", "repository/*")]
    needed = [
        Ask(action=f"ecr:{operation}", resource=resource, context=tags) for resource in resources or ["*"]
    ]
    if operation == "CreateRepository" and tags:
        needed.append(Ask(action="ecr:TagResource", resource=resources[0], context=tags))
    return needed


def _logs(operation: str, params: Params, place: Place) -> list[Ask]:
    """Return what a call of CloudWatch Logs needs: as a rule it asks for `log-group:NAME:log-stream:STREAM`.

    With nothing behind the last colon where no stream is meant (hashicorp/terraform-provider-aws#8804).
    """
    tags, action = tags_in(params.get("tags")), f"logs:{operation}"
    arn = params.get("resourceArn")
    if arn:
        return [Ask(action=action, resource=str(arn).removesuffix(":*"), context=tags)]
    groups = params.get("logGroupNames") or [
        params.get("logGroupName") or params.get("logGroupIdentifier") or ""
    ]
    if operation == "DescribeLogGroups":
        groups = [params.get("logGroupNamePrefix") or ""]
    resources = [
        f"{_log_group(str(group), place)}:log-stream:{params.get('logStreamName', '')}" for group in groups
    ]
    if not any(groups) and operation != "DescribeLogGroups":
        resources = ["*"]
    needed = [Ask(action=action, resource=resource, context=tags) for resource in resources]
    if operation == "CreateLogGroup" and tags:
        needed.append(
            Ask(action="logs:TagResource", resource=_log_group(str(groups[0]), place), context=tags)
        )
    if operation in ("PutDestination", "PutSubscriptionFilter"):
        needed += pass_role(place, params.get("roleArn"), "logs.amazonaws.com")
    return needed


def _log_group(name: str, place: Place) -> str:
    return name.removesuffix(":*") if name.startswith("arn:") else place.arn("logs", f"log-group:{name}")


def queue_arn(url: str, place: Place) -> str:
    """Return the ARN of a queue by its URL, whose last part is its name."""
    return place.arn("sqs", url.rstrip("/").rpartition("/")[2])


def _sqs(operation: str, params: Params, place: Place) -> list[Ask]:
    tags = tags_in(params.get("tags") or params.get("Tags"))
    named = str(params.get("QueueUrl") or params.get("QueueName") or "")
    resource = queue_arn(named, place) if named else "*"
    needed = [Ask(action=f"sqs:{_SINGLE.get(operation, operation)}", resource=resource, context=tags)]
    if operation == "CreateQueue" and tags:
        needed.append(Ask(action="sqs:TagQueue", resource=resource, context=tags))
    return needed


def _events(operation: str, params: Params, place: Place) -> list[Ask]:
    tags, action = tags_in(params.get("Tags")), f"events:{operation}"
    bus = str(params.get("EventBusName") or "default").rpartition("/")[2]
    if operation == "PutEvents":
        buses = {str(entry.get("EventBusName") or "default") for entry in params.get("Entries", [])}
        return [
            Ask(action=action, resource=place.named("events", "event-bus", name)) for name in sorted(buses)
        ]
    if "EventBus" in operation and operation != "ListEventBuses":
        name = str(params.get("Name") or bus)
        return [Ask(action=action, resource=place.named("events", "event-bus", name), context=tags)]
    named = params.get("ResourceARN") or params.get("Rule") or params.get("Name")
    if not named:
        return [Ask(action=action)]
    rule = str(named) if bus == "default" or str(named).startswith("arn:") else f"{bus}/{named}"
    resource = place.named("events", "rule", rule)
    context: dict[str, ContextValue] = dict(tags)
    targets = params.get("Targets") or []
    if targets:
        context["events:TargetArn"] = tuple(str(target.get("Arn", "")) for target in targets)
    needed = [Ask(action=action, resource=resource, context=context)]
    if operation == "PutRule" and tags:
        needed.append(Ask(action="events:TagResource", resource=resource, context=tags))
    for role in dict.fromkeys([params.get("RoleArn"), *(target.get("RoleArn") for target in targets)]):
        needed += pass_role(place, role, "events.amazonaws.com")
    return needed


def _cloudformation(operation: str, params: Params, place: Place) -> list[Ask]:
    """Return what a call of CloudFormation itself needs; resources are asked for as they are made."""
    action = f"cloudformation:{operation}"
    context = tags_in(flat_list(params, "Tags"))
    for member in ("RoleARN", "TemplateURL", "ChangeSetName"):
        if params.get(member):
            key = {"RoleARN": "RoleArn", "TemplateURL": "TemplateUrl"}.get(member, member)
            context[f"cloudformation:{key}"] = str(params[member])
    name = str(params.get("StackName") or "")
    if name.startswith("arn:"):
        resource = name
    elif name:
        # A stack that is called by its name is asked for as `stack/NAME/*` (serverless/serverless#8509).
        resource = place.arn("cloudformation", f"stack/{name}/*")
    elif operation in _OF_STACKS:
        resource = place.arn("cloudformation", "stack/*/*")
    else:
        resource = "*"
    needed = [Ask(action=action, resource=resource, context=context)]
    return needed + pass_role(place, params.get("RoleARN"), "cloudformation.amazonaws.com")


def _secrets(operation: str, params: Params, place: Place) -> list[Ask]:
    tags = tags_in(params.get("Tags"))
    if operation == "CreateSecret":
        resource = place.arn("secretsmanager", f"secret:{params.get('Name', '')}")
        needed = [Ask(action="secretsmanager:CreateSecret", resource=resource, context=tags)]
        if tags:
            needed.append(Ask(action="secretsmanager:TagResource", resource=resource, context=tags))
        return needed
    named = str(params.get("SecretId") or "*")
    # Without such a secret AWS asks for the name as it is (mongodb/awscdk-resources-mongodbatlas#207).
    return [
        Ask(
            action=f"secretsmanager:{operation}", resource=place.known("secret", named) or named, context=tags
        )
    ]


def _ssm(operation: str, params: Params, place: Place) -> list[Ask]:
    tags = tags_in(params.get("Tags"))
    names = list(params.get("Names") or [])
    if "Parameter" in operation and not operation.startswith("Describe"):
        names += [params[member] for member in ("Name", "Path") if params.get(member)]
    if params.get("ResourceType") == "Parameter":
        names.append(params.get("ResourceId", ""))
    resources = [_parameter(str(name), place) for name in names] or ["*"]
    needed = [Ask(action=f"ssm:{operation}", resource=resource, context=tags) for resource in resources]
    if operation == "PutParameter" and tags:
        needed.append(Ask(action="ssm:AddTagsToResource", resource=resources[0], context=tags))
    return needed


def _parameter(name: str, place: Place) -> str:
    if name.startswith("arn:"):
        return name
    name = name.partition(":")[0].lstrip("/")  # a version or label may stand behind a colon
    if name.startswith("aws/service/"):
        return f"arn:{place.partition}:ssm:{place.region}::parameter/{name}"  # AWS's own belong to no account
    return place.arn("ssm", f"parameter/{name}")


def _kms(operation: str, params: Params, place: Place) -> list[Ask]:
    named = str(params.get("KeyId") or params.get("TargetKeyId") or "")
    if not named:
        return [Ask(action=f"kms:{operation}", context=tags_in(params.get("Tags")))]
    kind = "" if named.startswith("alias/") else "key/"
    resource = named if named.startswith("arn:") else place.arn("kms", f"{kind}{named}")
    needed = [Ask(action=f"kms:{operation}", resource=resource)]
    if params.get("AliasName"):
        needed.append(Ask(action=f"kms:{operation}", resource=place.arn("kms", str(params["AliasName"]))))
    return needed


def _sns(operation: str, params: Params, place: Place) -> list[Ask]:
    tags = tags_in(flat_list(params, "Tags"))
    named = params.get("TopicArn") or params.get("TargetArn") or params.get("ResourceArn")
    if operation == "CreateTopic":
        named = place.arn("sns", str(params.get("Name", "")))
    needed = [Ask(action=f"sns:{operation}", resource=str(named or "*"), context=tags)]
    if operation == "CreateTopic" and tags:
        needed.append(Ask(action="sns:TagResource", resource=str(named), context=tags))
    return needed


def _quotas(operation: str, params: Params, place: Place) -> list[Ask]:
    if operation != "RequestServiceQuotaIncrease":
        return [Ask(action=f"servicequotas:{operation}")]
    quota = f"{params.get('ServiceCode', '')}/{params.get('QuotaCode', '')}"
    return [Ask(action=f"servicequotas:{operation}", resource=place.arn("servicequotas", quota))]


def _budgets(operation: str, params: Params, place: Place) -> list[Ask]:
    """Return what a call of Budgets needs: it has an action to look, and one to change."""
    name = params.get("BudgetName") or (params.get("Budget") or {}).get("BudgetName") or "*"
    resource = f"arn:{place.partition}:budgets::{place.account}:budget/{name}"
    if "BudgetAction" in operation or "Tag" in operation:
        return [Ask(action=f"budgets:{operation}", resource=str(params.get("ResourceARN") or resource))]
    verb = "ViewBudget" if operation.startswith(_READS_BUDGETS) else "ModifyBudget"
    return [Ask(action=f"budgets:{verb}", resource=resource)]


SERVICES: dict[str, Asks] = {
    "ecr": _ecr,
    "logs": _logs,
    "sqs": _sqs,
    "events": _events,
    "cloudformation": _cloudformation,
    "secretsmanager": _secrets,
    "sns": _sns,
    "ssm": _ssm,
    "kms": _kms,
    "service-quotas": _quotas,
    "budgets": _budgets,
}
