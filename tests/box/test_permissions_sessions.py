"""Roles that are assumed on conditions, and what sessions and users with a boundary may."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import cloud
from tests.box.permitting import (
    ACCOUNT,
    allow,
    arn_of,
    client,
    document,
    error,
    make_role,
    refusal,
    session_of,
    user,
)

pytestmark = pytest.mark.aws_box(executor="process")

ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


def lent(box: Box, sts: Any, role: str, name: str = "session", **more: Any) -> Any:
    """Return who a user is as he has assumed a role."""
    return session_of(sts.assume_role(RoleArn=role, RoleSessionName=name, **more)["Credentials"])


class TestARole:
    def test_that_names_a_user_needs_nothing_of_his(self, aws_box: Box) -> None:
        sts = client(aws_box, user(aws_box, "alice"), "sts")
        named = make_role(aws_box, "named", {"AWS": arn_of("alice")})
        of_account = make_role(aws_box, "of-account", ROOT)
        assert sts.assume_role(RoleArn=named, RoleSessionName="session")["Credentials"]
        said = refusal(sts.assume_role, RoleArn=of_account, RoleSessionName="session")
        assert "no identity-based policy allows the sts:AssumeRole action" in said

    def test_that_names_nobody_is_for_nobody_and_so_is_one_that_is_not_there(self, aws_box: Box) -> None:
        sts = client(aws_box, user(aws_box, "bob", allow("sts:*")), "sts")
        tasks = make_role(aws_box, "tasks", {"Service": "ecs-tasks.amazonaws.com"})
        for role in (tasks, f"arn:aws:iam::{ACCOUNT}:role/gone"):
            said = refusal(sts.assume_role, RoleArn=role, RoleSessionName="session")
            assert said.endswith(f"is not authorized to perform: sts:AssumeRole on resource: {role}")

    @pytest.mark.parametrize(
        ("condition", "right", "wrong"),
        [
            ({"StringEquals": {"sts:ExternalId": "lab"}}, {"ExternalId": "lab"}, {"ExternalId": "other"}),
            (
                {"StringLike": {"sts:RoleSessionName": "${aws:username}"}},
                {"RoleSessionName": "bob"},
                {"RoleSessionName": "ada"},
            ),
            (
                {"StringEquals": {"aws:PrincipalTag/team": "${aws:RequestTag/team}"}},
                {"Tags": [{"Key": "team", "Value": "a"}]},
                {"Tags": [{"Key": "team", "Value": "b"}]},
            ),
            ({"Bool": {"aws:SecureTransport": "true"}}, {}, None),
        ],
    )
    def test_is_lent_on_its_conditions(self, aws_box: Box, condition: Any, right: Any, wrong: Any) -> None:
        sts = client(aws_box, user(aws_box, "bob", allow("sts:*")), "sts")
        aws_box.client("iam").tag_user(UserName="bob", Tags=[{"Key": "team", "Value": "a"}])
        actions = ["sts:AssumeRole", "sts:TagSession"]
        role = make_role(aws_box, "lent", [{"Principal": ROOT, "Action": actions, "Condition": condition}])
        asked = {"RoleArn": role, "RoleSessionName": "session"}
        assert sts.assume_role(**{**asked, **right})["Credentials"]
        if wrong is not None:
            refusal(sts.assume_role, **{**asked, **wrong})

    def test_is_lent_for_as_long_as_it_says(self, aws_box: Box) -> None:
        sts = client(aws_box, user(aws_box, "bob", allow("sts:*")), "sts")
        short = make_role(aws_box, "short", ROOT, allow("sts:*"))
        long = make_role(aws_box, "long", ROOT, MaxSessionDuration=43200)

        def said(lender: Any, role: str, seconds: int) -> str:
            asked = {"RoleArn": role, "RoleSessionName": "session", "DurationSeconds": seconds}
            found = error(lender.assume_role, **asked)
            assert found.response["Error"]["Code"] == "ValidationError"
            return str(found)

        assert "greater than or equal to 900" in said(sts, long, 899)
        assert "less than or equal to 43200" in said(sts, long, 43201)
        assert "exceeds the MaxSessionDuration set for this role" in said(sts, short, 3601)
        assert sts.assume_role(RoleArn=long, RoleSessionName="session", DurationSeconds=43200)
        for session in (lent(aws_box, sts, short), session_of(sts.get_session_token()["Credentials"])):
            chained = client(aws_box, session, "sts")
            assert "role chaining" in said(chained, long, 3601)
            assert chained.assume_role(RoleArn=long, RoleSessionName="session", DurationSeconds=3600)

    def test_is_not_lent_to_a_session_without_a_name(self, aws_box: Box) -> None:
        role = make_role(aws_box, "lent", ROOT)
        found = error(aws_box.client("sts").assume_role, RoleArn=role, RoleSessionName="a b")
        assert found.response["Error"]["Code"] == "ValidationError"

    @pytest.mark.parametrize(("account", "status"), [(ACCOUNT, "SUCCEEDED"), ("999999999999", "FAILED")])
    def test_may_insist_on_tasks_of_its_account(self, aws_box: Box, account: str, status: str) -> None:
        condition = {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:us-east-1:{account}:*"},
        }
        tasks = {"Service": "ecs-tasks.amazonaws.com"}
        role = make_role(aws_box, "job", [{"Principal": tasks, "Condition": condition}])
        cloud.make_queue(aws_box)
        definition = cloud.make_definition(aws_box, "true", container={"jobRoleArn": role})
        job = cloud.finish(aws_box, cloud.submit(aws_box, definition))
        assert job["status"] == status, job.get("statusReason")


class TestASession:
    def test_may_what_its_role_and_all_its_policies_allow(self, aws_box: Box) -> None:
        sts = client(aws_box, user(aws_box, "bob", allow("sts:*")), "sts")
        role = make_role(aws_box, "all", ROOT, allow("*"))
        managed = [{"arn": "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"}]
        inline = json.dumps(document(allow("s3:ListAllMyBuckets")))

        def may(**more: Any) -> list[bool]:
            session = lent(aws_box, sts, role, **more)
            calls = (("s3", "list_buckets"), ("ec2", "describe_vpcs"), ("iam", "list_users"))
            return [is_allowed(getattr(client(aws_box, session, service), call)) for service, call in calls]

        assert may() == [True, True, True]
        assert may(PolicyArns=managed) == [False, True, False]
        assert may(Policy=inline) == [True, False, False]
        assert may(Policy=inline, PolicyArns=managed) == [True, True, False]
        malformed = {"RoleArn": role, "RoleSessionName": "session", "Policy": "{"}
        assert error(sts.assume_role, **malformed).response["Error"]["Code"] == "MalformedPolicyDocument"

    def test_has_its_tags_and_hands_on_the_transitive_ones(self, aws_box: Box) -> None:
        sts = client(aws_box, user(aws_box, "bob", allow("sts:*")), "sts")
        trust = [{"Principal": ROOT, "Action": ["sts:AssumeRole", "sts:TagSession"]}]
        condition = {"StringEquals": {"aws:PrincipalTag/team": "a"}}
        role = make_role(
            aws_box, "tagged", trust, allow("s3:ListAllMyBuckets", Condition=condition), allow("sts:*")
        )
        tags = {"Tags": [{"Key": "team", "Value": "a"}]}
        for more, is_handed_on in ((tags, False), ({**tags, "TransitiveTagKeys": ["team"]}, True)):
            first = lent(aws_box, sts, role, **more)
            assert client(aws_box, first, "s3").list_buckets()["Buckets"] == []
            next_sts = client(aws_box, first, "sts")
            second = client(aws_box, lent(aws_box, next_sts, role), "s3")
            if is_handed_on:
                assert second.list_buckets()["Buckets"] == []
                error(next_sts.assume_role, RoleArn=role, RoleSessionName="session", **tags)
            else:
                refusal(second.list_buckets)
        untagged = make_role(aws_box, "untagged", ROOT)
        assert "sts:TagSession" in refusal(
            sts.assume_role, RoleArn=untagged, RoleSessionName="session", **tags
        )

    def test_of_a_user_is_the_user(self, aws_box: Box) -> None:
        bob = user(aws_box, "bob", allow("s3:*"), allow("iam:*"), allow("sts:*"))
        session = session_of(client(aws_box, bob, "sts").get_session_token()["Credentials"])
        sts = client(aws_box, session, "sts")
        assert sts.get_caller_identity()["Arn"] == arn_of("bob")
        assert client(aws_box, session, "s3").list_buckets()["Buckets"] == []
        refusal(client(aws_box, session, "ec2").describe_vpcs)
        found = error(client(aws_box, session, "iam").list_users)
        assert found.response["Error"]["Code"] == "InvalidClientTokenId"
        assert "with session credentials" in refusal(sts.get_session_token)
        role = make_role(aws_box, "lent", ROOT)
        assert sts.assume_role(RoleArn=role, RoleSessionName="session", DurationSeconds=900)
        short = {"DurationSeconds": 60}
        found = error(client(aws_box, bob, "sts").get_session_token, **short)
        assert found.response["Error"]["Code"] == "ValidationError"
        aws_box.client("iam").delete_user_policy(UserName="bob", PolicyName=policy_names(aws_box, "bob")[0])
        refusal(client(aws_box, session, "s3").list_buckets)

    def test_of_a_federated_user_may_what_his_lender_and_his_policy_allow(self, aws_box: Box) -> None:
        bob = client(aws_box, user(aws_box, "bob", allow("s3:*"), allow("sts:*")), "sts")
        given = document(allow(["s3:ListAllMyBuckets", "ec2:*"]))
        made = bob.get_federation_token(Name="guest", Policy=json.dumps(given))
        guest = session_of(made["Credentials"])
        arn = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
        assert client(aws_box, guest, "sts").get_caller_identity()["Arn"] == arn
        assert client(aws_box, guest, "s3").list_buckets()["Buckets"] == []
        refusal(client(aws_box, guest, "s3").create_bucket, Bucket="brains")
        refusal(client(aws_box, guest, "ec2").describe_vpcs)
        bare = session_of(bob.get_federation_token(Name="bare")["Credentials"])
        refusal(client(aws_box, bare, "s3").list_buckets)

    def test_is_let_in_by_a_bucket_as_far_as_its_boundary_goes(self, aws_box: Box) -> None:
        iam, s3 = aws_box.client("iam"), aws_box.client("s3")
        s3.create_bucket(Bucket="brains")
        narrow = iam.create_policy(PolicyName="narrow", PolicyDocument=json.dumps(document(allow("ec2:*"))))[
            "Policy"
        ]["Arn"]
        roles = {
            "free": make_role(aws_box, "free", ROOT),
            "bound": make_role(aws_box, "bound", ROOT, PermissionsBoundary=narrow),
            "named": make_role(aws_box, "named", ROOT, PermissionsBoundary=narrow),
        }
        named = f"arn:aws:sts::{ACCOUNT}:assumed-role/named/session"
        whom = {"AWS": [roles["free"], roles["bound"], named]}
        policy = document(allow("s3:ListBucket", "arn:aws:s3:::brains", Principal=whom))
        s3.put_bucket_policy(Bucket="brains", Policy=json.dumps(policy))
        sts = client(aws_box, user(aws_box, "bob", allow("sts:*")), "sts")
        sessions = {name: client(aws_box, lent(aws_box, sts, role), "s3") for name, role in roles.items()}
        assert sessions["free"].list_objects_v2(Bucket="brains")["KeyCount"] == 0
        assert sessions["named"].list_objects_v2(Bucket="brains")["KeyCount"] == 0
        said = refusal(sessions["bound"].list_objects_v2, Bucket="brains")
        assert "because no permissions boundary allows the s3:ListBucket action" in said


def is_allowed(call: Any) -> bool:
    try:
        call()
    except ClientError as refused:
        return "because no session policy allows" not in str(refused)
    return True


def policy_names(box: Box, name: str) -> list[str]:
    found: list[str] = box.client("iam").list_user_policies(UserName=name)["PolicyNames"]
    return found


class TestAUser:
    def test_with_a_boundary_may_no_more_than_that(self, aws_box: Box) -> None:
        iam = aws_box.client("iam")
        policy = json.dumps(document(allow("s3:*")))
        boundary = iam.create_policy(PolicyName="bound", PolicyDocument=policy)["Policy"]["Arn"]
        shown = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}
        dora = user(aws_box, "dora", allow("*"))
        assert client(aws_box, dora, "iam").list_users()["Users"]
        iam.put_user_permissions_boundary(UserName="dora", PermissionsBoundary=boundary)
        found = iam.get_user(UserName="dora")["User"]["PermissionsBoundary"]
        assert found["PermissionsBoundaryArn"] == shown["PermissionsBoundaryArn"]
        assert "permissions boundary" in refusal(client(aws_box, dora, "iam").list_users)
        assert client(aws_box, dora, "s3").list_buckets()["Buckets"] == []
        assert all("PermissionsBoundary" not in one for one in iam.list_users()["Users"])
        iam.delete_user_permissions_boundary(UserName="dora")
        assert "PermissionsBoundary" not in iam.get_user(UserName="dora")["User"]
        assert client(aws_box, dora, "iam").list_users()["Users"]

    def test_is_made_with_a_boundary(self, aws_box: Box) -> None:
        iam = aws_box.client("iam")
        boundary = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"
        made = iam.create_user(UserName="dora", PermissionsBoundary=boundary)["User"]
        assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
        dora = user(aws_box, "dora", allow("*"))
        assert client(aws_box, dora, "iam").list_users()["Users"]
        refusal(client(aws_box, dora, "s3").list_buckets)
        gone = f"arn:aws:iam::{ACCOUNT}:policy/gone"
        found = error(iam.create_user, UserName="other", PermissionsBoundary=gone)
        assert found.response["Error"]["Code"] == "NoSuchEntity"
