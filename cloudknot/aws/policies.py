"""The least IAM policies: for who runs Knots on a stack, and for who makes and removes it. Pure.

Which actions those are was not written by hand: a test runs cloudknot against the box, and writes what AWS
was asked for into ``policies.json``, each action with the kinds of resources that it was asked on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any, Literal

Audience = Literal["user", "admin"]

FILE = "policies.json"
_PASS_ROLE = "iam:PassRole"
# Whom the roles are handed to: jobs, and with the machines' profile EC2.
_PASSED_TO: Mapping[str, tuple[str, ...]] = {
    "user": ("ecs-tasks.amazonaws.com",),
    "admin": ("ecs-tasks.amazonaws.com", "ec2.amazonaws.com"),
}


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a policy is for.

    Parameters
    ----------
    partition, region, account_id : str
        Where.
    stack, bucket, repository, log_group : str
        The stack, and the names of what it has.
    queue_arns, role_arns : tuple of str
        Its queues, and the roles of its jobs; where they are not known, all that could be its own.
    """

    partition: str = "aws"
    region: str
    account_id: str
    stack: str
    bucket: str
    repository: str
    log_group: str
    queue_arns: tuple[str, ...] = ()
    role_arns: tuple[str, ...] = ()

    def arns(self, kind: str) -> tuple[str, ...]:
        """Return what a kind of resources is called here.

        Raises
        ------
        KeyError
            There is no such kind.

        Examples
        --------
        >>> scope = Scope(region="eu-west-1", account_id="1", stack="lab", bucket="b", repository="lab",
        ...               log_group="/cloudknot/lab")
        >>> scope.arns("runs"), scope.arns("definitions")
        (('arn:aws:s3:::b/runs/*',), ('arn:aws:batch:eu-west-1:1:job-definition/lab-*',))
        """
        return self._kinds[kind]

    def kind_of(self, arn: str) -> str:
        """Return the narrowest kind that a resource is of.

        Raises
        ------
        KeyError
            It is of none.
        """
        for kind, patterns in self._kinds.items():
            if any(fnmatchcase(arn, pattern) for pattern in patterns):
                return kind
        raise KeyError(arn)

    def widened(self) -> Scope:
        """Return the scope for who makes queues and roles: those that are there are not all."""
        return replace(self, queue_arns=(), role_arns=())

    @property
    def _kinds(self) -> dict[str, tuple[str, ...]]:
        # The narrow ones stand before the wide.
        batch = self._arn("batch", "")
        bucket = f"arn:{self.partition}:s3:::{self.bucket}"
        roles = f"arn:{self.partition}:iam::{self.account_id}:role/{self.stack}-*"
        profiles = f"arn:{self.partition}:iam::{self.account_id}:instance-profile/{self.stack}-*"
        known_roles = {"job roles": self.role_arns} if self.role_arns else {}
        return {
            **known_roles,
            "stack": (self._arn("cloudformation", f"stack/{self.stack}/*"),),
            "bucket": (bucket,),
            "runs": (f"{bucket}/runs/*",),
            "bundles": (f"{bucket}/bundles/*",),
            "objects": (f"{bucket}/*",),
            "repository": (self._arn("ecr", f"repository/{self.repository}"),),
            "log group": (
                self._arn("logs", f"log-group:{self.log_group}"),
                self._arn("logs", f"log-group:{self.log_group}:*"),
            ),
            "definitions": (f"{batch}job-definition/{self.stack}-*",),
            "queues": self.queue_arns or (f"{batch}job-queue/*",),
            "environments": (f"{batch}compute-environment/*",),
            "jobs": (f"{batch}job/*",),
            "roles": (roles,),
            **(known_roles or {"job roles": (roles,)}),
            "profiles": (profiles,),
            "network": (self._arn("ec2", "*"),),
            "anything": ("*",),
        }

    def _arn(self, service: str, name: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{name}"


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Actions that no test can record, and why.

    Parameters
    ----------
    why : str
        Where they are known from.
    actions, kinds : tuple of str
        What, on what.
    condition : mapping
        IAM's; may be empty.
    """

    why: str
    actions: tuple[str, ...]
    kinds: tuple[str, ...]
    condition: Mapping[str, Any]


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files("cloudknot.aws").joinpath(FILE).read_text())
    return found


def recorded(audience: Audience) -> dict[str, tuple[str, ...]]:
    """Return the actions that were recorded, each with the kinds of resources that it was asked on."""
    return {action: tuple(kinds) for action, kinds in _read()[audience].items()}


def extras(audience: Audience) -> tuple[Extra, ...]:
    """Return the actions that AWS needs beside those that were recorded."""
    return tuple(
        Extra(
            why=one["why"],
            actions=tuple(one["actions"]),
            kinds=tuple(one["kinds"]),
            condition=one.get("condition", {}),
        )
        for one in _read()["extras"][audience]
    )


def make_policy(audience: Audience, scope: Scope) -> dict[str, Any]:
    """Return a policy document.

    Parameters
    ----------
    audience : {"user", "admin"}
        Who runs Knots; or who makes, changes and removes the stack, and runs Knots.
    scope : Scope
        Of which stack.
    """
    wanted = dict(recorded("user"))
    if audience == "admin":
        scope = scope.widened()
        for action, kinds in recorded("admin").items():
            wanted[action] = tuple(dict.fromkeys((*wanted.get(action, ()), *kinds)))
    passing = wanted.pop(_PASS_ROLE, ())
    more = (*extras("user"), *(extras("admin") if audience == "admin" else ()))
    wide = [pattern for extra in more if "anything" in extra.kinds for pattern in extra.actions]
    wanted = {
        action: kinds
        for action, kinds in wanted.items()
        if not any(fnmatchcase(action, pattern) for pattern in wide)
    }
    # A managed policy has 6,144 characters at the most: what an admin may do to a stack is said by service.
    groups = _by_service(wanted) if audience == "admin" else _by_kinds(wanted)
    statements = [_statement(actions, _resources(scope, kinds)) for kinds, actions in sorted(groups.items())]
    for service in _PASSED_TO[audience] if passing else ():
        condition = {"StringEquals": {"iam:PassedToService": service}}
        statements.append(_statement([_PASS_ROLE], _resources(scope, passing), condition))
    statements += [
        _statement(extra.actions, _resources(scope, extra.kinds), extra.condition) for extra in more
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _by_kinds(wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, ...], list[str]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for action, kinds in sorted(wanted.items()):
        found = ("anything",) if "anything" in kinds else tuple(sorted(kinds))
        groups.setdefault(found, []).append(action)
    return groups


def _by_service(wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, ...], list[str]]:
    kinds_of: dict[str, set[str]] = {}
    for action, kinds in wanted.items():
        if "anything" not in kinds:
            kinds_of.setdefault(action.partition(":")[0], set()).update(kinds)
    widened = {
        action: kinds if "anything" in kinds else kinds_of[action.partition(":")[0]]
        for action, kinds in wanted.items()
    }
    return _by_kinds(widened)


def _resources(scope: Scope, kinds: Iterable[str]) -> list[str]:
    arns = {arn for kind in kinds for arn in scope.arns(kind)}
    # What another one of them covers need not be said.
    return sorted(arn for arn in arns if not any(arn != wide and fnmatchcase(arn, wide) for wide in arns))


def _statement(
    actions: Iterable[str], arns: list[str], condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": arns if len(arns) > 1 else arns[0],
    }
    return {**statement, "Condition": dict(condition)} if condition else statement
