"""The policies of buckets and of other resources, beside those of people."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from cloudknot.testing import Box
from tests.box.permitting import ACCOUNT, allow, arn_of, client, deny, document, error, refusal, user

pytestmark = pytest.mark.aws_box(executor="process")

BUCKET = "arn:aws:s3:::brains"
BOTH = [BUCKET, f"{BUCKET}/*"]
# As AWS's own guide has it, and every second company's template.
TLS_ONLY = deny("s3:*", BOTH, Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})


@pytest.fixture
def s3(aws_box: Box) -> Any:
    s3 = aws_box.client("s3")
    s3.create_bucket(Bucket="brains")
    s3.put_object(Bucket="brains", Key="sub-01", Body=b"a brain")
    return s3


def put_policy(s3: Any, *statements: dict[str, Any]) -> None:
    s3.put_bucket_policy(Bucket="brains", Policy=json.dumps(document(*statements)))


def test_a_bucket_that_wants_tls_is_open_to_those_who_may(aws_box: Box, s3: Any) -> None:
    put_policy(s3, TLS_ONLY)
    eve = client(aws_box, user(aws_box, "eve", allow("s3:*")), "s3")
    eve.put_object(Bucket="brains", Key="sub-02", Body=b"x")
    assert eve.list_objects_v2(Bucket="brains")["KeyCount"] == 2
    assert s3.get_object(Bucket="brains", Key="sub-02")["Body"].read() == b"x"
    eve.delete_objects(Bucket="brains", Delete={"Objects": [{"Key": "sub-02"}]})
    assert s3.list_objects_v2(Bucket="brains")["KeyCount"] == 1


@pytest.mark.parametrize(
    ("statement", "is_denied"),
    [
        (deny("s3:*", BOTH, Principal={"AWS": arn_of("other")}), False),
        (deny("s3:*", BOTH, Principal={"AWS": arn_of("eve")}), True),
        (deny("s3:*", BOTH, Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), True),
        (deny("s3:PutObject", f"{BUCKET}/*", Principal="*"), False),
        (deny("s3:GetObject", f"{BUCKET}/*", Principal="*"), True),
        (deny("s3:GetObject", f"{BUCKET}/else/*", Principal="*"), False),
        (deny("s3:*", BOTH, Principal="*", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}), True),
        (
            deny(
                "s3:*", BOTH, Principal="*", Condition={"ArnNotEquals": {"aws:PrincipalArn": arn_of("eve")}}
            ),
            False,
        ),
    ],
)
def test_a_bucket_denies_whom_it_means(
    aws_box: Box, s3: Any, statement: dict[str, Any], is_denied: bool
) -> None:
    put_policy(s3, statement)
    eve = client(aws_box, user(aws_box, "eve", allow("s3:*")), "s3")
    if is_denied:
        said = refusal(eve.get_object, Bucket="brains", Key="sub-01")
        assert "with an explicit deny in a resource-based policy" in said
    else:
        assert eve.get_object(Bucket="brains", Key="sub-01")["ContentLength"] == 7


@pytest.mark.parametrize(
    ("principal", "is_allowed"),
    [
        ({"AWS": arn_of("eve")}, True),
        ("*", True),
        ({"AWS": arn_of("other")}, False),
        # The account leaves it to the policies of its people.
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, False),
    ],
)
def test_a_bucket_lets_in_whom_it_names(aws_box: Box, s3: Any, principal: Any, is_allowed: bool) -> None:
    put_policy(s3, allow("s3:GetObject", f"{BUCKET}/*", Principal=principal))
    eve = client(aws_box, user(aws_box, "eve"), "s3")
    if is_allowed:
        assert eve.get_object(Bucket="brains", Key="sub-01")["ContentLength"] == 7
    else:
        refusal(eve.get_object, Bucket="brains", Key="sub-01")
    refusal(eve.put_object, Bucket="brains", Key="sub-01", Body=b"")


def status(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_an_object_is_open_to_all_when_its_bucket_says_so(aws_box: Box, s3: Any) -> None:
    s3.put_object(Bucket="brains", Key="private/sub-01", Body=b"x")
    url = f"{aws_box.endpoint}/brains"
    assert status(f"{url}/sub-01") == 403
    put_policy(s3, allow("s3:GetObject", f"{BUCKET}/sub*", Principal="*"))
    assert status(f"{url}/sub-01") == 200
    assert status(f"{url}/sub-01", "HEAD") == 200
    assert [status(f"{url}/private/sub-01"), status(f"{url}/sub-01", "DELETE"), status(url)] == [403] * 3
    assert status(f"{aws_box.endpoint}/") == 403


@pytest.mark.parametrize("text", ["{", '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}'])
def test_a_malformed_policy_is_not_taken(s3: Any, text: str) -> None:
    assert error(s3.put_bucket_policy, Bucket="brains", Policy=text).response["Error"]["Code"] == (
        "MalformedPolicy"
    )


def test_who_may_not_list_a_bucket_is_not_told_what_is_missing(aws_box: Box, s3: Any) -> None:
    blind = client(aws_box, user(aws_box, "blind", allow(["s3:*Object"], f"{BUCKET}/*")), "s3")
    seeing = client(aws_box, user(aws_box, "seeing", allow("s3:GetObject"), allow("s3:ListBucket")), "s3")
    copy = {"Bucket": "brains", "Key": "copy", "CopySource": "brains/missing"}
    assert "s3:ListBucket" in refusal(blind.get_object, Bucket="brains", Key="missing")
    assert "s3:ListBucket" in refusal(blind.copy_object, **copy)
    refusal(blind.head_object, Bucket="brains", Key="missing")
    assert error(seeing.get_object, Bucket="brains", Key="missing").response["Error"]["Code"] == "NoSuchKey"
    assert error(seeing.head_object, Bucket="brains", Key="missing").response["Error"]["Code"] == "404"
    anyone = client(aws_box, user(aws_box, "anyone", allow("s3:GetObject")), "s3")
    assert error(anyone.get_object, Bucket="gone", Key="x").response["Error"]["Code"] == "NoSuchBucket"


def test_a_key_needs_its_own_policy(aws_box: Box) -> None:
    kms = aws_box.client("kms")
    ada = client(aws_box, user(aws_box, "ada", allow("kms:*")), "kms")
    usual = kms.create_key()["KeyMetadata"]["KeyId"]
    assert ada.describe_key(KeyId=usual)["KeyMetadata"]["KeyId"] == usual
    only_box = document(allow("kms:*", Principal={"AWS": arn_of("box")}))
    closed = kms.create_key(Policy=json.dumps(only_box))["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/closed", TargetKeyId=closed)
    assert "no resource-based policy allows" in refusal(ada.describe_key, KeyId=closed)
    refusal(ada.describe_key, KeyId="alias/closed")
    assert kms.describe_key(KeyId=closed)["KeyMetadata"]["KeyId"] == closed


def test_queues_topics_secrets_and_repositories_let_in_whom_they_name(aws_box: Box) -> None:
    bob = user(aws_box, "bob")
    named = {"Principal": {"AWS": arn_of("bob")}}
    sqs, sns, secrets, ecr = map(aws_box.client, ("sqs", "sns", "secretsmanager", "ecr"))
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    topic = sns.create_topic(Name="t")["TopicArn"]
    secret = secrets.create_secret(Name="s", SecretString="x")["ARN"]
    ecr.create_repository(repositoryName="repo")
    calls = [
        (client(aws_box, bob, "sqs").get_queue_attributes, {"QueueUrl": queue}),
        (client(aws_box, bob, "sns").publish, {"TopicArn": topic, "Message": "m"}),
        (client(aws_box, bob, "secretsmanager").get_secret_value, {"SecretId": "s"}),
        (client(aws_box, bob, "ecr").describe_images, {"repositoryName": "repo"}),
    ]
    for call, params in calls:
        refusal(call, **params)
    sqs.set_queue_attributes(
        QueueUrl=queue, Attributes={"Policy": json.dumps(document(allow("sqs:*", **named)))}
    )
    sns.set_topic_attributes(
        TopicArn=topic,
        AttributeName="Policy",
        AttributeValue=json.dumps(document(allow("sns:Publish", topic, **named))),
    )
    secrets.put_resource_policy(
        SecretId=secret, ResourcePolicy=json.dumps(document(allow("secretsmanager:GetSecretValue", **named)))
    )
    of_repository = {"Effect": "Allow", "Action": "ecr:DescribeImages", **named}
    ecr.set_repository_policy(repositoryName="repo", policyText=json.dumps(document(of_repository)))
    for call, params in calls:
        call(**params)


def test_an_object_whose_newest_version_is_its_deletion_can_be_asked_for(aws_box: Box, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="brains", VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(Bucket="brains", Key="sub-01")
    eve = client(aws_box, user(aws_box, "eve", allow("s3:*")), "s3")
    assert error(eve.get_object, Bucket="brains", Key="sub-01").response["Error"]["Code"] == "NoSuchKey"
    eve.put_object(Bucket="brains", Key="sub-01", Body=b"another")
    assert eve.get_object(Bucket="brains", Key="sub-01")["Body"].read() == b"another"
