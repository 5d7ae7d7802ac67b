"""What a stack shall be: its parameters and its template, from what a person wants. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cloudknot.arches import ARM
from cloudknot.aws.pools import Pool, logical_name
from cloudknot.aws.substrate import DISK_GIB, MAX_VCPUS, STACK_TAG, read_parameters, read_pools, read_tags
from cloudknot.errors import InputError
from cloudknot.templates import render_template

# CloudFormation refuses longer ones that come in the request, and longer parameters.
MAX_TEMPLATE_BYTES = 51_200
MAX_PARAMETER_BYTES = 4_096
STANDARD_POOLS = (Pool(), Pool(arch=ARM), Pool(fargate=True))
# CloudWatch Logs takes these only.
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922)
# Stack names become names of ECR repositories and, with account and region, of buckets.
_STACK = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,31}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEEP_IMAGES = 300
_MAX_ZONES = 6
_MAX_TAGS = 40


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where machines are started; all of it is made where no VPC is named.

    Parameters
    ----------
    vpc_id : str
        Empty for one that is made.
    subnet_ids, security_group_ids : tuple of str
        In that VPC; without security groups one is made.
    assigns_public_ip : bool
        Whether Fargate's containers need an address of their own to reach AWS.
    zones : tuple of str
        Of the network that is made.
    """

    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    assigns_public_ip: bool = True
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What a stack shall be.

    Parameters
    ----------
    stack : str
        Its name.
    bucket : str
        Holds the runs.
    network : Network
        Where machines are started.
    pools : tuple of Pool
        The kinds of machines.
    makes_bucket, keeps_bucket : bool
        Whether the bucket is the stack's own, and whether it outlives it.
    max_vcpus : int
        The most processors of each compute environment.
    volume_gib : int
        The disk of a machine, where its pool says nothing else.
    gpu_types : tuple of str
        EC2's types for GPUs, where a pool says nothing else.
    keep_days, log_days : int
        Days after which runs (0: never) and log lines are removed.
    job_role_arn, execution_role_arn, instance_profile_arn : str
        Empty for those that are made.
    job_policy_arns, secret_arns : tuple of str
        What functions may do beside reading and writing runs, and secrets that they may be given.
    permissions_boundary : str
        Of the roles that are made.
    tags : mapping
        On all that the stack has, beside its own tag.

    Raises
    ------
    InputError
        A value will not do.
    """

    stack: str
    bucket: str
    network: Network
    pools: tuple[Pool, ...] = STANDARD_POOLS
    makes_bucket: bool = True
    keeps_bucket: bool = False
    max_vcpus: int = MAX_VCPUS
    volume_gib: int = DISK_GIB
    gpu_types: tuple[str, ...] = ("g4dn",)
    keep_days: int = 90
    log_days: int = 90
    job_role_arn: str = ""
    execution_role_arn: str = ""
    instance_profile_arn: str = ""
    job_policy_arns: tuple[str, ...] = ()
    secret_arns: tuple[str, ...] = ()
    permissions_boundary: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_stack(self.stack)
        check_bucket_name(self.bucket)
        if self.log_days not in LOG_DAYS:
            raise InputError(f"log_days must be one of {', '.join(map(str, LOG_DAYS))}, not {self.log_days}")
        if len(self.tags) > _MAX_TAGS:
            raise InputError(f"there are {len(self.tags)} tags, and AWS takes {_MAX_TAGS} beside its own")
        for name in self.tags:
            if name.startswith(("aws:", "cloudknot:")):
                raise InputError(f"tag {name!r} will not do: names with 'aws:' and 'cloudknot:' are taken")
        for kind, option, arns in (
            ("role", "job-role", (self.job_role_arn,)),
            ("role", "execution-role", (self.execution_role_arn,)),
            ("instance-profile", "instance-profile", (self.instance_profile_arn,)),
            ("policy", "permissions-boundary", (self.permissions_boundary,)),
            ("policy", "job-policy", self.job_policy_arns),
        ):
            check_arns(kind, option, arns)
        object.__setattr__(self, "pools", tuple({pool.key: pool for pool in self.pools}.values()))

    @property
    def all_tags(self) -> dict[str, str]:
        """Return the tags with the stack's own."""
        return {**self.tags, STACK_TAG: self.stack}

    @property
    def parameters(self) -> dict[str, str]:
        """Return the values of the template's parameters.

        Raises
        ------
        InputError
            There are too many pools.
        """
        pools = json.dumps([pool.to_json() for pool in self.pools], separators=(",", ":"))
        if len(pools) > MAX_PARAMETER_BYTES:
            raise InputError("there are too many special pools: remove some with --remove-pool")
        lists = {
            "GpuTypes": self.gpu_types,
            "SubnetIds": self.network.subnet_ids,
            "SecurityGroupIds": self.network.security_group_ids,
            "Zones": self.network.zones,
            "JobPolicyArns": self.job_policy_arns,
            "SecretArns": self.secret_arns,
        }
        return {
            "Pools": pools,
            "MaxvCpus": str(self.max_vcpus),
            "VolumeGib": str(self.volume_gib),
            "VpcId": self.network.vpc_id,
            "AssignPublicIp": "ENABLED" if self.network.assigns_public_ip else "DISABLED",
            "Bucket": self.bucket,
            "MakesBucket": "yes" if self.makes_bucket else "no",
            "KeepsBucket": "yes" if self.keeps_bucket else "no",
            "KeepDays": str(self.keep_days),
            "LogDays": str(self.log_days),
            "JobRoleArn": self.job_role_arn,
            "ExecutionRoleArn": self.execution_role_arn,
            "InstanceProfileArn": self.instance_profile_arn,
            "PermissionsBoundary": self.permissions_boundary,
            **{name: ",".join(values) for name, values in lists.items()},
        }

    @property
    def template(self) -> str:
        """Return the template.

        Raises
        ------
        InputError
            It is longer than CloudFormation takes.
        """
        text = render_template(
            "substrate.yaml.jinja",
            pools=[self._rendered(pool) for pool in self.pools],
            volumes=self._volumes(),
            zones=self.network.zones[:_MAX_ZONES],
            subnets=_subnets(self.network),
            keeps_bucket=self.keeps_bucket,
            keep_days=self.keep_days,
            keep_images=_KEEP_IMAGES,
            tag_list=_flow([{"Key": name, "Value": value} for name, value in self.all_tags.items()]),
            machine_tags=_flow({"Name": self.stack, **self.all_tags}),
        ).decode()
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        body = "\n".join(lines) + "\n"
        if len(body.encode()) > MAX_TEMPLATE_BYTES:
            raise InputError(
                f"the stack {self.stack} would have {len(self.pools)} pools, more than a template can hold: "
                "remove some with --remove-pool, or put some into another stack with --stack"
            )
        return body

    def _volumes(self) -> list[dict[str, Any]]:
        sizes = {pool.volume_gib for pool in self.pools if not pool.fargate}
        return [{"logical": _volume(gib), "gib": gib} for gib in sorted(sizes, key=lambda gib: gib or 0)]

    def _rendered(self, pool: Pool) -> dict[str, Any]:
        types = pool.instance_types or (self.gpu_types if pool.gpu else (f"default_{pool.arch}",))
        return {
            "logical": logical_name(pool),
            "fargate": pool.fargate,
            "bid_percentage": pool.bid_percentage,
            "instance_types": _flow(list(types)),
            "image_type": _image_type(pool),
            "volume": _volume(pool.volume_gib),
        }


def blueprint_of(described: Mapping[str, Any]) -> Blueprint:
    """Return what a stack is, from CloudFormation's description of it.

    Raises
    ------
    InputError
        It is no stack of cloudknot's.
    """
    values = read_parameters(described)
    stack = str(described["StackName"])
    if not {"Pools", "Bucket"} <= values.keys():
        raise InputError(f"there is a stack {stack} that is not cloudknot's: name another one with --stack")
    network = Network(
        vpc_id=values.get("VpcId", ""),
        subnet_ids=_split(values.get("SubnetIds", "")),
        security_group_ids=_split(values.get("SecurityGroupIds", "")),
        assigns_public_ip=values.get("AssignPublicIp") != "DISABLED",
        zones=_split(values.get("Zones", "")),
    )
    # A stack of an earlier version may lack some of these: they are then as by default.
    said = {field: read(values[name]) for name, (field, read) in _READ.items() if name in values}
    tags = {name: value for name, value in read_tags(described).items() if name != STACK_TAG}
    return Blueprint(stack=stack, network=network, pools=read_pools(described), tags=tags, **said)


def with_pools(blueprint: Blueprint, *, add: Iterable[Pool] = (), remove: Iterable[str] = ()) -> Blueprint:
    """Return a blueprint with some pools more, and without those of these keys.

    Raises
    ------
    InputError
        It has no pool of such a key.
    """
    gone = set(remove)
    if unknown := sorted(gone - {pool.key for pool in blueprint.pools}):
        have = ", ".join(pool.key for pool in blueprint.pools)
        raise InputError(f"the stack {blueprint.stack} has no pool {', '.join(unknown)}: it has {have}")
    kept = [pool for pool in blueprint.pools if pool.key not in gone]
    return replace(blueprint, pools=(*kept, *add))


def check_stack(name: str) -> str:
    """Return the name if a stack can have it.

    Raises
    ------
    InputError
        It has other characters, or too many.
    """
    if not _STACK.fullmatch(name):
        raise InputError(
            f"stack {name!r} will not do: use 2 to 32 of a-z, 0-9 and single '-', with a letter first"
        )
    return name


def check_bucket_name(name: str) -> str:
    """Return the name if a bucket can have it.

    Raises
    ------
    InputError
        It has other characters, or too many.
    """
    if not _BUCKET.fullmatch(name):
        raise InputError(f"bucket {name!r} will not do: use 3 to 63 of a-z, 0-9, '-' and '.'")
    return name


def check_arns(kind: str, option: str, arns: Iterable[str]) -> None:
    """Refuse what is no ARN of IAM's; an empty one stands for what is made.

    Raises
    ------
    InputError
        One is something else.
    """
    for arn in filter(None, arns):
        if not re.fullmatch(rf"arn:[a-z-]+:iam::(\d{{12}}|aws)?:{kind}/\S+", arn):
            raise InputError(
                f"--{option} {arn!r} will not do: write an ARN such as arn:aws:iam::123456789012:{kind}/name"
            )


def _image_type(pool: Pool) -> str:
    # AWS's image with GPU drivers is for x86 alone (Batch API reference, Ec2Configuration).
    return "ECS_AL2023_NVIDIA" if pool.gpu and pool.arch != ARM else "ECS_AL2023"


def _volume(gib: int | None) -> str:
    return f"Machines{gib or ''}"


def _subnets(network: Network) -> str:
    made = [f"!Ref Subnet{number}" for number in range(len(network.zones[:_MAX_ZONES]))]
    return f"!If [MakesVpc, [{', '.join(made)}], !Ref SubnetIds]" if made else "!Ref SubnetIds"


def _flow(value: object) -> str:
    # JSON is YAML, if its strings hold no characters that YAML's do not.
    return json.dumps(value, ensure_ascii=True)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _is_yes(text: str) -> bool:
    return text == "yes"


# A parameter of the template: the field of a blueprint that it holds, and how it is read.
_READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "Bucket": ("bucket", str),
    "MakesBucket": ("makes_bucket", _is_yes),
    "KeepsBucket": ("keeps_bucket", _is_yes),
    "MaxvCpus": ("max_vcpus", int),
    "VolumeGib": ("volume_gib", int),
    "GpuTypes": ("gpu_types", _split),
    "KeepDays": ("keep_days", int),
    "LogDays": ("log_days", int),
    "JobRoleArn": ("job_role_arn", str),
    "JobPolicyArns": ("job_policy_arns", _split),
    "ExecutionRoleArn": ("execution_role_arn", str),
    "InstanceProfileArn": ("instance_profile_arn", str),
    "SecretArns": ("secret_arns", _split),
    "PermissionsBoundary": ("permissions_boundary", str),
}
