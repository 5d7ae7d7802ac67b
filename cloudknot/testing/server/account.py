"""One region of the box's account, as Batch needs it: moto's services behind Batch's own Protocol."""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from moto.logs.models import logs_backends
from moto.sqs.models import sqs_backends

from cloudknot.testing.batch.account import InstanceType
from cloudknot.testing.iam.resource_policies import decide_with_resource
from cloudknot.testing.iam.trust import may_send
from cloudknot.testing.iam.values import Ask, Principal
from cloudknot.testing.server import start_words
from cloudknot.testing.server.delivery import EventBus
from cloudknot.testing.server.instances import instance_types
from cloudknot.testing.server.roles import TaskRoles
from cloudknot.testing.server.secrets_of_tasks import read_secret

__all__ = ["RegionalAccount"]

# Batch makes this group itself; others have to be there.
_OWN_GROUP = "/aws/batch/job"


class RegionalAccount:
    """Batch's `Account`, in one region.

    Parameters
    ----------
    account_id, region : str
        Which.
    port : int
        Where the box listens; `localhost:PORT/NAME` are images of its own registry.
    roles : TaskRoles
        Hands out the credentials of tasks.
    """

    def __init__(self, account_id: str, region: str, *, port: int, roles: TaskRoles) -> None:
        self.id = account_id
        self.region = region
        self._endpoint = f"http://127.0.0.1:{port}"
        self._registry = f"localhost:{port}/"
        self._roles = roles
        self._bus = EventBus(account_id, region, self._queue_takes)
        self._writing = threading.Lock()

    def publish(
        self, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any], at: float
    ) -> None:
        """Tell EventBridge's default bus of an event of source `aws.batch`."""
        self._bus.publish(detail_type, resources, detail, at)

    def write_log(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        """Append lines (milliseconds, text) to a log stream of CloudWatch; make it when it is not there."""
        logs = logs_backends[self.id][self.region]
        with self._writing:
            if group not in logs.groups:
                logs.create_log_group(group, tags={})
            if stream not in logs.groups[group].streams:
                logs.create_log_stream(group, stream)
            if lines:
                events = [{"timestamp": at, "message": text} for at, text in sorted(lines, key=_time)]
                logs.put_log_events(group, stream, events)

    def admit(
        self,
        task_id: str,
        container: Mapping[str, Any],
        *,
        instance_role: str | None,
        log: tuple[str, str] | None,
    ) -> dict[str, str]:
        """Let a task start; return the variables that it gets from the platform.

        Raises
        ------
        NotStarted
            In ECS's words, when one of its roles may not do what its start needs.
        """
        starter = self._starter(task_id, container, instance_role)
        is_fargate = instance_role is None
        self._check_pull(str(container["image"]), starter, is_fargate=is_fargate)
        if log is not None:
            if _makes_group(container):
                self._make_group(log[0], starter, is_fargate=is_fargate)
            self._make_stream(*log, starter, is_fargate=is_fargate)
        variables = {
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            **self._secrets(task_id, container, is_fargate=is_fargate),
        }
        if is_fargate:
            variables |= {
                "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
                "AWS_REGION": self.region,
                "AWS_DEFAULT_REGION": self.region,
            }
        if role := container.get("jobRoleArn"):
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = self._roles.lend(task_id, role, self.region)
        return variables

    def end_task(self, task_id: str) -> None:
        """Take back the credentials of a task that has ended."""
        self._roles.take_back(task_id)

    def instance_types(self) -> Sequence[InstanceType]:
        """Return the kinds of machine that this region has."""
        return instance_types()

    def _starter(self, task_id: str, container: Mapping[str, Any], profile: str | None) -> Principal | None:
        """Return who pulls the image and opens the log: the machine, or on Fargate the execution role."""
        if profile is not None:
            return self._roles.of_machine(profile)
        role = container.get("executionRoleArn")
        return self._roles.principal(str(role), task_id, self.region) if role else None

    def _check_pull(self, image: str, who: Principal | None, *, is_fargate: bool) -> None:
        if who is None or not image.startswith(self._registry):
            return
        if denied := _denied(who, "ecr:GetAuthorizationToken", "*"):
            raise start_words.no_registry_login(denied, is_fargate=is_fargate)
        address = image.partition("@")[0]
        name = address.removeprefix(self._registry).partition(":")[0]
        for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"):
            resource = f"arn:aws:ecr:{self.region}:{self.id}:repository/{name}"
            if denied := _denied(who, action, resource):
                raise start_words.no_pull(f"{self._registry}{name}", denied)

    def _make_group(self, group: str, who: Principal | None, *, is_fargate: bool) -> None:
        logs = logs_backends[self.id][self.region]
        if group in logs.groups:
            return
        resource = f"arn:aws:logs:{self.region}:{self.id}:log-group:{group}:log-stream:"
        if who is not None and (denied := _denied(who, "logs:CreateLogGroup", resource)):
            cause = f"AccessDeniedException: {denied}"
            raise start_words.no_log_stream(cause, is_fargate=is_fargate, what="group")
        with self._writing:
            if group not in logs.groups:
                logs.create_log_group(group, tags={})

    def _make_stream(self, group: str, stream: str, who: Principal | None, *, is_fargate: bool) -> None:
        if group != _OWN_GROUP and group not in logs_backends[self.id][self.region].groups:
            cause = "ResourceNotFoundException: The specified log group does not exist."
            raise start_words.no_log_stream(cause, is_fargate=is_fargate)
        resource = f"arn:aws:logs:{self.region}:{self.id}:log-group:{group}:log-stream:{stream}"
        if who is not None:
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                if denied := _denied(who, action, resource):
                    cause = f"AccessDeniedException: {denied}"
                    raise start_words.no_log_stream(cause, is_fargate=is_fargate)
        self.write_log(group, stream, ())

    def _secrets(self, task_id: str, container: Mapping[str, Any], *, is_fargate: bool) -> dict[str, str]:
        wanted = container.get("secrets") or ()
        if not wanted:
            return {}
        reader = self._roles.principal(str(container.get("executionRoleArn", "")), task_id, self.region)
        values = {}
        for secret in wanted:
            try:
                values[str(secret["name"])] = self._secret(reader, str(secret["valueFrom"]))
            except LookupError as error:
                cause = str(error.args[0])
                raise start_words.no_secret(
                    secret["valueFrom"], self.region, cause, is_fargate=is_fargate
                ) from error
        return values

    def _secret(self, reader: Principal, value_from: str) -> str:
        if ":secretsmanager:" in value_from:
            action, resource = "secretsmanager:GetSecretValue", ":".join(value_from.split(":")[:7])
        else:
            action, resource = "ssm:GetParameters", _parameter_arn(value_from, self.region, self.id)
        if denied := _denied(reader, action, resource):
            raise LookupError(f"AccessDeniedException: {denied}")
        return read_secret(self.id, self.region, value_from)

    def _queue_takes(self, queue_arn: str, rule_arn: str) -> bool:
        _, _, _, region, account, name = queue_arn.split(":")
        queue = sqs_backends[account][region].queues.get(name)
        policy = json.loads(queue.policy) if queue is not None and queue.policy else None
        return policy is not None and may_send(policy, "events.amazonaws.com", queue_arn, rule_arn)


def _makes_group(container: Mapping[str, Any]) -> bool:
    options = (container.get("logConfiguration") or {}).get("options") or {}
    return str(options.get("awslogs-create-group")).lower() == "true"


def _time(line: tuple[int, str]) -> int:
    return line[0]


def _denied(who: Principal, action: str, resource: str) -> str | None:
    ask = Ask(action=action, resource=resource)
    decision = decide_with_resource(who, ask)
    return None if decision.is_allowed else decision.words_for(who, ask)


def _parameter_arn(value_from: str, region: str, account_id: str) -> str:
    if value_from.startswith("arn:"):
        return value_from
    return f"arn:aws:ssm:{region}:{account_id}:parameter/{value_from.removeprefix('/')}"
