"""What a stack offers to jobs: pools, queues, and reading it all at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudknot.arches import arch_of_instance_type
from cloudknot.aws.blueprint import Blueprint, Network, blueprint_of, with_pools
from cloudknot.aws.pools import Pool, parse_pool, pool_of, queue_key
from cloudknot.aws.substrate import Substrate, read_substrate, substrate_of
from cloudknot.errors import InputError, NotConfiguredError
from cloudknot.specs import Resources
from cloudknot.testing import Box
from tests.aws.stand import REGION, here, make_stack

NETWORK = Network(vpc_id="vpc-1", subnet_ids=("subnet-1", "subnet-2"))
QUEUES = {key: f"arn:{key}" for key in ("x86", "x86-spot", "x86-prefer", "fargate-spot", "gpu")}


def substrate(**fields: Any) -> Substrate:
    plain = {
        "stack": "cloudknot",
        "account_id": "1",
        "region": REGION,
        "bucket": "b",
        "repository_uri": "r",
        "job_role_arn": "j",
        "execution_role_arn": "e",
        "log_group": "l",
        "queues": QUEUES,
    }
    return Substrate(**{**plain, **fields})


@pytest.mark.parametrize(
    ("resources", "key"),
    [
        (Resources(), "x86"),
        (Resources(spot=True), "x86-spot"),
        (Resources(spot="prefer", vcpus=4), "x86-prefer"),
        (Resources(fargate=True, spot=True), "fargate-spot"),
        (Resources(fargate=True, spot=True, arch="arm64", volume_gib=50), "fargate-spot"),
        (Resources(gpus=2), "gpu"),
    ],
)
def test_resources_have_a_queue(resources: Resources, key: str) -> None:
    assert substrate().queue_for(resources) == f"arn:{key}"


@pytest.mark.parametrize(
    ("resources", "command"),
    [
        (Resources(arch="arm64"), "'cloudknot configure --pool arch=arm64' adds it"),
        (
            Resources(instance_types=("m5", "c5"), volume_gib=200),
            "'cloudknot configure --pool instance_types=c5+m5,volume_gib=200' adds it",
        ),
        (Resources(bid_percentage=40), "'cloudknot configure --pool bid_percentage=40' adds it"),
        (Resources(gpus=1, instance_types=("p4d",)), "gpu=yes,instance_types=p4d' adds it"),
    ],
)
def test_resources_without_a_queue_name_the_command_that_adds_it(resources: Resources, command: str) -> None:
    with pytest.raises(InputError, match="has no queue") as caught:
        substrate().queue_for(resources)
    assert command in str(caught.value)
    text = str(caught.value).rpartition("--pool ")[2].partition("'")[0]
    assert parse_pool(text) == pool_of(resources)


def test_the_command_names_a_stack_that_is_not_the_usual_one() -> None:
    with pytest.raises(InputError, match="cloudknot configure --stack lab --pool arch=arm64"):
        substrate(stack="lab").queue_for(Resources(arch="arm64"))


LAB = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/lab/key"


@pytest.mark.parametrize(
    ("allowed", "arn"),
    [
        ((f"{LAB}-a1b2c3",), f"{LAB}-a1b2c3"),
        ((f"{LAB}-a1b2c3",), f"{LAB}-a1b2c3:password::"),
        ((f"{LAB}-a1b2c3",), LAB),
        ((PARAMETER, f"{LAB}*"), f"{LAB}-a1b2c3"),
        ((PARAMETER,), PARAMETER),
        (None, PARAMETER),  # the role is somebody else's, who knows
    ],
)
def test_secrets_that_the_stack_may_hand_out_are_taken(allowed: tuple[str, ...] | None, arn: str) -> None:
    substrate(secret_arns=allowed).check(Resources(secrets={"KEY": arn}))


@pytest.mark.parametrize(
    ("allowed", "arn", "named"),
    [
        ((), f"{LAB}-a1b2c3:password::", f"{LAB}-a1b2c3"),
        ((f"{LAB}-a1b2c3",), f"{LAB}oratory-d4e5f6", f"{LAB}oratory-d4e5f6"),
        ((f"{PARAMETER}s",), PARAMETER, PARAMETER),
    ],
)
def test_a_secret_that_the_stack_may_not_hand_out_names_the_command_that_allows_it(
    allowed: tuple[str, ...], arn: str, named: str
) -> None:
    with pytest.raises(InputError, match="may not be given the secret KEY") as caught:
        substrate(stack="lab", secret_arns=allowed).check(Resources(secrets={"KEY": arn}))
    assert f"'cloudknot configure --stack lab --secret {named}' allows it" in str(caught.value)


def test_more_processors_than_the_stack_ever_has_are_refused() -> None:
    substrate(max_vcpus=64).check(Resources(vcpus=64))
    with pytest.raises(
        InputError, match=r"vcpus=65 is more than .* 64: ask for less, or 'cloudknot configure"
    ):
        substrate(max_vcpus=64).check(Resources(vcpus=65))


def test_instance_types_say_which_processors_they_have() -> None:
    names = {"c7g": "arm64", "g4dn.xlarge": "x86_64", "x2gd.metal": "arm64", "u-6tb1.metal": "x86_64"}
    for name, arch in {**names, "m6i-flex.large": "x86_64", "im4gn.large": "arm64"}.items():
        assert arch_of_instance_type(name) == arch
    assert pool_of(Resources(instance_types=("c7g", "m7g"))).arch == "arm64"
    with pytest.raises(InputError, match=r"one architecture, and c5 is x86_64, c7g is arm64"):
        pool_of(Resources(instance_types=("c7g", "c5")))
    with pytest.raises(InputError, match="instance type c5 is x86_64, and arm64 is asked for"):
        pool_of(Resources(instance_types=("c5",), arch="arm64"))


def test_the_order_of_instance_types_makes_no_other_pool() -> None:
    one, other = Pool(instance_types=("c5", "m5")), Pool(instance_types=("m5", "c5", "c5"))
    assert one == other
    assert one.key == other.key
    assert Pool(instance_types=("c5",), volume_gib=30).key != Pool(instance_types=("c5",)).key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c5.large", "write NAME=VALUE, with NAME one of arch, gpu"),
        ("volume_gib=big", "write a whole number"),
        ("volume_gib=8", "volume_gib must be from 30 to 16384, not 8"),
        ("bid_percentage=0", "bid_percentage must be from 1 to 100, not 0"),
        ("arch=sparc", "arch must be one of x86_64, arm64"),
        ("gpu=maybe", "write yes or no"),
        ("fargate=yes,volume_gib=50", "Fargate has no GPUs"),
        ("gpu=yes,arch=arm64", "need instance_types, such as g5g"),
        ("instance_types=Large", "use EC2's names, such as c5.large"),
    ],
)
def test_a_pool_that_will_not_do_says_why(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_pool(text)


def blueprint(**fields: Any) -> Blueprint:
    return Blueprint(**{"stack": "lab", "bucket": "lab-bucket", "network": NETWORK, **fields})


def described(plan: Blueprint) -> dict[str, Any]:
    return {
        "StackName": plan.stack,
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in plan.parameters.items()],
        "Tags": [{"Key": key, "Value": value} for key, value in plan.all_tags.items()],
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"network": Network(zones=("a", "b")), "keeps_bucket": True, "makes_bucket": False},
        {"pools": (Pool(), Pool(gpu=True), parse_pool("instance_types=c7g,volume_gib=99"))},
        {
            "secret_arns": ("arn:a", "arn:b"),
            "job_policy_arns": ("arn:aws:iam::aws:policy/p",),
            "tags": {"owner": "ada"},
        },
        {
            "job_role_arn": "arn:aws:iam::123456789012:role/j",
            "permissions_boundary": "arn:aws:iam::aws:policy/b",
            "keep_days": 0,
            "log_days": 1,
        },
    ],
)
def test_a_stack_tells_what_it_was_made_from(fields: dict[str, Any]) -> None:
    assert blueprint_of(described(blueprint(**fields))) == blueprint(**fields)


def test_a_stack_of_an_earlier_version_is_read_with_our_defaults() -> None:
    old = described(blueprint(log_days=30))
    old["Parameters"] = [one for one in old["Parameters"] if one["ParameterKey"] != "LogDays"]
    assert blueprint_of(old).log_days == Blueprint.log_days


def test_a_foreign_stack_is_left_alone() -> None:
    with pytest.raises(InputError, match="a stack web that is not cloudknot's"):
        blueprint_of({"StackName": "web", "Parameters": []})
    outputs = {"StackName": "web", "StackId": "arn:aws:cloudformation:us-east-1:1:stack/web/1"}
    with pytest.raises(NotConfiguredError, match="not cloudknot's"):
        substrate_of(outputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stack": "Lab"}, "stack 'Lab' will not do"),
        ({"stack": "lab--x"}, "will not do"),
        ({"stack": "x" * 33}, "will not do"),
        ({"bucket": "My_Bucket"}, "bucket 'My_Bucket' will not do"),
        ({"log_days": 91}, "log_days must be one of 1, 3"),
        ({"tags": {"aws:x": "y"}}, "tag 'aws:x' will not do"),
        ({"tags": {f"t{number}": "" for number in range(41)}}, "41 tags"),
    ],
)
def test_a_blueprint_that_will_not_do_says_why(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        blueprint(**fields)


def test_pools_are_added_once_and_removed_by_name() -> None:
    special = parse_pool("instance_types=c5")
    more = with_pools(blueprint(pools=(Pool(),)), add=(special, special, Pool()))
    assert [pool.key for pool in more.pools] == ["x86", special.key]
    assert with_pools(more, remove=("x86",)).pools == (special,)
    with pytest.raises(InputError, match="no pool gpu: it has x86"):
        with_pools(blueprint(pools=(Pool(),)), remove=("gpu",))


def test_more_pools_than_a_template_holds_are_refused() -> None:
    pools = tuple(parse_pool(f"volume_gib={gib}") for gib in range(30, 60))
    with pytest.raises(InputError, match="30 pools, more than a template can hold: remove some"):
        _ = blueprint(pools=pools).template


def test_a_template_of_all_kinds_is_small_enough_to_be_sent() -> None:
    pools = (Pool(), Pool(arch="arm64"), Pool(fargate=True), Pool(gpu=True))
    special = tuple(
        parse_pool(f"instance_types=c{n}i.large+m{n}i.large,volume_gib={n}0") for n in range(3, 9)
    )
    text = blueprint(pools=(*pools, *special), tags={"owner": 'a "b" é'}).template
    assert len(text.encode()) < 51_200
    assert "#" not in text


def test_what_a_stack_offers_is_read_by_one_request(aws_box: Box) -> None:
    made = make_stack()
    first = aws_box.calls()[-1].number
    read = read_substrate(here(), "cloudknot")
    assert [call.operation for call in aws_box.calls(first)] == ["DescribeStacks"]
    assert read == made
    assert {queue_key(pool, spot) for pool in made.pools for spot in (False, True, "prefer")} == set(
        read.queues
    )
    assert read.bucket == "cloudknot-123456789012-us-east-1"
    assert read.tags == {"cloudknot:stack": "cloudknot"}
    assert read.assigns_public_ip
    assert (read.max_vcpus, read.volume_gib, read.secret_arns) == (256, 100, ())
    for arn in read.queues.values():
        assert (
            aws_box.client("batch").describe_job_queues(jobQueues=[arn])["jobQueues"][0]["state"] == "ENABLED"
        )


def test_a_stack_that_is_not_there_names_the_command_that_makes_it(aws_box: Box) -> None:
    with pytest.raises(NotConfiguredError, match="the stack cloudknot in us-east-1 is not there") as caught:
        read_substrate(here(), "cloudknot")
    assert "'cloudknot configure --region us-east-1' makes it" in str(caught.value)
    aws_box.client("cloudformation").create_stack(
        StackName="lab", TemplateBody=json.dumps({"Resources": {"A": {"Type": "AWS::SNS::Topic"}}})
    )
    with pytest.raises(NotConfiguredError, match="not cloudknot's"):
        read_substrate(here(), "lab")


pytestmark = pytest.mark.aws_box(executor="process")
