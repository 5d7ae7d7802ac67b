"""What of a stack keeps things: image repositories, log groups, secrets, parameters, keys."""

import json
from typing import Any

from cloudknot.testing.iam.stack_properties import to_camel_case
from cloudknot.testing.stacks.kind import Kind, Made, Work, as_text, pairs, picked

__all__ = ["KINDS"]


def _repository(work: Work) -> Made:
    given = to_camel_case(
        picked(work.properties, "ImageTagMutability", "ImageScanningConfiguration", "EncryptionConfiguration")
    )
    found = work.call("ecr", "CreateRepository", repositoryName=work.name, tags=work.get("Tags"), **given)[
        "repository"
    ]
    _policies(work, work.name)
    attributes = {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]}
    return Made(id=work.name, attributes=attributes)


def _changed_repository(work: Work) -> Made:
    name = {"repositoryName": work.id}
    if work.is_changed("ImageTagMutability"):
        work.call(
            "ecr",
            "PutImageTagMutability",
            imageTagMutability=work.get("ImageTagMutability", "MUTABLE"),
            **name,
        )
    if work.is_changed("ImageScanningConfiguration"):
        scanning = to_camel_case(work.get("ImageScanningConfiguration", {"ScanOnPush": False}))
        work.call("ecr", "PutImageScanningConfiguration", imageScanningConfiguration=scanning, **name)
    _retag(work, "ecr", "resourceArn", str(work.attributes["Arn"]))
    _policies(work, work.id)
    return Made(id=work.id, attributes=work.attributes)


def _policies(work: Work, name: str) -> None:
    if work.is_changed("LifecyclePolicy"):
        text = (work.get("LifecyclePolicy") or {}).get("LifecyclePolicyText")
        if text:
            work.call("ecr", "PutLifecyclePolicy", repositoryName=name, lifecyclePolicyText=as_text(text))
        else:
            work.call("ecr", "DeleteLifecyclePolicy", repositoryName=name)
    if work.is_changed("RepositoryPolicyText"):
        if document := work.get("RepositoryPolicyText"):
            work.call("ecr", "SetRepositoryPolicy", repositoryName=name, policyText=as_text(document))
        else:
            work.call("ecr", "DeleteRepositoryPolicy", repositoryName=name)


def _retag(work: Work, service: str, key: str, arn: str) -> None:
    now, before = pairs(work.get("Tags")), pairs(work.before.get("Tags"))
    if gone := [name for name in before if name not in now]:
        work.call(service, "UntagResource", **{key: arn, "tagKeys": gone})
    if now and now != before:
        tags: Any = now if service == "logs" else [{"Key": name, "Value": now[name]} for name in now]
        work.call(service, "TagResource", **{key: arn, "tags": tags})


def _remove_repository(work: Work) -> None:
    is_forced = str(work.get("EmptyOnDelete", False)).lower() == "true"
    work.call("ecr", "DeleteRepository", repositoryName=work.id, force=is_forced)


def _group(work: Work) -> Made:
    work.call(
        "logs",
        "CreateLogGroup",
        logGroupName=work.name,
        kmsKeyId=work.get("KmsKeyId"),
        tags=pairs(work.get("Tags")) or None,
    )
    arn = f"arn:aws:logs:{work.region}:{work.account}:log-group:{work.name}:*"
    return _kept(work, Made(id=work.name, attributes={"Arn": arn}))


def _changed_group(work: Work) -> Made:
    _retag(work, "logs", "resourceArn", str(work.attributes["Arn"]).removesuffix(":*"))
    return _kept(work, Made(id=work.id, attributes=work.attributes))


def _kept(work: Work, made: Made) -> Made:
    days = work.get("RetentionInDays")
    if days is not None:
        work.call("logs", "PutRetentionPolicy", logGroupName=made.id, retentionInDays=days)
    elif work.is_changed("RetentionInDays"):
        work.call("logs", "DeleteRetentionPolicy", logGroupName=made.id)
    return made


def _remove_group(work: Work) -> None:
    work.call("logs", "DeleteLogGroup", logGroupName=work.id)


def _secret(work: Work) -> Made:
    arn = work.call(
        "secretsmanager",
        "CreateSecret",
        Name=work.name,
        SecretString=_string_of(work),
        **picked(work.properties, "Description", "KmsKeyId", "Tags"),
    )["ARN"]
    return Made(id=arn, attributes={"Id": arn})


def _string_of(work: Work) -> str | None:
    wanted = work.get("GenerateSecretString")
    if wanted is None:
        return as_text(work.get("SecretString"))
    given = {
        name: part
        for name, part in wanted.items()
        if name not in ("SecretStringTemplate", "GenerateStringKey")
    }
    password = str(work.call("secretsmanager", "GetRandomPassword", **given)["RandomPassword"])
    if "GenerateStringKey" not in wanted:
        return password
    return json.dumps(
        {**json.loads(wanted.get("SecretStringTemplate", "{}")), wanted["GenerateStringKey"]: password}
    )


def _changed_secret(work: Work) -> Made:
    given = picked(work.properties, "Description", "KmsKeyId")
    if work.is_changed("SecretString", "GenerateSecretString"):
        given["SecretString"] = _string_of(work)
    work.call("secretsmanager", "UpdateSecret", SecretId=work.id, **given)
    return Made(id=work.id, attributes=work.attributes)


def _remove_secret(work: Work) -> None:
    work.call("secretsmanager", "DeleteSecret", SecretId=work.id, ForceDeleteWithoutRecovery=True)


_PARAMETER = ("Type", "Value", "Description", "AllowedPattern", "Tier", "DataType")


def _parameter(work: Work) -> Made:
    name = work.id or work.name
    tags = (
        None if work.id else [{"Key": key, "Value": value} for key, value in (work.get("Tags") or {}).items()]
    )
    work.call(
        "ssm",
        "PutParameter",
        Name=name,
        Overwrite=bool(work.id),
        Tags=tags or None,
        **picked(work.properties, *_PARAMETER),
    )
    return Made(id=name, attributes=picked(work.properties, "Type", "Value"))


def _remove_parameter(work: Work) -> None:
    work.call("ssm", "DeleteParameter", Name=work.id)


def _key(work: Work) -> Made:
    found = work.call(
        "kms",
        "CreateKey",
        Policy=as_text(work.get("KeyPolicy")),
        Tags=[{"TagKey": name, "TagValue": value} for name, value in pairs(work.get("Tags")).items()] or None,
        **picked(work.properties, "Description", "KeyUsage", "KeySpec"),
    )["KeyMetadata"]
    attributes = {"Arn": found["Arn"], "KeyId": found["KeyId"]}
    return _turned(work, Made(id=found["KeyId"], attributes=attributes))


def _changed_key(work: Work) -> Made:
    if work.is_changed("KeyPolicy"):
        document = as_text(work.get("KeyPolicy"))
        work.call("kms", "PutKeyPolicy", KeyId=work.id, PolicyName="default", Policy=document)
    if work.is_changed("Description"):
        work.call("kms", "UpdateKeyDescription", KeyId=work.id, Description=work.get("Description", ""))
    return _turned(work, Made(id=work.id, attributes=work.attributes))


def _turned(work: Work, made: Made) -> Made:
    if work.is_changed("EnableKeyRotation"):
        is_on = str(work.get("EnableKeyRotation", False)).lower() == "true"
        work.call("kms", f"{'Enable' if is_on else 'Disable'}KeyRotation", KeyId=made.id)
    return made


def _remove_key(work: Work) -> None:
    days = work.get("PendingWindowInDays")
    work.call("kms", "ScheduleKeyDeletion", KeyId=work.id, PendingWindowInDays=days)


def _alias(work: Work) -> Made:
    operation = "UpdateAlias" if work.id else "CreateAlias"
    work.call("kms", operation, **picked(work.properties, "AliasName", "TargetKeyId"))
    return Made(id=str(work.properties["AliasName"]))


def _remove_alias(work: Work) -> None:
    work.call("kms", "DeleteAlias", AliasName=work.id)


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


KINDS: dict[str, Kind] = {
    "AWS::ECR::Repository": Kind(
        properties=_names(
            *("RepositoryName", "ImageTagMutability", "ImageScanningConfiguration", "Tags"),
            *("EncryptionConfiguration", "LifecyclePolicy", "RepositoryPolicyText", "EmptyOnDelete"),
        ),
        anew=_names("RepositoryName", "EncryptionConfiguration"),
        name="RepositoryName",
        longest_name=256,
        is_lower=True,
        make=_repository,
        change=_changed_repository,
        remove=_remove_repository,
    ),
    "AWS::Logs::LogGroup": Kind(
        properties=_names("LogGroupName", "RetentionInDays", "KmsKeyId", "Tags"),
        anew=_names("LogGroupName", "KmsKeyId"),
        name="LogGroupName",
        longest_name=512,
        make=_group,
        change=_changed_group,
        remove=_remove_group,
    ),
    "AWS::SecretsManager::Secret": Kind(
        properties=_names("Name", "Description", "SecretString", "GenerateSecretString", "KmsKeyId", "Tags"),
        anew=_names("Name", "Tags"),
        name="Name",
        longest_name=512,
        make=_secret,
        change=_changed_secret,
        remove=_remove_secret,
    ),
    "AWS::SSM::Parameter": Kind(
        properties=_names("Name", "Tags", *_PARAMETER),
        required=_names("Type", "Value"),
        anew=_names("Name", "Tags"),
        name="Name",
        longest_name=1011,
        tags="map",
        make=_parameter,
        change=_parameter,
        remove=_remove_parameter,
    ),
    "AWS::KMS::Key": Kind(
        properties=_names(
            *("KeyPolicy", "Description", "KeyUsage", "KeySpec", "EnableKeyRotation"),
            *("PendingWindowInDays", "Tags"),
        ),
        anew=_names("KeyUsage", "KeySpec", "Tags"),
        make=_key,
        change=_changed_key,
        remove=_remove_key,
    ),
    "AWS::KMS::Alias": Kind(
        properties=_names("AliasName", "TargetKeyId"),
        required=_names("AliasName", "TargetKeyId"),
        anew=_names("AliasName"),
        tags="",
        make=_alias,
        change=_alias,
        remove=_remove_alias,
    ),
}
