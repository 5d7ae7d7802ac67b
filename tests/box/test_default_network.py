"""The network that is there when an account is new."""

import pytest

from cloudknot.testing import Box

pytestmark = pytest.mark.aws_box(executor="process")


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_the_default_vpc_has_a_way_out(aws_box: Box, region: str) -> None:
    ec2 = aws_box.client("ec2", region_name=region)
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    [gateway] = ec2.describe_internet_gateways()["InternetGateways"]
    assert [(one["VpcId"], one["State"]) for one in gateway["Attachments"]] == [(vpc["VpcId"], "available")]
    [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    assert [one["Main"] for one in table["Associations"]] == [True]
    routes = {one["DestinationCidrBlock"]: one["GatewayId"] for one in table["Routes"]}
    assert routes == {vpc["CidrBlock"]: "local", "0.0.0.0/0": gateway["InternetGatewayId"]}


def test_another_vpc_has_none(aws_box: Box) -> None:
    ec2 = aws_box.client("ec2")
    made = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [made]}])["RouteTables"]
    assert [one["GatewayId"] for one in table["Routes"]] == ["local"]
