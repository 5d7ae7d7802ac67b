"""The permissions that CloudFormation needs of whoever updates a stack: for what changes in a resource."""

from collections.abc import Collection, Mapping
from typing import Any

from cloudknot.testing.iam.arns import Known, nobody_knows
from cloudknot.testing.iam.stack_actions import asks_of_resource
from cloudknot.testing.iam.values import Ask

__all__ = ["asks_of_update"]

# By type: the actions that a change of each property needs; those of `*` are needed for any other one.
_ACTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "AWS::Batch::ComputeEnvironment": {"*": ("batch:UpdateComputeEnvironment",)},
    "AWS::Batch::JobQueue": {"*": ("batch:UpdateJobQueue",)},
    "AWS::Batch::SchedulingPolicy": {"*": ("batch:UpdateSchedulingPolicy",)},
    "AWS::Batch::JobDefinition": {"*": ("batch:RegisterJobDefinition", "batch:DeregisterJobDefinition")},
    "AWS::IAM::Role": {
        "AssumeRolePolicyDocument": ("iam:UpdateAssumeRolePolicy",),
        "Policies": ("iam:PutRolePolicy",),
        "ManagedPolicyArns": ("iam:AttachRolePolicy",),
        "PermissionsBoundary": ("iam:PutRolePermissionsBoundary",),
        "Tags": ("iam:TagRole",),
        "*": ("iam:UpdateRole",),
    },
    "AWS::IAM::ManagedPolicy": {"PolicyDocument": ("iam:CreatePolicyVersion",)},
    "AWS::IAM::InstanceProfile": {"*": ("iam:RemoveRoleFromInstanceProfile", "iam:AddRoleToInstanceProfile")},
    "AWS::S3::Bucket": {
        "BucketEncryption": ("s3:PutEncryptionConfiguration",),
        "LifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
        "PublicAccessBlockConfiguration": ("s3:PutBucketPublicAccessBlock",),
        "VersioningConfiguration": ("s3:PutBucketVersioning",),
        "OwnershipControls": ("s3:PutBucketOwnershipControls",),
        "CorsConfiguration": ("s3:PutBucketCORS",),
        "Tags": ("s3:PutBucketTagging",),
    },
    "AWS::ECR::Repository": {
        "LifecyclePolicy": ("ecr:PutLifecyclePolicy",),
        "RepositoryPolicyText": ("ecr:SetRepositoryPolicy",),
        "ImageTagMutability": ("ecr:PutImageTagMutability",),
        "ImageScanningConfiguration": ("ecr:PutImageScanningConfiguration",),
        "Tags": ("ecr:TagResource",),
    },
    "AWS::Logs::LogGroup": {"RetentionInDays": ("logs:PutRetentionPolicy",), "Tags": ("logs:TagResource",)},
    "AWS::SQS::Queue": {"Tags": ("sqs:TagQueue",), "*": ("sqs:SetQueueAttributes",)},
    "AWS::SNS::Topic": {"Subscription": ("sns:Subscribe",), "*": ("sns:SetTopicAttributes",)},
    "AWS::SecretsManager::Secret": {"*": ("secretsmanager:UpdateSecret",)},
    "AWS::KMS::Key": {"KeyPolicy": ("kms:PutKeyPolicy",), "*": ("kms:UpdateKeyDescription",)},
    "AWS::KMS::Alias": {"*": ("kms:UpdateAlias",)},
    "AWS::EC2::VPC": {"*": ("ec2:ModifyVpcAttribute",)},
    "AWS::EC2::Subnet": {"*": ("ec2:ModifySubnetAttribute",)},
    "AWS::EC2::Route": {"*": ("ec2:ReplaceRoute",)},
    "AWS::EC2::SecurityGroup": {
        "SecurityGroupIngress": ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"),
        "SecurityGroupEgress": ("ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress"),
    },
    "AWS::EC2::LaunchTemplate": {"*": ("ec2:CreateLaunchTemplateVersion",)},
}
_TAGS_OF_EC2 = ("ec2:CreateTags",)


def asks_of_update(
    kind: str,
    properties: Mapping[str, Any],
    changed: Collection[str],
    account: str,
    region: str,
    *,
    name: str,
    known: Known = nobody_knows,
) -> tuple[Ask, ...]:
    """Return what changing a resource in place needs.

    What is handed over with it (a role) and the resource itself are found as for making it; a type of which
    no change is known here needs what making it needs.

    Parameters
    ----------
    kind : str
        Its type.
    properties : mapping
        As they shall be.
    changed : collection of str
        The properties that are not what they were.
    account, region : str
        Where.
    name : str
        The name or id that it has.
    known : callable
        Finds the full ARN of what has a path in it.
    """
    made = asks_of_resource(kind, properties, "create", account, region, name=name, known=known)
    actions = _ACTIONS.get(kind)
    if actions is None or not made:
        return made
    resource = made[0].resource
    if kind.startswith("AWS::EC2::"):
        resource = resource.removesuffix("/*") + f"/{name}" if resource.endswith("/*") else resource
        actions = {"Tags": _TAGS_OF_EC2, **actions}
    wanted = {action: None for key in sorted(changed) for action in actions.get(key, actions.get("*", ()))}
    passed = tuple(ask for ask in made if ask.action == "iam:PassRole")
    return (*(Ask(action=action, resource=resource) for action in wanted), *passed)
