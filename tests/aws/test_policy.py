"""``cloudknot policy``: the least permissions, as they were needed, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest
from docker import DockerClient

from cloudknot.aws.bootstrap import Wishes, make
from cloudknot.aws.policies import Audience, Scope, extras, make_policy, recorded
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import read_substrate
from cloudknot.cli import main
from cloudknot.cli.policy import scope_of
from cloudknot.testing import Box
from tests.aws import policy_recording, stand
from tests.aws.policy_recording import COMMAND, Needed, Recording

AUDIENCES: tuple[Audience, ...] = get_args(Audience)
# "IAM and AWS STS quotas": of a managed policy, without white space.
MOST_CHARACTERS = 6144
SCOPE = Scope(
    region="eu-west-1",
    account_id="111122223333",
    stack="lab",
    bucket="lab-runs",
    repository="lab",
    log_group="/cloudknot/lab",
)
process = pytest.mark.aws_box(executor="process")


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person with a ledger and settings of their own."""
    monkeypatch.setenv("CLOUDKNOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLOUDKNOT_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("CLOUDKNOT_PROGRESS", "no")
    return tmp_path


def statements(policy: dict[str, Any], action: str) -> Iterator[dict[str, Any]]:
    """Yield the statements of a policy that speak of an action."""
    for statement in policy["Statement"]:
        if any(fnmatchcase(action, pattern) for pattern in statement["Action"]):
            yield statement


def resources(policy: dict[str, Any], action: str) -> list[str]:
    """Return on what a policy allows an action."""
    found = [statement["Resource"] for statement in statements(policy, action)]
    return [arn for some in found for arn in ([some] if isinstance(some, str) else some)]


class TestThePolicy:
    @pytest.mark.parametrize("audience", AUDIENCES)
    def test_fits_into_a_managed_policy(self, audience: Audience) -> None:
        region, account, stack = "ap-southeast-2", "1" * 12, "s" * 24
        queues = [f"arn:aws:batch:{region}:{account}:job-queue/X86PreferQueue-{n:012}" for n in range(9)]
        roles = [f"arn:aws:iam::{account}:role/{stack}-ExecutionRole-{n:012}" for n in range(2)]
        scope = Scope(
            region=region,
            account_id=account,
            stack=stack,
            bucket=f"{stack}-{account}-{region}",
            repository=stack,
            log_group=f"/cloudknot/{stack}",
            queue_arns=tuple(queues),
            role_arns=tuple(roles),
        )
        text = json.dumps(make_policy(audience, scope), separators=(",", ":"))
        assert len(text) <= MOST_CHARACTERS

    def test_of_a_user_is_narrowed_to_the_stack(self) -> None:
        policy = make_policy("user", SCOPE)
        assert resources(policy, "s3:PutObject") == [
            "arn:aws:s3:::lab-runs/bundles/*",
            "arn:aws:s3:::lab-runs/runs/*",
        ]
        assert resources(policy, "ecr:PutImage") == ["arn:aws:ecr:eu-west-1:111122223333:repository/lab"]
        assert "arn:aws:batch:eu-west-1:111122223333:job-definition/lab-*" in resources(
            policy, "batch:SubmitJob"
        )

    def test_of_a_user_names_the_queues_and_roles_that_are_known(self) -> None:
        queue, role = (
            "arn:aws:batch:eu-west-1:111122223333:job-queue/X86-1",
            "arn:aws:iam::111122223333:role/x",
        )
        known = Scope(
            **{
                **{name: getattr(SCOPE, name) for name in SCOPE.__dataclass_fields__},
                "queue_arns": (queue,),
                "role_arns": (role,),
            }
        )
        policy = make_policy("user", known)
        assert queue in resources(policy, "batch:SubmitJob")
        assert resources(policy, "iam:PassRole") == [role]

    @pytest.mark.parametrize("audience", AUDIENCES)
    def test_hands_roles_to_the_services_that_need_them_alone(self, audience: Audience) -> None:
        for statement in statements(make_policy(audience, SCOPE), "iam:PassRole"):
            [service] = statement["Condition"]["StringEquals"].values()
            assert service in ("ecs-tasks.amazonaws.com", "ec2.amazonaws.com")

    def test_of_a_user_makes_and_removes_nothing_that_others_share(self) -> None:
        allowed = set(recorded("user"))
        assert not any(action.startswith(("iam:Create", "iam:Delete", "iam:Put")) for action in allowed)
        assert not allowed & {"batch:CreateJobQueue", "batch:DeleteJobQueue", "s3:DeleteBucket"}
        assert not any(action.startswith("ec2:Create") for action in allowed)

    @pytest.mark.parametrize("audience", AUDIENCES)
    def test_says_of_what_was_not_recorded_why_it_is_there(self, audience: Audience) -> None:
        for extra in extras(audience):
            assert extra.why
            assert not set(extra.actions) & {*recorded("admin"), *recorded("user")}

    def test_is_printed_without_an_account_to_look_at(
        self, person: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody is there
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        code = main(
            [
                "policy",
                "--region",
                "cn-north-1",
                "--account",
                "111122223333",
                "--stack",
                "lab",
                "--for",
                "admin",
            ]
        )
        out, err = capsys.readouterr()
        assert code == 0, err
        assert json.loads(out)["Version"] == "2012-10-17"
        assert "arn:aws-cn:s3:::lab-111122223333-cn-north-1" in out


def check(audience: Audience, needed: Needed) -> None:
    """Compare what was needed with what stands in the package."""
    if policy_recording.is_renewing():
        policy_recording.write(audience, needed)
        return
    committed = {action: set(kinds) for action, kinds in recorded(audience).items()}
    missing = {action: kinds for action, kinds in needed.items() if kinds - committed.get(action, set())}
    unneeded = {action: kinds for action, kinds in committed.items() if kinds - needed.get(action, set())}
    said = f"{missing=} {unneeded=}: if that is meant, renew it with\n  {COMMAND}"
    assert not missing, said
    assert not unneeded, said


def scope_here() -> Scope:
    return scope_of(read_substrate(Aws(), "cloudknot"))


@process
@pytest.mark.usefixtures("person")
class TestInTheBox:
    def test_what_a_user_needs_is_what_was_recorded(
        self, aws_box: Box, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(Aws(), Wishes(new_vpc=True))
        stand.become(aws_box, monkeypatch, "ada", stand.allow("*"))
        recording = Recording(aws_box, Aws().identity["Arn"])
        policy_recording.run_verbs(aws_box)
        check("user", recording.needed(scope_here()))

    def test_what_an_admin_needs_is_what_was_recorded(
        self, aws_box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stand.become(aws_box, monkeypatch, "grace", stand.allow("*"))
        recording = Recording(aws_box, Aws().identity["Arn"])
        scopes: list[Scope] = []
        policy_recording.run_admins_verbs(aws_box, then=lambda: scopes.append(scope_here()))
        check("admin", recording.needed(scopes[0].widened()))

    def test_a_user_with_the_policy_can_run_knots_and_nothing_else(
        self, aws_box: Box, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(Aws(), Wishes(new_vpc=True))
        make(Aws(), Wishes(stack="other", new_vpc=True))
        other = read_substrate(Aws(), "other")
        stand.become(aws_box, monkeypatch, "ada", make_policy("user", scope_here()))
        policy_recording.run_verbs(aws_box)
        denied = [
            call for call in aws_box.calls() if call.principal.endswith("/ada") and "Denied" in call.error
        ]
        assert [(call.operation, call.actions) for call in denied] == []
        aws = Aws()
        refused: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("s3", "list_objects_v2", {"Bucket": other.bucket}),
            ("s3", "put_object", {"Bucket": other.bucket, "Key": "runs/x"}),
            ("ecr", "describe_images", {"repositoryName": "other"}),
            ("batch", "update_job_queue", {"jobQueue": other.queues["x86"], "state": "DISABLED"}),
            ("iam", "list_users", {}),
            ("cloudformation", "delete_stack", {"StackName": "cloudknot"}),
        )
        for service, operation, parameters in refused:
            with pytest.raises(Exception, match=r"not authorized|AccessDenied|403"):
                aws.call(service, operation, **parameters)

    def test_an_admin_with_the_policy_can_make_and_remove_the_stack(
        self, aws_box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scope = Scope(
            region="us-east-1",
            account_id="123456789012",
            stack="cloudknot",
            bucket="cloudknot-123456789012-us-east-1",
            repository="cloudknot",
            log_group="/cloudknot/cloudknot",
        )
        stand.become(aws_box, monkeypatch, "grace", make_policy("admin", scope))
        policy_recording.run_admins_verbs(aws_box)
        with pytest.raises(Exception, match=r"not authorized|AccessDenied"):
            Aws().call("iam", "create_user", UserName="mallory")
