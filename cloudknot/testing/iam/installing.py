"""moto's STS, and what its IAM and S3 lack of permissions.

moto 5.2.5 is changed here for these three and nowhere else:

`moto.sts.responses.TokenResponse.assume_role`
    moto leaves out `PolicyArns`, `Tags`, `TransitiveTagKeys` and `SourceIdentity`, and lends for any time.
`TokenResponse.get_session_token` and `.get_federation_token`
    moto gives everybody the same key, which nobody has.
`moto.iam.models.User.permissions_boundary` and `.permissions_boundary_arn`, and
`moto.iam.responses.IamResponse.create_user`, `.put_user_permissions_boundary` and
`.delete_user_permissions_boundary`
    moto has boundaries of roles, and of users none.
`moto.iam.models.IAMBackend._init_aws_policies`
    moto reads AWS's own policies anew for each of seven partitions, which takes half a second a reset.
`moto.s3.models.FakeBucket.get_permission`
    moto's own look at a bucket's policy knows neither principals nor conditions. The door decides.
`moto.s3.models.S3Backend.put_bucket_policy`
    moto takes any text as a policy; S3 refuses a malformed one.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.serialize import never_return
from moto.iam.access_control import PermissionResult
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.exceptions import NoSuchEntity, ValidationError
from moto.iam.models import AWSManagedPolicy, IAMBackend, User
from moto.iam.responses import IamResponse
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, S3Backend
from moto.sts.responses import TokenResponse

from cloudknot.testing.iam.lending import federate, lend_role, lend_session
from cloudknot.testing.iam.policies import MalformedPolicy, Policy

__all__ = ["install"]


def install() -> None:
    """Make moto's STS, IAM and S3 do so; doing it again changes nothing."""
    for owner, name, replacement in (
        (TokenResponse, "assume_role", _assume_role),
        (TokenResponse, "get_session_token", _get_session_token),
        (TokenResponse, "get_federation_token", _get_federation_token),
        (User, "permissions_boundary_arn", None),
        (User, "permissions_boundary", property(_boundary)),
        (IamResponse, "create_user", _create_user),
        (IamResponse, "put_user_permissions_boundary", _put_boundary),
        (IamResponse, "delete_user_permissions_boundary", _delete_boundary),
        (IAMBackend, "_init_aws_policies", _make_aws_policies),
        (FakeBucket, "get_permission", _permit),
        (S3Backend, "put_bucket_policy", _put_bucket_policy),
    ):
        setattr(owner, name, replacement)
    # ListUsers shows no boundaries.
    IamResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER["ListUsersResponse.Users.User.PermissionsBoundary"] = (
        never_return
    )


@cache
def _aws_policies() -> dict[str, Any]:
    return json.loads(aws_managed_policies_data)  # type: ignore[no-any-return]  # JSON


def _make_aws_policies(self: IAMBackend) -> list[AWSManagedPolicy]:
    if self.region_name != "aws":
        return []
    return [
        AWSManagedPolicy.from_data(name, self.account_id, self.region_name, facts)
        for name, facts in _aws_policies().items()
    ]


class _Members(Mapping[str, Any]):
    """The members of the request that a response of moto's answers."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __getitem__(self, name: str) -> Any:
        found = self._response._get_param(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


def _assume_role(self: TokenResponse) -> ActionResult:
    session = lend_role(_Members(self), self.region)
    result = {
        "Credentials": session,
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
        "PackedPolicySize": 6,
    }
    if session.terms.source_identity:
        result["SourceIdentity"] = session.terms.source_identity
    return ActionResult(result)


def _get_session_token(self: TokenResponse) -> ActionResult:
    return ActionResult({"Credentials": lend_session(_Members(self))})


def _get_federation_token(self: TokenResponse) -> ActionResult:
    session = federate(_Members(self))
    user = {"FederatedUserId": session.user_id, "Arn": session.arn}
    return ActionResult({"Credentials": session, "FederatedUser": user, "PackedPolicySize": 6})


def _boundary(self: Any) -> dict[str, str] | None:
    if not self.permissions_boundary_arn:
        return None
    return {
        "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
        "PermissionsBoundaryArn": self.permissions_boundary_arn,
    }


def _create_user(self: IamResponse) -> ActionResult:
    boundary = self._get_param("PermissionsBoundary")
    if boundary:
        _check_boundary(self, boundary)
    user: Any = self.backend.create_user(
        self.region,
        user_name=self._get_param("UserName"),
        path=self._get_param("Path"),
        tags=self._get_param("Tags", []),
    )
    user.permissions_boundary_arn = boundary
    return ActionResult({"User": user})


def _put_boundary(self: IamResponse) -> EmptyResult:
    user: Any = self.backend.get_user(self._get_param("UserName"))
    boundary = self._get_param("PermissionsBoundary")
    _check_boundary(self, boundary)
    user.permissions_boundary_arn = boundary
    return EmptyResult()


def _delete_boundary(self: IamResponse) -> EmptyResult:
    user: Any = self.backend.get_user(self._get_param("UserName"))
    if not user.permissions_boundary_arn:
        # The words are not confirmed.
        raise NoSuchEntity(f"The user {user.name} does not have a permissions boundary")
    user.permissions_boundary_arn = None
    return EmptyResult()


def _check_boundary(response: IamResponse, arn: str) -> None:
    if not response.backend.policy_arn_regex.match(arn):
        raise ValidationError(f"Value ({arn}) for parameter PermissionsBoundary is invalid.")
    if arn not in response.backend.managed_policies:
        # Not confirmed for users: so IAM says of a policy that is not there.
        raise NoSuchEntity(f"Scope ARN: {arn} does not exist or is not attachable.")


def _permit(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    return PermissionResult.PERMITTED


def _put_bucket_policy(self: S3Backend, bucket_name: str, policy: bytes | str) -> None:
    bucket = self.get_bucket(bucket_name)
    text = policy.decode(errors="replace") if isinstance(policy, bytes) else policy
    try:
        read = Policy.parse(text)
    except MalformedPolicy as problem:
        raise S3ClientError("MalformedPolicy", f"Policies must be valid JSON: {problem}") from problem
    if any(statement.principals is None for statement in read.statements):
        raise S3ClientError("MalformedPolicy", "Missing required field Principal")
    bucket.policy = text.encode()
