"""What the policy of a resource adds to those of a person or a role in the same account. Pure."""

from typing import Any

import pytest

from cloudknot.testing.iam.policies import Policy, decide
from cloudknot.testing.iam.trust import grant
from cloudknot.testing.iam.values import Ask, Grant, Kind, Principal
from tests.box.permitting import ACCOUNT, allow, arn_of, deny, document

ADA = arn_of("ada")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/work"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/work/s"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ASK = Ask(action="s3:GetObject", resource="arn:aws:s3:::b/k", context={"aws:SecureTransport": "true"})


def who(kind: Kind = "user", **more: Any) -> Principal:
    arn = {"user": ADA, "assumed-role": SESSION, "anonymous": "anonymous", "root": ROOT}[kind]
    context = {"aws:PrincipalArn": ROLE if kind == "assumed-role" else arn}
    return Principal(arn=arn, account=ACCOUNT, kind=kind, context=context, **more)


def said(statement: dict[str, Any], principal: Principal, **more: Any) -> Grant:
    return grant(document(statement), principal, ASK, **more)


@pytest.mark.parametrize(
    ("principal", "kind", "whom"),
    [
        ("*", "user", "principal"),
        ({"AWS": "*"}, "anonymous", "principal"),
        ({"AWS": ADA}, "user", "principal"),
        ({"AWS": [ROOT, ADA]}, "user", "principal"),
        ({"AWS": ROOT}, "user", "account"),
        ({"AWS": ACCOUNT}, "assumed-role", "account"),
        ({"AWS": ROOT}, "anonymous", ""),
        ({"AWS": ROLE}, "assumed-role", "role"),
        ({"AWS": SESSION}, "assumed-role", "principal"),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/work"}, "assumed-role", ""),
        ({"AWS": "arn:aws:iam::999999999999:root"}, "user", ""),
        ({"Service": "events.amazonaws.com"}, "user", ""),
    ],
)
def test_how_a_policy_names_somebody(principal: Any, kind: Kind, whom: str) -> None:
    assert said(allow("s3:*", Principal=principal), who(kind)).whom == whom
    assert said(deny("s3:*", Principal=principal), who(kind)).is_denied is (whom != "")


@pytest.mark.parametrize(
    ("change", "whom"),
    [
        ({"Action": "s3:PutObject"}, ""),
        ({"Resource": "arn:aws:s3:::b"}, ""),
        ({"Resource": "arn:aws:s3:::b/*"}, "principal"),
        ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, ""),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/ad?"}}}, "principal"),
    ],
)
def test_a_policy_speaks_of_what_it_names(change: dict[str, Any], whom: str) -> None:
    assert said({**allow("s3:*", Principal="*"), **change}, who()).whom == whom


def test_not_principal_is_everybody_else() -> None:
    others = {"Effect": "Deny", "NotPrincipal": {"AWS": ADA}, "Action": "*", "Resource": "*"}
    assert not said(others, who()).is_denied
    assert said(others, who("assumed-role")).is_denied


@pytest.mark.parametrize("text", ["{", '{"Version": "1"}'])
def test_a_malformed_policy_says_nothing(text: str) -> None:
    assert grant(text, who(), ASK) == Grant()


YES, NO = Policy.parse(document(allow("*"))), Policy.parse(document(allow("ec2:*")))
NEVER = Policy.parse(document(deny("*")))


@pytest.mark.parametrize(
    ("given", "principal", "layer"),
    [
        (Grant(whom="principal"), who(), None),
        (Grant(whom="principal"), who(boundary=NO), None),
        (Grant(whom="principal"), who(policies=(NEVER,)), "identity-based policy"),
        (Grant(whom="role"), who("assumed-role"), None),
        (Grant(whom="role"), who("assumed-role", boundary=NO), "permissions boundary"),
        (Grant(whom="role"), who("assumed-role", session_policies=(NO,)), "session policy"),
        (Grant(whom="principal"), who("assumed-role", session_policies=(NO,)), None),
        (Grant(whom="account"), who(), "identity-based policy"),
        (Grant(whom="account"), who(policies=(YES,)), None),
        (Grant(), who(policies=(YES,)), None),
        (Grant(is_required=True), who(policies=(YES,)), "resource-based policy"),
        (Grant(is_required=True, whom="account"), who(policies=(YES,)), None),
        (Grant(is_required=True, whom="account"), who(), "identity-based policy"),
        (Grant(is_denied=True), who(policies=(YES,)), "resource-based policy"),
        (None, who(policies=(YES,), session_policies=()), "session policy"),
        (None, who(policies=(YES,), session_policies=(NO, YES)), None),
        (Grant(is_denied=True), who("root"), None),
    ],
)
def test_who_is_let_in_by_which_policy(given: Grant | None, principal: Principal, layer: str | None) -> None:
    decision = decide(principal, ASK, given)
    assert decision.is_allowed is (layer is None)
    if layer is not None:
        assert decision.layer == layer
