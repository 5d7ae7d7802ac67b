"""The network that a new account has in each region: moto's lacks its way out."""

from moto.ec2.models import EC2Backend
from moto.ec2.models.vpcs import VPC, VPCBackend

__all__ = ["install"]


def install() -> None:
    """Give each default VPC an internet gateway and a route to it (VPC user guide, "Default VPCs")."""
    setattr(EC2Backend, "create_default_vpc", _create_default_vpc)  # noqa: B010 - it is inherited there


def _create_default_vpc(backend: EC2Backend) -> VPC:
    vpc = VPCBackend.create_default_vpc(backend)
    gateway = backend.create_internet_gateway()
    backend.attach_internet_gateway(gateway.id, vpc.id)
    [table] = backend.describe_route_tables(filters={"vpc-id": [vpc.id], "association.main": ["true"]})
    backend.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
    return vpc
