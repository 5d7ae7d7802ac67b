"""One stack is what all Knots share: what it has, and how it is planned, made and changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudknot.aws.bootstrap import Bootstrap, Wishes
from cloudknot.aws.pools import Pool, parse_pool
from cloudknot.aws.stacks import Stacks
from cloudknot.aws.substrate import Substrate, read_stack, read_substrate
from cloudknot.errors import AwsError, InputError
from cloudknot.testing import Box
from cloudknot.testing.faults import ResetConnection, Throttle
from tests.aws import stand
from tests.aws.stand import allow, here, make_stack, settle

pytestmark = pytest.mark.aws_box(executor="process")


def environments(box: Box) -> dict[str, dict[str, Any]]:
    """Return the compute environments, by what their names begin with."""
    found = box.client("batch").describe_compute_environments()["computeEnvironments"]
    return {one["computeEnvironmentName"].split("-")[1]: one for one in found}


def test_the_machines_are_what_was_promised(aws_box: Box) -> None:
    substrate = make_stack(add_pools=(Pool(gpu=True), parse_pool("volume_gib=300,bid_percentage=60")))
    found = environments(aws_box)
    assert {one["state"] for one in found.values()} == {"ENABLED"}
    assert "serviceRole" not in found["X86"] or "aws-service-role" in found["X86"]["serviceRole"]
    kinds = {name: one["computeResources"]["type"] for name, one in found.items()}
    assert {kinds["X86"], kinds["Arm64"], kinds["Gpu"]} == {"EC2"}
    assert {kinds["X86Spot"], kinds["Arm64Spot"], kinds["GpuSpot"]} == {"SPOT"}
    assert (kinds["Fargate"], kinds["FargateSpot"]) == ("FARGATE", "FARGATE_SPOT")
    [special] = [name for name in kinds if name.startswith("X86") and len(name) == 11]
    for name, one in found.items():
        resources = one["computeResources"]
        assert resources["maxvCpus"] == 256
        if kinds[name] in ("EC2", "SPOT"):
            assert resources["minvCpus"] == 0
            assert resources["tags"] == {"Name": "cloudknot", "cloudknot:stack": "cloudknot"}
            on_demand = "BEST_FIT_PROGRESSIVE", "SPOT_PRICE_CAPACITY_OPTIMIZED"
            assert resources["allocationStrategy"] == on_demand[kinds[name] == "SPOT"]
            bid = 60 if name == f"{special}Spot" else None
            assert resources.get("bidPercentage") == bid
    assert found["X86"]["computeResources"]["instanceTypes"] == ["default_x86_64"]
    assert found["Arm64"]["computeResources"]["instanceTypes"] == ["default_arm64"]
    assert "g4dn" in found["Gpu"]["computeResources"]["instanceTypes"]
    _look_at_templates(aws_box, found["X86"], 100)
    _look_at_templates(aws_box, found[special], 300)
    _look_at_queues(aws_box, substrate, found)


def _look_at_templates(box: Box, environment: dict[str, Any], gib: int) -> None:
    template = environment["computeResources"]["launchTemplate"]
    [version] = box.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["launchTemplateId"], Versions=[template["version"]]
    )["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    [disk] = data["BlockDeviceMappings"]
    assert disk["DeviceName"] == "/dev/xvda"
    assert (disk["Ebs"]["VolumeSize"], disk["Ebs"]["Encrypted"]) == (gib, True)


def _look_at_queues(box: Box, substrate: Substrate, found: dict[str, dict[str, Any]]) -> None:
    [queue] = box.client("batch").describe_job_queues(jobQueues=[substrate.queues["x86-prefer"]])["jobQueues"]
    order = [one["computeEnvironment"] for one in queue["computeEnvironmentOrder"]]
    assert order == [found["X86Spot"]["computeEnvironmentArn"], found["X86"]["computeEnvironmentArn"]]
    assert not queue.get("jobStateTimeLimitActions")
    assert queue["tags"]["cloudknot:stack"] == "cloudknot"


def test_nothing_comes_in_and_nothing_is_public(aws_box: Box) -> None:
    substrate = make_stack(keep_days=12)
    resources = environments(aws_box)["X86"]["computeResources"]
    [group] = aws_box.client("ec2").describe_security_groups(GroupIds=resources["securityGroupIds"])[
        "SecurityGroups"
    ]
    assert group["IpPermissions"] == []
    s3 = aws_box.client("s3")
    assert all(s3.get_public_access_block(Bucket=substrate.bucket)["PublicAccessBlockConfiguration"].values())
    [rule] = s3.get_bucket_encryption(Bucket=substrate.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    [statement] = json.loads(s3.get_bucket_policy(Bucket=substrate.bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    uploads, runs = s3.get_bucket_lifecycle_configuration(Bucket=substrate.bucket)["Rules"]
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert (runs["Filter"]["Prefix"], runs["Expiration"]["Days"]) == ("runs/", 12)


def test_the_function_may_read_and_write_runs_and_nothing_else(aws_box: Box) -> None:
    substrate = make_stack()
    tries = {
        "put": "s3.put_object(Bucket=B, Key='runs/r/x', Body=b'1')",
        "get": "s3.get_object(Bucket=B, Key='runs/r/x')",
        "list": "s3.list_objects_v2(Bucket=B, Prefix='runs/r/')",
        "delete": "s3.delete_object(Bucket=B, Key='runs/r/x')",
        "elsewhere": "s3.put_object(Bucket=B, Key='other')",
        "bundle": "s3.put_object(Bucket=B, Key='bundles/x')",
        "list all": "s3.list_objects_v2(Bucket=B)",
        "submit": "boto3.client('batch', 'us-east-1').describe_job_queues()",
    }
    lines = [f"import boto3; B = {substrate.bucket!r}; s3 = boto3.client('s3', 'us-east-1')"]
    for name, code in tries.items():
        lines.append(f"try:\n    {code}\nexcept Exception as e:\n    print('no:', {name!r})")
        lines.append(f"else:\n    print('yes:', {name!r})")
    definition = stand.register(aws_box, substrate, "python", "-c", "\n".join(lines))
    job = stand.finish(aws_box, stand.submit(aws_box, substrate.queues["x86"], definition))
    assert job["status"] == "SUCCEEDED", job.get("statusReason")
    said = stand.log_of(aws_box, substrate, job)
    assert [line for line in said if line.startswith("yes")] == ["yes: put", "yes: get", "yes: list"]
    assert len([line for line in said if line.startswith("no")]) == 5


def test_a_job_runs_in_each_queue(aws_box: Box) -> None:
    substrate = make_stack(add_pools=(parse_pool("instance_types=m5.large,volume_gib=50"), Pool(gpu=True)))
    public = {"networkConfiguration": {"assignPublicIp": "ENABLED"}}
    on_fargate = stand.register(aws_box, substrate, "echo", "ran", name="fargate", **public)
    on_machines = stand.register(aws_box, substrate, "echo", "ran")
    jobs = {
        key: stand.submit(aws_box, arn, on_fargate if key.startswith("fargate") else on_machines)
        for key, arn in substrate.queues.items()
    }
    assert len(jobs) == 15
    for key, job_id in jobs.items():
        job = stand.finish(aws_box, job_id)
        assert job["status"] == "SUCCEEDED", (key, job.get("statusReason"))
        assert stand.log_of(aws_box, substrate, job) == ["ran"]


def test_a_secret_is_given_to_jobs_where_the_stack_allows_it(aws_box: Box) -> None:
    create = aws_box.client("secretsmanager").create_secret
    secret, other = (create(Name=name, SecretString="a-b-c")["ARN"] for name in ("mine", "other"))
    substrate = make_stack(secret_arns=(secret,))

    def run(arn: str, name: str) -> dict[str, Any]:
        secrets = [{"name": "KEY", "valueFrom": arn}]
        definition = stand.register(aws_box, substrate, "sh", "-c", "echo $KEY", name=name, secrets=secrets)
        return stand.finish(aws_box, stand.submit(aws_box, substrate.queues["x86"], definition))

    assert stand.log_of(aws_box, substrate, run(secret, "one")) == ["a-b-c"]
    refused = run(other, "two")
    assert refused["status"] == "FAILED"
    assert "secretsmanager:GetSecretValue" in refused["statusReason"]


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_a_network_is_made_where_there_is_none_or_it_is_asked_for(aws_box: Box, is_asked_for: bool) -> None:
    if not is_asked_for:
        _remove_default_network(aws_box)
    assert make_stack(new_vpc=is_asked_for).assigns_public_ip
    resources, ec2 = environments(aws_box)["X86"]["computeResources"], aws_box.client("ec2")
    subnets = ec2.describe_subnets(SubnetIds=resources["subnets"])["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == len(subnets) >= 2
    [vpc_id] = {subnet["VpcId"] for subnet in subnets}
    assert not ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["IsDefault"]


def _remove_default_network(box: Box) -> None:
    ec2 = box.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc["VpcId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])


def test_what_an_institution_has_made_is_used_and_not_made(aws_box: Box) -> None:
    ec2, iam = aws_box.client("ec2"), aws_box.client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    job = stand.make_role(aws_box, "their-job", "ecs-tasks.amazonaws.com")
    start = stand.make_role(aws_box, "their-start", "ecs-tasks.amazonaws.com")
    stand.make_role(aws_box, "their-machine", "ec2.amazonaws.com")
    profile = iam.create_instance_profile(InstanceProfileName="theirs")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="theirs", RoleName="their-machine")
    aws_box.client("s3").create_bucket(Bucket="theirs")
    substrate = make_stack(
        stack="lab",
        bucket="theirs",
        vpc_id=vpc,
        subnet_ids=(subnet,),
        security_group_ids=(group,),
        job_role_arn=job,
        execution_role_arn=start,
        instance_profile_arn=profile,
        tags={"owner": "ada"},
    )
    assert (substrate.bucket, substrate.job_role_arn, substrate.execution_role_arn) == ("theirs", job, start)
    assert not substrate.assigns_public_ip
    resources = environments(aws_box)["X86"]["computeResources"]
    assert (resources["subnets"], resources["securityGroupIds"]) == ([subnet], [group])
    assert resources["instanceRole"] == profile
    assert resources["tags"] == {"Name": "lab", "owner": "ada", "cloudknot:stack": "lab"}
    kinds = {one["ResourceType"] for one in Stacks(here()).resources("lab")}
    assert not {kind for kind in kinds if "IAM" in kind or "S3" in kind or "SecurityGroup" in kind}


def test_roles_that_are_made_have_the_boundary(aws_box: Box) -> None:
    boundary = aws_box.client("iam").create_policy(
        PolicyName="most", PolicyDocument=json.dumps(allow("s3:*", "logs:*", "ecr:*"))
    )["Policy"]["Arn"]
    reads = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    make_stack(permissions_boundary=boundary, job_policy_arns=(reads,))
    roles = {
        one["LogicalResourceId"]: one["PhysicalResourceId"]
        for one in Stacks(here()).resources("cloudknot")
        if one["ResourceType"] == "AWS::IAM::Role"
    }
    iam = aws_box.client("iam")
    for name in roles.values():
        assert (
            iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
        )
    [attached] = iam.list_attached_role_policies(RoleName=roles["JobRole"])["AttachedPolicies"]
    assert attached["PolicyArn"] == reads


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"subnet_ids": ("subnet-0123",)}, "no subnet subnet-0123 in us-east-1: name others"),
        ({"vpc_id": "vpc-0123"}, "no subnets in vpc-0123"),
        ({"security_group_ids": ("sg-0123",)}, "no security group sg-0123"),
        ({"new_vpc": True, "subnet_ids": ("subnet-0123",)}, "leave out one of the two"),
        ({"remove_pools": ("gpu",)}, "no pool gpu"),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_made(
    aws_box: Box, wishes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_stack(**wishes)
    assert aws_box.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_a_bucket_of_somebody_else_or_elsewhere_is_refused(aws_box: Box) -> None:
    aws_box.client("s3", region_name="eu-west-1").create_bucket(
        Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    with pytest.raises(InputError, match="the bucket far is in eu-west-1, and jobs run in us-east-1"):
        make_stack(bucket="far")


def test_a_plan_says_what_would_be_done_and_leaves_nothing(aws_box: Box) -> None:
    bootstrap = Bootstrap(here(), sleep=settle)
    proposal = bootstrap.propose(Wishes())
    lines = proposal.describe()
    bootstrap.drop(proposal)
    assert "add an image repository: Repository" in lines
    assert any(line.startswith("add job queues: X86Queue, X86SpotQueue, X86PreferQueue") for line in lines)
    assert any("runs are kept for 90 days" in line for line in lines)
    assert any("none while nothing runs" in line for line in lines)
    assert read_stack(here(), "cloudknot") is None
    make_stack()
    again = bootstrap.propose(Wishes())
    assert again.change_set is None
    assert again.describe() == ["the stack cloudknot is so already: nothing would change"]


def test_a_change_is_shown_and_keeps_what_was_not_named(aws_box: Box) -> None:
    before = make_stack(max_vcpus=64, tags={"owner": "ada"})
    bootstrap = Bootstrap(here(), sleep=settle)
    pool = parse_pool("instance_types=c5.large,volume_gib=200")
    proposal = bootstrap.propose(Wishes(add_pools=(pool,), remove_pools=("arm64",)))
    lines = proposal.describe()
    assert "add templates of machines: Machines200" in lines
    assert any(line.startswith("remove compute environments: Arm64") for line in lines)
    after = bootstrap.carry_out(proposal)
    assert {*after.queues} - {*before.queues} == {pool.key, f"{pool.key}-spot", f"{pool.key}-prefer"}
    assert {*before.queues} - {*after.queues} == {"arm64", "arm64-spot", "arm64-prefer"}
    assert after.queues["x86"] == before.queues["x86"]
    assert after.tags == before.tags
    assert environments(aws_box)["X86"]["computeResources"]["maxvCpus"] == 64
    with pytest.raises(InputError, match="has the bucket cloudknot-123456789012-us-east-1, which holds"):
        make_stack(bucket="another")


def test_pools_are_refused_near_the_quota_of_the_region(aws_box: Box) -> None:
    substrate = make_stack()
    batch = aws_box.client("batch")
    [environment] = batch.describe_job_queues(jobQueues=[substrate.queues["x86"]])["jobQueues"][0][
        "computeEnvironmentOrder"
    ]
    for number in range(40):
        batch.create_job_queue(
            jobQueueName=f"theirs-{number}", priority=1, computeEnvironmentOrder=[environment]
        )
    with pytest.raises(
        InputError, match="need 12 job queues for its 4 pools, us-east-1 has 40 others"
    ) as caught:
        make_stack(add_pools=(Pool(gpu=True),))
    assert "AWS allows 50 a region: remove pools with --remove-pool" in str(caught.value)
    with pytest.raises(InputError, match="need 12 job queues for its 4 pools"):
        make_stack(add_pools=(Pool(gpu=True),), remove_pools=("fargate",))  # the new ones are made first
    make_stack(max_vcpus=32)


def test_a_stack_that_fails_says_why_in_awss_words_and_leaves_nothing(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = allow("cloudformation:*", "ec2:*", "s3:*", "sts:*", "batch:*", "ecr:*", "logs:*")
    stand.become(aws_box, monkeypatch, "ada", most)
    with pytest.raises(AwsError, match=r"JobRole \(AWS::IAM::Role\): .*iam:CreateRole") as caught:
        make_stack()
    assert "the stack could not be made" in str(caught.value)
    assert "nothing is left of it" in str(caught.value)
    assert read_stack(here(), "cloudknot") is None
    assert aws_box.client("ecr").describe_repositories()["repositories"] == []
    assert aws_box.client("s3").list_buckets()["Buckets"] == []


def test_a_change_that_fails_leaves_the_stack_as_it_was(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_stack()
    denied = {"Effect": "Deny", "Action": "batch:CreateJobQueue", "Resource": "*"}
    all_but = {"Version": "2012-10-17", "Statement": [*allow("*")["Statement"], denied]}
    stand.become(aws_box, monkeypatch, "ada", all_but)
    with pytest.raises(AwsError, match=r"Gpu.*Queue \(AWS::Batch::JobQueue\).*; it is as it was before"):
        make_stack(add_pools=(Pool(gpu=True),))
    assert read_substrate(here(), "cloudknot") == before


def test_what_a_killed_try_has_left_is_removed_before_the_next(aws_box: Box) -> None:
    aws_box.client("cloudformation").create_stack(
        StackName="cloudknot",
        TemplateBody=json.dumps(
            {"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "z" * 81}}}}
        ),
    )
    described = read_stack(here(), "cloudknot")
    assert described is not None
    assert described["StackStatus"] == "ROLLBACK_COMPLETE"
    assert make_stack().queues


def test_a_stack_is_made_while_aws_throttles(aws_box: Box) -> None:
    aws_box.add_fault(Throttle(service="cloudformation", share=0.3, times=6))
    assert make_stack().queues


def test_a_person_needs_these_permissions_and_no_others(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.become(aws_box, monkeypatch, "ada", *NEEDED)
    make_stack(add_pools=(Pool(gpu=True),))
    make_stack(stack="cloudknot-two", new_vpc=True)
    make_stack(max_vcpus=16)


NEEDED = (
    allow("cloudformation:*", resource="arn:aws:cloudformation:*:*:stack/cloudknot*/*"),
    allow("s3:*", resource="arn:aws:s3:::cloudknot*"),
    allow("ecr:*", resource="arn:aws:ecr:*:*:repository/cloudknot*"),
    allow("logs:*", resource="arn:aws:logs:*:*:log-group:/cloudknot/*"),
    allow("iam:*", resource="arn:aws:iam::*:role/cloudknot*"),
    allow("iam:*", resource="arn:aws:iam::*:instance-profile/cloudknot*"),
    allow("batch:*", "ec2:*", "logs:DescribeLogGroups", "sts:GetCallerIdentity", "tag:GetResources"),
)


def test_a_request_whose_answer_is_lost_is_no_failure(aws_box: Box) -> None:
    for operation in ("CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "DeleteStack"):
        aws_box.add_fault(
            ResetConnection(service="cloudformation", operation=operation, moment="answer", times=1)
        )
    bootstrap = Bootstrap(here(), sleep=settle)
    bootstrap.drop(bootstrap.propose(Wishes()))
    assert make_stack().queues
    assert [fault.struck for fault in aws_box.faults()] == [1, 1, 1, 1]
