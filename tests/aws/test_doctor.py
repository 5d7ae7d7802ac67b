"""``cloudknot doctor``: each check finds what is wrong and says what to do, also where it may see little."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudknot.aws.bootstrap import Wishes, make
from cloudknot.aws.checks import Doctor
from cloudknot.aws.checks.access import check_clock, check_region, check_versions, explain_refusal
from cloudknot.aws.checks.bucket import explain_bucket_error
from cloudknot.aws.checks.images import check_engine
from cloudknot.aws.checks.network import Network, judge_network
from cloudknot.aws.checks.quotas import check_counts
from cloudknot.aws.findings import Check, Level
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate
from cloudknot.cli import main
from cloudknot.docker_engine.connection import Engine
from cloudknot.errors import AwsError, EngineError
from cloudknot.testing import Box
from tests.box import cloud

# The network that the stack makes: the box's default one has no way out.
WISHES = Wishes(new_vpc=True)
process = pytest.mark.aws_box(executor="process")


class FakeEngine(Engine):
    """An engine of a platform, or one that does not answer."""

    def __init__(self, platform: str = "linux/amd64") -> None:
        super().__init__()
        self._platform = platform

    @property
    def platform(self) -> str:
        if not self._platform:
            raise EngineError("could not connect to docker: no docker engine answers: start it")
        return self._platform


def examine(engine: Callable[[], Engine] = FakeEngine, **options: Any) -> list[Check]:
    return list(Doctor(**{"aws": Aws(), "stack": "cloudknot", "engine": engine, **options}).examine())


def found(checks: list[Check], level: Level) -> str:
    return "\n".join(
        f"{check.name}: {check.finding.sentence} -> {check.finding.cure}"
        for check in checks
        if check.level is level
    )


class TestCredentials:
    CASES = (
        ("UnauthorizedSSOTokenError", "SSO login has expired", "aws sso login --profile lab"),
        ("SSOTokenLoadError", "SSO login has expired", "aws sso login --profile lab"),
        ("TokenRetrievalError", "SSO login has expired", "aws sso login --profile lab"),
        ("ExpiredToken", "temporary credentials have expired", "aws sso login"),
        ("NoCredentialsError", "not found on this machine", "AWS_PROFILE"),
        ("InvalidClientTokenId", "does not know this access key", "new key"),
        ("SignatureDoesNotMatch", "does not take the signature", "clock"),
        ("EndpointConnectionError", "cannot be reached", "HTTPS_PROXY"),
        ("ResponseParserError", "cannot be reached", "HTTPS_PROXY"),
        ("InvalidConfigError", "contradict themselves", "~/.aws/config"),
        ("SomethingNew", "its words", "aws sso login"),
    )

    @pytest.mark.parametrize(("code", "sentence", "cure"), CASES)
    def test_that_are_refused_say_how_to_log_in(self, code: str, sentence: str, cure: str) -> None:
        check = explain_refusal(AwsError("sts: its words", code=code), profile="lab")
        assert check.level is Level.FAILED
        assert sentence in check.finding.sentence
        assert cure in check.finding.cure

    def test_that_may_not_assume_their_role_are_a_failure(self) -> None:
        words = "sts:get_caller_identity: ada is not authorized to perform: sts:AssumeRole on resource: dev"
        check = explain_refusal(AwsError(words, code="AccessDenied"), profile="dev")
        assert check.level is Level.FAILED
        assert "trust policy" in check.finding.cure

    def test_that_are_missing_end_the_look_at_aws(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        checks = examine(aws=Aws(region="us-east-1"))
        assert "credentials: AWS's credentials were not found" in found(checks, Level.FAILED)
        assert checks[-1].level is Level.UNKNOWN

    @process
    def test_that_work_say_who_one_is(self, aws_box: Box) -> None:
        assert "credentials: arn:aws:iam::123456789012:" in found(examine(), Level.OK)


class TestTheRegionAndTheClock:
    def test_no_region_ends_the_look_at_aws(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        check = check_region(lambda: Aws().region)
        assert check.level is Level.FAILED
        assert "cloudknot configure --region" in check.finding.cure

    def test_a_profile_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        check = check_region(lambda: Aws(profile="nobody").region)
        assert check.level is Level.FAILED
        assert "nobody" in check.finding.sentence
        assert "aws configure list-profiles" in check.finding.cure

    @pytest.mark.parametrize(
        ("now_s", "level"), [(600, Level.OK), (690, Level.WARNING), (900, Level.FAILED), (0, Level.FAILED)]
    )
    def test_a_clock_that_is_off(self, now_s: float, level: Level) -> None:
        [check] = check_clock("Thu, 01 Jan 1970 00:10:00 GMT", now_s)
        assert check.level is level

    @process
    def test_a_clock_that_aws_does_not_take_is_named(self, aws_box: Box) -> None:
        checks = examine(clock=lambda: 1e9)
        assert "clock: this machine's clock is" in found(checks, Level.FAILED)
        assert "behind AWS's" in found(checks, Level.FAILED)


@pytest.mark.parametrize(
    ("version", "level"), [("1.44.0", Level.OK), ("1.35.1", Level.FAILED), ("2.0.0rc1", Level.OK)]
)
def test_a_botocore_that_cannot_commit_once_is_too_old(version: str, level: Level) -> None:
    [check] = check_versions(lambda name: version)
    assert check.level is level


class TestDocker:
    def test_that_does_not_answer_is_no_failure_but_a_warning(self) -> None:
        [check] = check_engine(lambda: FakeEngine(""))
        assert check.level is Level.WARNING
        assert "no image can be built here" in check.finding.sentence
        assert "start it" in check.finding.cure

    def test_of_another_architecture_is_said(self) -> None:
        assert [check.level for check in check_engine(FakeEngine)] == [Level.OK, Level.OK]
        last = list(check_engine(lambda: FakeEngine("linux/aarch64")))[-1]
        assert last.level is Level.WARNING
        assert 'arch="arm64"' in last.finding.cure


def subnet(name: str = "subnet-1", *, public: bool = True) -> dict[str, Any]:
    return {"SubnetId": name, "VpcId": "vpc-1", "MapPublicIpOnLaunch": public}


def table(**route: str) -> dict[str, Any]:
    out = [{"DestinationCidrBlock": "0.0.0.0/0", "State": "active", **route}] if route else []
    local = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
    associations = [{"Main": True}]
    return {"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Associations": associations, "Routes": [local, *out]}


def endpoint(service: str, kind: str = "Interface", **fields: Any) -> dict[str, Any]:
    name = f"com.amazonaws.us-east-1.{service}"
    base = {"ServiceName": name, "VpcEndpointType": kind, "VpcId": "vpc-1", "State": "available"}
    return {**base, **fields}


OPEN_GROUP = {"GroupId": "sg-1", "IpPermissionsEgress": [{"IpProtocol": "-1"}]}
ENDPOINTS = [endpoint(name) for name in ("ecr.api", "ecr.dkr", "logs", "ecs", "ecs-agent", "ecs-telemetry")]
TO_S3 = endpoint("s3", "Gateway", RouteTableIds=["rtb-1"])


def judge(
    *,
    subnets: Any = None,
    tables: Any = (),
    endpoints: Any = (),
    groups: Any = (OPEN_GROUP,),
    on_machines: frozenset[str] = frozenset({"subnet-1"}),
    has_public_ip: bool = True,
) -> list[Check]:
    network = Network(subnets or [subnet()], tables, endpoints, groups)
    return list(judge_network(network, on_machines=set(on_machines), has_public_ip=has_public_ip))


class TestTheWayOut:
    def test_by_an_internet_gateway(self) -> None:
        [check] = judge(tables=[table(GatewayId="igw-1")])
        assert (check.level, check.finding.sentence) == (Level.OK, "subnet-1: a way out by igw-1")

    def test_is_one_line_for_subnets_that_are_alike(self) -> None:
        [check] = judge(subnets=[subnet(), subnet("subnet-2")], tables=[table(NatGatewayId="nat-1")])
        assert check.finding.sentence == "subnet-1, subnet-2: a way out by nat-1"

    def test_by_an_internet_gateway_needs_an_address(self) -> None:
        [check] = judge(subnets=[subnet(public=False)], tables=[table(GatewayId="igw-1")])
        assert check.level is Level.FAILED
        assert "no public address" in check.finding.sentence
        assert "auto-assign" in check.finding.cure

    @pytest.mark.parametrize(("has_public_ip", "level"), [(True, Level.OK), (False, Level.FAILED)])
    def test_of_fargate_goes_by_the_stacks_setting(self, has_public_ip: bool, level: Level) -> None:
        [check] = judge(
            subnets=[subnet(public=not has_public_ip)],
            tables=[table(GatewayId="igw-1")],
            on_machines=frozenset(),
            has_public_ip=has_public_ip,
        )
        assert check.level is level

    def test_by_a_nat_gateway_needs_none(self) -> None:
        [check] = judge(subnets=[subnet(public=False)], tables=[table(NatGatewayId="nat-1")])
        assert check.level is Level.OK

    def test_by_a_gateway_that_is_gone_is_none(self) -> None:
        [check] = judge(tables=[table(NatGatewayId="nat-1", State="blackhole")])
        assert check.level is Level.FAILED

    def test_is_looked_for_in_the_subnets_own_table_first(self) -> None:
        own = {**table(), "Associations": [{"SubnetId": "subnet-1"}]}
        [check] = judge(tables=[own, table(GatewayId="igw-1")])
        assert check.level is Level.FAILED

    def test_by_endpoints_alone(self) -> None:
        [check] = judge(tables=[table()], endpoints=[*ENDPOINTS, TO_S3])
        assert check.level is Level.OK

    def test_by_endpoints_of_which_some_are_missing(self) -> None:
        [check] = judge(tables=[table()], endpoints=ENDPOINTS[1:])
        assert check.level is Level.FAILED
        assert "no endpoint for ecr.api, s3" in check.finding.sentence
        assert "--new-vpc" in check.finding.cure

    def test_by_a_gateway_endpoint_of_another_table_is_none(self) -> None:
        elsewhere = endpoint("s3", "Gateway", RouteTableIds=["rtb-2"])
        [check] = judge(tables=[table()], endpoints=[*ENDPOINTS, elsewhere])
        assert "no endpoint for s3" in check.finding.sentence

    def test_is_closed_by_a_security_group(self) -> None:
        checks = judge(tables=[table(GatewayId="igw-1")], groups=[{"GroupId": "sg-1"}])
        assert "sg-1 lets nothing out" in found(checks, Level.FAILED)


@pytest.mark.parametrize(
    ("code", "words"),
    [("404", "there is no bucket"), ("301", "another region"), ("403", "may not be used")],
)
def test_a_bucket_that_cannot_be_reached_is_explained(code: str, words: str) -> None:
    check = explain_bucket_error(AwsError("s3:head_bucket: ?", code=code), "lab")
    assert check.level is Level.FAILED
    assert words in check.finding.sentence


class CountingAws(Aws):
    """An account with so many of everything."""

    def __init__(self, number: int) -> None:
        super().__init__(region="us-east-1")
        self._number = number

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        return iter([{}] * self._number)


@pytest.mark.parametrize(("number", "level"), [(3, Level.OK), (45, Level.WARNING), (50, Level.FAILED)])
def test_the_last_environments_of_a_region_are_announced(number: int, level: Level) -> None:
    assert {check.level for check in check_counts(CountingAws(number))} == {level}


@process
class TestAStack:
    def test_that_is_not_there_says_how_to_make_it(self, aws_box: Box) -> None:
        checks = examine(stack="lab")
        assert "there is no stack lab" in found(checks, Level.FAILED)
        assert "'cloudknot configure --stack lab' makes it" in found(checks, Level.FAILED)

    def test_that_is_well_has_no_failure(self, aws_box: Box) -> None:
        make(Aws(), WISHES)
        checks = examine()
        assert found(checks, Level.FAILED) == ""
        names = {check.name for check in checks if check.level is Level.OK}
        assert names >= {"credentials", "clock", "stack", "queues", "network", "roles", "bucket", "images"}

    def test_that_is_damaged_names_each_damage(self, aws_box: Box) -> None:
        substrate = make(Aws(), WISHES)
        damage(aws_box, substrate)
        said = found(examine(), Level.FAILED)
        assert "is DISABLED -> 'cloudknot configure' switches it on" in said
        assert "does not trust ecs-tasks.amazonaws.com" in said
        assert "is gone from ECR" in said
        assert "lets nothing out" in said
        assert "there is no bucket" in said

    def test_whose_machines_have_no_way_out(self, aws_box: Box) -> None:
        make(Aws(), WISHES)
        ec2 = aws_box.client("ec2")
        for one in ec2.describe_route_tables()["RouteTables"]:
            for route in one["Routes"]:
                if route.get("DestinationCidrBlock") == "0.0.0.0/0":
                    ec2.delete_route(RouteTableId=one["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
        assert ": no way to the internet" in found(examine(), Level.FAILED)


def damage(box: Box, substrate: Substrate) -> None:
    batch, ec2, s3 = box.client("batch"), box.client("ec2"), box.client("s3")
    [queue] = batch.describe_job_queues(jobQueues=[substrate.queues["x86"]])["jobQueues"]
    batch.update_compute_environment(
        computeEnvironment=queue["computeEnvironmentOrder"][0]["computeEnvironment"], state="DISABLED"
    )
    box.client("iam").update_assume_role_policy(
        RoleName=substrate.job_role_arn.rpartition("/")[2], PolicyDocument=cloud.trust("lambda.amazonaws.com")
    )
    name = substrate.repository_uri.partition("/")[2]
    box.client("ecr").delete_repository(repositoryName=name, force=True)
    [group] = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["cloudknot-*"]}])[
        "SecurityGroups"
    ]
    ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"])
    s3.delete_bucket(Bucket=substrate.bucket)


@process
class TestThePerson:
    @pytest.fixture
    def ledger(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLOUDKNOT_HOME", str(tmp_path))
        monkeypatch.setenv("CLOUDKNOT_CONFIG", str(tmp_path / "none.toml"))

    @pytest.mark.usefixtures("ledger")
    def test_who_may_see_little_reads_what_was_not_looked_at(
        self, aws_box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make(Aws(), WISHES)
        allowed = cloud.policy((["sts:GetCallerIdentity", "cloudformation:DescribeStacks"], "*"))
        keys = aws_box.user("ada", allowed).get_credentials()
        assert keys is not None
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
        main(["doctor", "--json"])
        checks = json.loads(capsys.readouterr().out)
        unseen = {check["check"] for check in checks if check["level"] == "not looked at"}
        assert unseen >= {"quotas", "queues", "roles", "images"}
        assert any("is not authorized to perform: batch:" in check["found"] for check in checks)

    @pytest.mark.usefixtures("ledger")
    def test_whose_stack_is_missing_gets_an_exit_code(
        self, aws_box: Box, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["doctor", "--stack", "lab"]) == 1
        out = capsys.readouterr().out
        assert "failed" in out
        assert "to do: 'cloudknot configure --stack lab' makes it" in out

    @pytest.mark.usefixtures("ledger")
    def test_whose_stack_is_well_reads_no_failure(
        self, aws_box: Box, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make(Aws(), WISHES)
        assert main(["doctor"]) == 0
        assert "failed" not in capsys.readouterr().out
