"""Whether machines have a way to the services that they need: ECR, S3, CloudWatch Logs, ECS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cloudknot.aws.findings import Check, Finding, Level, failed
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate

Reply = Mapping[str, Any]

# Without a way to the internet: ECR user guide, "interface VPC endpoints"; ECS developer guide likewise.
_NEEDED = frozenset({"ecr.api", "ecr.dkr", "s3", "logs"})
_NEEDED_BY_MACHINES = frozenset({"ecs", "ecs-agent", "ecs-telemetry"})
_ANYWHERE = "0.0.0.0/0"
_ROUTE_CURE = (
    "a route to an internet or NAT gateway for it, or other subnets: 'cloudknot configure --subnet ...' "
    "or --new-vpc"
)


class Network(NamedTuple):
    """What EC2 says of the subnets of machines, and of what is around them."""

    subnets: Sequence[Reply]
    tables: Sequence[Reply]
    endpoints: Sequence[Reply]
    groups: Sequence[Reply]


def check_network(aws: Aws, environments: Sequence[Reply], substrate: Substrate) -> Iterator[Check]:
    """Yield whether there is a way out of each subnet where machines are started."""
    resources = [one["computeResources"] for one in environments]
    network = read_network(
        aws,
        subnet_ids=sorted({subnet for one in resources for subnet in one.get("subnets", ())}),
        group_ids=sorted({group for one in resources for group in one.get("securityGroupIds", ())}),
    )
    on_machines = {
        subnet
        for one in resources
        if not str(one["type"]).startswith("FARGATE")
        for subnet in one.get("subnets", ())
    }
    yield from judge_network(network, on_machines=on_machines, has_public_ip=substrate.assigns_public_ip)


def read_network(aws: Aws, *, subnet_ids: Sequence[str], group_ids: Sequence[str]) -> Network:
    """Ask EC2 for subnets and what is around them."""
    by_id = [{"Name": "subnet-id", "Values": list(subnet_ids)}]
    subnets = list(aws.pages("ec2", "describe_subnets", "Subnets", Filters=by_id))
    vpcs = [{"Name": "vpc-id", "Values": sorted({subnet["VpcId"] for subnet in subnets})}]
    groups = [{"Name": "group-id", "Values": list(group_ids)}]
    return Network(
        subnets=subnets,
        tables=list(aws.pages("ec2", "describe_route_tables", "RouteTables", Filters=vpcs)),
        endpoints=list(aws.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=vpcs)),
        groups=list(aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=groups)),
    )


def judge_network(network: Network, *, on_machines: set[str], has_public_ip: bool) -> Iterator[Check]:
    """Yield what is wrong with the way out, else that all is well. Pure.

    Parameters
    ----------
    network : Network
        What EC2 says.
    on_machines : set of str
        The subnets in which EC2's machines are started, and not only Fargate's containers.
    has_public_ip : bool
        Whether Fargate's containers get an address of their own.
    """
    alike: dict[tuple[Level, str, str], list[str]] = {}
    for subnet in network.subnets:
        is_for_machines = subnet["SubnetId"] in on_machines
        has_address = bool(subnet.get("MapPublicIpOnLaunch") if is_for_machines else has_public_ip)
        judged = _judge_subnet(subnet, network, is_for_machines=is_for_machines, has_address=has_address)
        alike.setdefault(judged, []).append(str(subnet["SubnetId"]))
    for (level, sentence, cure), names in alike.items():
        finding = Finding(sentence=f"{', '.join(names)}: {sentence}", cure=cure)
        yield Check(name="network", level=level, finding=finding)
    for group in network.groups:
        if not group.get("IpPermissionsEgress"):
            cure = "a rule that lets out HTTPS (443) to anywhere"
            yield failed("network", f"the security group {group['GroupId']} lets nothing out", cure)


def table_of(subnet: Reply, tables: Sequence[Reply]) -> Reply | None:
    """Return the route table of a subnet: its own, else its network's main one."""
    main = None
    for table in tables:
        for one in table.get("Associations", ()):
            if one.get("SubnetId") == subnet["SubnetId"]:
                return table
            if one.get("Main") and table.get("VpcId") == subnet["VpcId"]:
                main = table
    return main


def way_out(table: Reply | None) -> str:
    """Return through what a route table leads to anywhere; empty where it does not.

    Examples
    --------
    >>> way_out({"Routes": [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}]})
    'igw-1'
    """
    for route in table.get("Routes", ()) if table else ():
        if route.get("DestinationCidrBlock") == _ANYWHERE and route.get("State") != "blackhole":
            for target in (
                "GatewayId",
                "NatGatewayId",
                "TransitGatewayId",
                "NetworkInterfaceId",
                "InstanceId",
            ):
                if route.get(target):
                    return str(route[target])
            return "another target"
    return ""


def _judge_subnet(
    subnet: Reply, network: Network, *, is_for_machines: bool, has_address: bool
) -> tuple[Level, str, str]:
    """Return how a subnet's way out is: the level, the words, and the cure."""
    table = table_of(subnet, network.tables)
    way = way_out(table)
    if way.startswith("igw-") and not has_address:
        return (
            Level.FAILED,
            f"machines there get no public address, without which {way} lets nothing out",
            "switch on the subnet's auto-assign of public IPv4 addresses, or use a NAT gateway",
        )
    if way:
        return Level.OK, f"a way out by {way}", ""
    there = {
        str(one["ServiceName"]).partition("amazonaws.")[2].partition(".")[2]
        for one in network.endpoints
        if one.get("State", "available") == "available" and _reaches(one, subnet, table)
    }
    missing = sorted((_NEEDED | (_NEEDED_BY_MACHINES if is_for_machines else set())) - there)
    if not missing:
        return Level.OK, "no way to the internet, and endpoints for all that is needed", ""
    sentence = f"no way to the internet, and no endpoint for {', '.join(missing)}"
    return Level.FAILED, f"{sentence}: machines there cannot pull images or reach runs", _ROUTE_CURE


def _reaches(endpoint: Reply, subnet: Reply, table: Reply | None) -> bool:
    if endpoint.get("VpcId") != subnet["VpcId"]:
        return False
    if endpoint.get("VpcEndpointType") != "Gateway":
        return True  # an interface in one subnet is reached from all of its network
    return table is not None and table["RouteTableId"] in endpoint.get("RouteTableIds", ())
