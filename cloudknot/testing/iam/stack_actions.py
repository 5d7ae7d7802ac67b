"""The main permissions that CloudFormation needs of its caller to make and to remove a resource."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cloudknot.testing.iam import batch_actions
from cloudknot.testing.iam.arns import Known, Place, nobody_knows, pass_role, tags_in
from cloudknot.testing.iam.s3_actions import bucket_arn
from cloudknot.testing.iam.service_actions import SERVICES, queue_arn
from cloudknot.testing.iam.stack_networks import NETWORKS, network_asks
from cloudknot.testing.iam.stack_properties import to_camel_case
from cloudknot.testing.iam.values import Ask

__all__ = ["asks_of_resource"]

Properties = Mapping[str, Any]
_Maker = Callable[[Properties, str, Place], Iterable[Ask]]


def asks_of_resource(
    kind: str,
    properties: Properties,
    verb: str,
    account: str,
    region: str,
    *,
    name: str | None = None,
    known: Known = nobody_knows,
) -> tuple[Ask, ...]:
    """Return what making (`create`) or removing (`delete`) a resource needs.

    Parameters
    ----------
    kind : str
        Its type: `AWS::Batch::JobQueue`.
    properties : mapping
        As the template has them, references resolved. What is unresolved counts as unknown: `*`.
    verb : str
        `create` or `delete`.
    account, region : str
        Where.
    name : str, optional
        The name or id that it has, or gets, where `properties` gives none.
    known : callable
        Finds the full ARN of what has a path in it.
    """
    place = Place(region=region, account=account, known=known)
    parts = kind.split("::")
    if parts[:2] == ["AWS", "CloudFormation"] or parts[0] != "AWS":
        return ()
    found = _text(next((properties[key] for key in _NAMES if key in properties), None)) or name or "*"
    if kind in NETWORKS:
        return tuple(network_asks(kind, properties, verb, found, place))
    if (makers := _MAKERS.get(kind)) is not None:
        return tuple(makers[verb != "create"](properties, found, place))
    # Nothing more is known of this type than whose it is.
    action = f"{parts[1].lower()}:{'Create' if verb == 'create' else 'Delete'}{parts[-1]}"
    return (Ask(action=action),)


_NAMES = (
    *("ComputeEnvironmentName", "JobQueueName", "JobDefinitionName", "RoleName", "ManagedPolicyName"),
    *("InstanceProfileName", "BucketName", "Bucket", "RepositoryName", "LogGroupName", "QueueName", "Name"),
)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(values: Any) -> list[str]:
    return [value for value in values or () if isinstance(value, str)] if isinstance(values, list) else []


def _batch(operation: str, member: str, *before: str) -> _Maker:
    def needs(properties: Properties, name: str, place: Place) -> list[Ask]:
        params = {**to_camel_case(properties), member: name}
        needed = [ask for step in before for ask in batch_actions.asks(step, {member: name}, place)]
        if operation.startswith(("Delete", "Deregister")):
            params = {member: name}
        return needed + batch_actions.asks(operation, params, place)

    return needs


def _service(service: str, *operations: str, **optional: str) -> _Maker:
    """Return what needs these operations; `optional` maps an operation to the property that asks for it."""

    def needs(properties: Properties, name: str, place: Place) -> list[Ask]:
        params = {_MEMBERS[service]: name}
        tags = (
            {"tags": properties.get("Tags"), "Tags": properties.get("Tags")} if _has_tags(properties) else {}
        )
        needed: list[Ask] = []
        for operation in (*operations, *(each for each, key in optional.items() if properties.get(key))):
            is_new = operation.startswith("Create")
            needed += SERVICES[service](operation, {**params, **(tags if is_new else {})}, place)
        return needed

    return needs


_MEMBERS = {"ecr": "repositoryName", "logs": "logGroupName", "sqs": "QueueUrl"}


def _has_tags(properties: Properties) -> bool:
    return bool(properties.get("Tags"))


def _bucket(*actions: str, **optional: str) -> _Maker:
    def needs(properties: Properties, name: str, place: Place) -> list[Ask]:
        chosen = [*actions, *(action for action, key in optional.items() if properties.get(key))]
        return [Ask(action=f"s3:{action}", resource=bucket_arn(place, name)) for action in chosen]

    return needs


def _iam(kind: str, properties: Properties, name: str, place: Place, *actions: str) -> list[Ask]:
    path = str(_text(properties.get("Path")) or "/")[1:]
    resource = place.iam(kind, name if name.startswith("arn:") else f"{path}{name}")
    tags = tags_in(properties.get("Tags"))
    boundary = _text(properties.get("PermissionsBoundary"))
    context = tags | ({"iam:PermissionsBoundary": boundary} if boundary else {})
    return [Ask(action=f"iam:{action}", resource=resource, context=context) for action in actions]


def _role(verbs: tuple[str, str, str]) -> _Maker:
    main, inline, attached = verbs

    def needs(properties: Properties, name: str, place: Place) -> list[Ask]:
        needed = _iam("role", properties, name, place, main)
        if main == "CreateRole" and _has_tags(properties):
            needed += _iam("role", properties, name, place, "TagRole")
        if properties.get("Policies"):
            needed += _iam("role", properties, name, place, inline)
        for arn in _texts(properties.get("ManagedPolicyArns")):
            [ask] = _iam("role", properties, name, place, attached)
            needed.append(
                Ask(action=ask.action, resource=ask.resource, context={**ask.context, "iam:PolicyARN": arn})
            )
        return needed

    return needs


def _on_holders(verb: str, place: Place, properties: Properties) -> list[Ask]:
    """Return what a policy needs of those who shall have it: `iam:PutRolePolicy` on each role, and so on."""
    return [
        Ask(action=f"iam:{verb}{kind.capitalize()}Policy", resource=place.iam(kind, name))
        for kind in ("role", "user", "group")
        for name in _texts(properties.get(f"{kind.capitalize()}s"))
    ]


def _profile(properties: Properties, name: str, place: Place) -> list[Ask]:
    needed = _iam("instance-profile", properties, name, place, "CreateInstanceProfile")
    for role in _texts(properties.get("Roles")):
        needed += _iam("instance-profile", properties, name, place, "AddRoleToInstanceProfile")
        needed += pass_role(place, role, "ec2.amazonaws.com")
    return needed


def _rule(properties: Properties, name: str, place: Place) -> list[Ask]:
    params = {"Name": name, "EventBusName": _text(properties.get("EventBusName"))}
    needed = SERVICES["events"]("PutRule", {**params, "RoleArn": _text(properties.get("RoleArn"))}, place)
    targets = [target for target in properties.get("Targets") or () if isinstance(target, Mapping)]
    if targets:
        needed += SERVICES["events"]("PutTargets", {**params, "Rule": name, "Targets": targets}, place)
    return needed


def _no_rule(properties: Properties, name: str, place: Place) -> list[Ask]:
    params = {"Name": name, "EventBusName": _text(properties.get("EventBusName"))}
    operations = ("RemoveTargets", "DeleteRule") if properties.get("Targets") else ("DeleteRule",)
    return [ask for operation in operations for ask in SERVICES["events"](operation, params, place)]


def _queue_policy(properties: Properties, name: str, place: Place) -> list[Ask]:
    queues = [queue_arn(url, place) for url in _texts(properties.get("Queues"))] or [place.arn("sqs", "*")]
    return [Ask(action="sqs:SetQueueAttributes", resource=queue) for queue in queues]


def _actions(service: str, *actions: str) -> _Maker:
    """Return what needs these actions, on whatever: for types whose ARNs are not worked out here."""
    return lambda properties, name, place: [Ask(action=f"{service}:{action}") for action in actions]


_MAKERS: dict[str, tuple[_Maker, _Maker]] = {
    "AWS::Batch::ComputeEnvironment": (
        _batch("CreateComputeEnvironment", "computeEnvironmentName"),
        # It is disabled before it can be deleted.
        _batch("DeleteComputeEnvironment", "computeEnvironment", "UpdateComputeEnvironment"),
    ),
    "AWS::Batch::JobQueue": (
        _batch("CreateJobQueue", "jobQueueName"),
        _batch("DeleteJobQueue", "jobQueue", "UpdateJobQueue"),
    ),
    "AWS::Batch::JobDefinition": (
        _batch("RegisterJobDefinition", "jobDefinitionName"),
        _batch("DeregisterJobDefinition", "jobDefinition"),
    ),
    "AWS::Batch::SchedulingPolicy": (
        _batch("CreateSchedulingPolicy", "name"),
        _batch("DeleteSchedulingPolicy", "arn"),
    ),
    "AWS::IAM::Role": (
        _role(("CreateRole", "PutRolePolicy", "AttachRolePolicy")),
        _role(("DeleteRole", "DeleteRolePolicy", "DetachRolePolicy")),
    ),
    "AWS::IAM::Policy": (
        lambda properties, name, place: _on_holders("Put", place, properties),
        lambda properties, name, place: _on_holders("Delete", place, properties),
    ),
    "AWS::IAM::ManagedPolicy": (
        lambda properties, name, place: [
            *_iam("policy", properties, name, place, "CreatePolicy"),
            *_on_holders("Attach", place, properties),
        ],
        lambda properties, name, place: [
            *_on_holders("Detach", place, properties),
            *_iam("policy", properties, name, place, "DeletePolicy"),
        ],
    ),
    "AWS::IAM::InstanceProfile": (
        _profile,
        lambda properties, name, place: _iam(
            "instance-profile",
            properties,
            name,
            place,
            "RemoveRoleFromInstanceProfile",
            "DeleteInstanceProfile",
        ),
    ),
    "AWS::S3::Bucket": (
        _bucket(
            "CreateBucket",
            PutEncryptionConfiguration="BucketEncryption",
            PutLifecycleConfiguration="LifecycleConfiguration",
            PutBucketPublicAccessBlock="PublicAccessBlockConfiguration",
            PutBucketVersioning="VersioningConfiguration",
            PutBucketOwnershipControls="OwnershipControls",
            PutBucketNotification="NotificationConfiguration",
            PutBucketTagging="Tags",
            PutBucketCORS="CorsConfiguration",
        ),
        _bucket("DeleteBucket"),
    ),
    "AWS::S3::BucketPolicy": (_bucket("PutBucketPolicy"), _bucket("DeleteBucketPolicy")),
    "AWS::ECR::Repository": (
        _service(
            "ecr",
            "CreateRepository",
            PutLifecyclePolicy="LifecyclePolicy",
            SetRepositoryPolicy="RepositoryPolicyText",
        ),
        _service("ecr", "DeleteRepository"),
    ),
    "AWS::Logs::LogGroup": (
        _service("logs", "CreateLogGroup", PutRetentionPolicy="RetentionInDays"),
        _service("logs", "DeleteLogGroup"),
    ),
    "AWS::SQS::Queue": (_service("sqs", "CreateQueue"), _service("sqs", "DeleteQueue")),
    "AWS::SQS::QueuePolicy": (_queue_policy, _queue_policy),
    "AWS::SNS::Topic": (_actions("sns", "CreateTopic"), _actions("sns", "DeleteTopic")),
    "AWS::SNS::TopicPolicy": (_actions("sns", "SetTopicAttributes"), _actions("sns", "SetTopicAttributes")),
    "AWS::SSM::Parameter": (_actions("ssm", "PutParameter"), _actions("ssm", "DeleteParameter")),
    "AWS::KMS::Key": (_actions("kms", "CreateKey"), _actions("kms", "ScheduleKeyDeletion")),
    "AWS::CloudWatch::Alarm": (
        _actions("cloudwatch", "PutMetricAlarm"),
        _actions("cloudwatch", "DeleteAlarms"),
    ),
    "AWS::Budgets::Budget": (_actions("budgets", "ModifyBudget"), _actions("budgets", "ModifyBudget")),
    "AWS::IAM::ServiceLinkedRole": (
        _actions("iam", "CreateServiceLinkedRole"),
        _actions("iam", "DeleteServiceLinkedRole"),
    ),
    "AWS::Events::Rule": (_rule, _no_rule),
}
