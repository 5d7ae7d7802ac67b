"""Where a request goes, and the ARNs of what it names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudknot.testing.iam.values import Ask, ContextValue

__all__ = ["ACCOUNT", "Known", "Place", "flat_list", "nobody_knows", "pass_role", "tags_in"]

ACCOUNT = "123456789012"
"""The account that moto makes."""

Known = Callable[[str, str], str | None]
"""The ARN of a thing of a kind (`role`, `secret`) by its name, where its ARN says more than its name does."""


def nobody_knows(kind: str, name: str) -> str | None:
    """Know nothing."""
    return None


@dataclass(frozen=True, kw_only=True)
class Place:
    """An account's region, as ARNs have it."""

    region: str
    account: str = ACCOUNT
    partition: str = "aws"
    known: Known = nobody_knows

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of what belongs to the region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def iam(self, kind: str, name: str) -> str:
        """Return the ARN of what IAM holds; its path is in it where it is known."""
        if name.startswith("arn:"):
            return name
        return self.known(kind, name) or f"arn:{self.partition}:iam::{self.account}:{kind}/{name}"

    def named(self, service: str, kind: str, name: str) -> str:
        """Return the ARN of `kind/name`, or the name itself where it is an ARN."""
        return name if name.startswith("arn:") else self.arn(service, f"{kind}/{name}")


def pass_role(place: Place, role: Any, service: str) -> list[Ask]:
    """Return what handing a role over to a service needs; nothing where no role is given."""
    if not role:
        return []
    return [
        Ask(
            action="iam:PassRole",
            resource=place.iam("role", str(role)),
            context={"iam:PassedToService": service},
        )
    ]


def tags_in(tags: Any) -> dict[str, ContextValue]:
    """Return the condition keys of a request's tags, be they a map or a list of pairs."""
    pairs: dict[str, str] = {}
    if isinstance(tags, Mapping):
        pairs = {str(key): str(value) for key, value in tags.items()}
    elif isinstance(tags, Iterable) and not isinstance(tags, str):
        for tag in tags:
            if isinstance(tag, Mapping):
                found = {str(key).lower().removeprefix("tag"): value for key, value in tag.items()}
                pairs[str(found.get("key", ""))] = str(found.get("value", ""))
    if not pairs:
        return {}
    return {"aws:TagKeys": tuple(pairs), **{f"aws:RequestTag/{key}": value for key, value in pairs.items()}}


def flat_list(params: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    """Return a list of structures that `query` and `ec2` send flat.

    Examples
    --------
    >>> flat_list({"Tags.member.1.Key": "k", "Tags.member.1.Value": "v"}, "Tags")
    [{'Key': 'k', 'Value': 'v'}]
    """
    found: dict[str, dict[str, str]] = {}
    for key, value in params.items():
        parts = key.removeprefix(f"{name}.").removeprefix("member.").split(".", 1)
        if key.startswith(f"{name}.") and parts[0].isdigit():
            found.setdefault(parts[0], {})["".join(parts[1:])] = str(value)
    return [found[number] for number in sorted(found, key=int)]
