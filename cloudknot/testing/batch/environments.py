"""Compute environments: how they are made, changed and removed."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from cloudknot.testing.batch import environment_rules as rules
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import COMPUTE_ENVIRONMENTS, check_count, check_name
from cloudknot.testing.batch.paging import page
from cloudknot.testing.batch.place import Place
from cloudknot.testing.batch.values import ComputeEnvironment

__all__ = ["Environments"]

_KIND = "compute-environment"
_HEALTHY = "ComputeEnvironment Healthy"
_BUSY = ("CREATING", "UPDATING", "DELETING")
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
        self._made: dict[str, ComputeEnvironment] = {}
        self._kept: dict[str, dict[str, Any]] = {}

    def create(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make one, which is CREATING for a moment (CreateComputeEnvironment)."""
        name = params["computeEnvironmentName"]
        check_name(name)
        rules.check_create(params, self._place.account.instance_types())
        if name in self._made:
            raise ClientException("Object already exists")
        check_count("compute environments", len(self._made), COMPUTE_ENVIRONMENTS)
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
        self._made[name] = made
        self._kept[name] = {word: params[word] for word in _KEPT if word in params}
        self._place.note_made(made.arn)
        self._place.settle(lambda: _become_valid(made))
        return _names(made)

    def update(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Change one, which is UPDATING for a moment (UpdateComputeEnvironment)."""
        made = self.find(params["computeEnvironment"])
        if made.status in _BUSY:
            raise ClientException("Cannot update, resource is being modified")
        rules.check_update(made.resources, params, self._place.account.instance_types())
        made.state = params.get("state", made.state)
        made.resources = rules.updated(made.resources, params.get("computeResources", {}))
        made.service_role = params.get("serviceRole") or made.service_role
        made.update_policy = dict(params.get("updatePolicy", made.update_policy))
        self._kept[made.name].update({word: params[word] for word in _KEPT if word in params})
        made.status = "UPDATING"
        self._place.settle(lambda: _become_valid(made))
        self._place.changed()
        return _names(made)

    def delete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Remove one, which is DELETING for a moment (DeleteComputeEnvironment)."""
        made = self.get(params["computeEnvironment"])
        # AWS answers the same where there is nothing to delete: not confirmed.
        if made is None or made.status == "DELETING":
            return {}
        if made.status in _BUSY:
            raise ClientException("Cannot delete, resource is being modified")
        if made.state != "DISABLED":
            # That it must be is the API's reference; the words are not confirmed.
            raise ClientException("Cannot delete, state must be DISABLED")
        if self._is_in_queue(made.arn):
            raise ClientException("Cannot delete, found existing JobQueue relationship")
        made.status = "DELETING"
        self._place.settle(lambda: self._forget(made))
        self._place.changed()
        return {}

    def describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Show those that are asked for (DescribeComputeEnvironments)."""
        asked = params.get("computeEnvironments")
        made = [one for one in self._made.values() if not asked or one.name in asked or one.arn in asked]
        shown, rest = page(self._place.seen(made), params)
        return {"computeEnvironments": [self._show(one) for one in shown], **rest}

    def find(self, name_or_arn: str) -> ComputeEnvironment:
        """Return the one of this name or ARN."""
        made = self.get(name_or_arn)
        if made is None:
            # The words are not confirmed; they are as for queues and definitions.
            raise ClientException(f"ComputeEnvironment {name_or_arn} not found.")
        return made

    def get(self, name_or_arn: str) -> ComputeEnvironment | None:
        """Return the one of this name or ARN, if there is one."""
        made = self._made.get(name_or_arn.rpartition("/")[2])
        return made if made and name_or_arn in (made.name, made.arn) else None

    def all(self) -> list[ComputeEnvironment]:
        """Return all, in the order in which they were made."""
        return list(self._made.values())

    def _forget(self, made: ComputeEnvironment) -> None:
        made.status = "DELETED"
        self._made.pop(made.name, None)
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


def _become_valid(made: ComputeEnvironment) -> None:
    # It may be on its way out already.
    if made.status in ("CREATING", "UPDATING"):
        made.status, made.status_reason = "VALID", _HEALTHY


def _names(made: ComputeEnvironment) -> dict[str, Any]:
    return {"computeEnvironmentName": made.name, "computeEnvironmentArn": made.arn}
