"""Compute environments: how they are made, changed and removed."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from cloudknot.testing.batch import environment_rules as rules
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import COMPUTE_ENVIRONMENTS, check_name
from cloudknot.testing.batch.paging import page
from cloudknot.testing.batch.place import Place
from cloudknot.testing.batch.roster import Roster
from cloudknot.testing.batch.values import ComputeEnvironment

__all__ = ["Environments"]

_KIND = "compute-environment"
_KEPT = ("unmanagedvCpus", "context", "ecsSettings")


class Environments:
    """The compute environments of a place.

    Parameters
    ----------
    place : Place
        Where they are.
    is_in_queue : callable
        Whether a queue has the environment of this ARN.
    """

    def __init__(self, place: Place, is_in_queue: Callable[[str], bool]) -> None:
        self._place = place
        self._is_in_queue = is_in_queue
        self._roster = Roster[ComputeEnvironment](
            place, noun="ComputeEnvironment", what="compute environments", most=COMPUTE_ENVIRONMENTS
        )
        self.find, self.get, self.all = self._roster.find, self._roster.get, self._roster.all
        self._kept: dict[str, dict[str, Any]] = {}

    def create(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make one, which is CREATING for a moment (CreateComputeEnvironment)."""
        name = params["computeEnvironmentName"]
        check_name(name)
        rules.check_create(params, self._place.account.instance_types())
        self._roster.check_room(name)
        uid = str(uuid.uuid4())
        resources = params.get("computeResources") if params["type"] == "MANAGED" else None
        made = ComputeEnvironment(
            name=name,
            arn=self._place.arn(_KIND, name),
            uuid=uid,
            created_at=self._place.clock.now(),
            kind=params["type"],
            state=params.get("state", "ENABLED"),
            resources=rules.with_defaults(resources) if resources else {},
            service_role=params.get("serviceRole") or self._service_linked_role(),
            ecs_cluster_arn=(
                f"arn:aws:ecs:{self._place.region}:{self._place.account_id}:cluster/AWSBatch-{name}-{uid}"
            ),
            tags=dict(params.get("tags", {})),
        )
        self._kept[name] = {word: params[word] for word in _KEPT if word in params}
        self._roster.add(made)
        return _names(made)

    def update(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Change one, which is UPDATING for a moment (UpdateComputeEnvironment)."""
        made = self._roster.find_free(params["computeEnvironment"])
        rules.check_update(made.resources, params, self._place.account.instance_types())
        made.state = params.get("state", made.state)
        made.resources = rules.updated(made.resources, params.get("computeResources", {}))
        made.service_role = params.get("serviceRole") or made.service_role
        made.update_policy = dict(params.get("updatePolicy", made.update_policy))
        self._kept[made.name].update({word: params[word] for word in _KEPT if word in params})
        self._roster.note_changed(made)
        return _names(made)

    def delete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Remove one, which is DELETING for a moment (DeleteComputeEnvironment)."""
        made = self._roster.find_unwanted(params["computeEnvironment"])
        if made is None:
            return {}
        if self._is_in_queue(made.arn):
            raise ClientException("Cannot delete, found existing JobQueue relationship")
        self._roster.begin_removal(made, self._forget)
        return {}

    def describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Show those that are asked for (DescribeComputeEnvironments)."""
        shown, rest = page(self._roster.seen(params.get("computeEnvironments")), params)
        return {"computeEnvironments": [self._show(one) for one in shown], **rest}

    def _forget(self, made: ComputeEnvironment) -> None:
        self._roster.remove(made)
        self._kept.pop(made.name, None)

    def _service_linked_role(self) -> str:
        role = "role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
        return f"arn:aws:iam::{self._place.account_id}:{role}"

    def _show(self, made: ComputeEnvironment) -> dict[str, Any]:
        return {
            **_names(made),
            "ecsClusterArn": made.ecs_cluster_arn,
            "tags": dict(made.tags),
            "type": made.kind,
            "state": made.state,
            "status": made.status,
            "statusReason": made.status_reason,
            "serviceRole": made.service_role,
            "containerOrchestrationType": "ECS",
            "uuid": made.uuid,
            **({"computeResources": made.resources} if made.resources else {}),
            **({"updatePolicy": made.update_policy} if made.update_policy else {}),
            **self._kept[made.name],
        }


def _names(made: ComputeEnvironment) -> dict[str, Any]:
    return {"computeEnvironmentName": made.name, "computeEnvironmentArn": made.arn}
