"""Scheduling policies: they are kept and shown; the box's jobs go first in, first out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import SCHEDULING_POLICIES, check_count, check_name
from cloudknot.testing.batch.paging import page
from cloudknot.testing.batch.place import Place
from cloudknot.testing.batch.refusals import refusal

__all__ = ["Policies", "SchedulingPolicy"]

_KIND = "scheduling-policy"
_WEIGHTS = ("fairsharePolicy", "quotaSharePolicy")
_DESCRIBED = 100


@dataclass(kw_only=True)
class SchedulingPolicy:
    """How the jobs of a queue would share its machines."""

    name: str
    arn: str
    weights: dict[str, Any] = field(default_factory=dict)
    """`fairsharePolicy` or `quotaSharePolicy`, as given."""
    tags: dict[str, str] = field(default_factory=dict)


class Policies:
    """The scheduling policies of a place.

    Parameters
    ----------
    place : Place
        Where they are.
    is_in_queue : callable
        Whether a queue has the policy of this ARN.
    """

    def __init__(self, place: Place, is_in_queue: Callable[[str], bool]) -> None:
        self._place = place
        self._is_in_queue = is_in_queue
        self._made: dict[str, SchedulingPolicy] = {}

    def create(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make one (CreateSchedulingPolicy)."""
        name = params["name"]
        check_name(name)
        arn = self._place.arn(_KIND, name)
        weights = _read_weights(params)
        if arn in self._made:
            raise ClientException("Object already exists")
        check_count("scheduling policies", len(self._made), SCHEDULING_POLICIES)
        self._made[arn] = SchedulingPolicy(
            name=name, arn=arn, weights=weights, tags=dict(params.get("tags", {}))
        )
        self._place.note_made(arn)
        return {"name": name, "arn": arn}

    def update(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Change one (UpdateSchedulingPolicy)."""
        made = self.get(params["arn"])
        if made is None:
            raise ClientException(f"SchedulingPolicy {params['arn']} not found.")
        made.weights = _read_weights(params) or made.weights
        return {}

    def delete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Remove one that no queue has (DeleteSchedulingPolicy)."""
        if self._is_in_queue(params["arn"]):
            # As for compute environments; for policies not confirmed.
            raise ClientException("Cannot delete, found existing JobQueue relationship")
        self._made.pop(params["arn"], None)
        return {}

    def describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Show those that are asked for (DescribeSchedulingPolicies)."""
        if len(params["arns"]) > _DESCRIBED:
            # The words are not confirmed.
            raise refusal(f"Maximum number of scheduling policies supported is {_DESCRIBED}.")
        asked = self._place.seen(one for one in self._made.values() if one.arn in params["arns"])
        shown = [{"name": one.name, "arn": one.arn, **one.weights, "tags": dict(one.tags)} for one in asked]
        return {"schedulingPolicies": shown}

    def list(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Name all (ListSchedulingPolicies)."""
        shown, rest = page(self._place.seen(self._made.values()), params)
        return {"schedulingPolicies": [{"arn": one.arn} for one in shown], **rest}

    def all(self) -> Sequence[SchedulingPolicy]:
        """Return all, in the order in which they were made."""
        return list(self._made.values())

    def get(self, arn: str) -> SchedulingPolicy | None:
        """Return the one of this ARN, if there is one."""
        return self._made.get(arn)


def _read_weights(params: Mapping[str, Any]) -> dict[str, Any]:
    weights = {name: params[name] for name in _WEIGHTS if name in params}
    if len(weights) > 1:
        # "Only one of fairsharePolicy or quotaSharePolicy can be set"; the words are not confirmed.
        raise refusal("Only one of fairsharePolicy and quotaSharePolicy can be set")
    return weights
