"""How a SubmitJob and its definition become what a job is asked to do. Pure."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.batch.containers import effective_container, requirements
from cloudknot.testing.batch.jobs import Order
from cloudknot.testing.batch.limits import OVERRIDES_TOO_LONG, are_overrides_too_long
from cloudknot.testing.batch.tasks import log_place
from cloudknot.testing.batch.values import JobDefinition, JobQueue

__all__ = ["make_order"]


def make_order(
    params: Mapping[str, Any], queue: JobQueue, definition: JobDefinition, *, number: int
) -> Order:
    """Return what SubmitJob asks for, whose own words go before the definition's.

    Parameters
    ----------
    params : mapping
        SubmitJob's.
    queue : JobQueue
        Where it goes.
    definition : JobDefinition
        What it is made from.
    number : int
        Its place in the order of submissions.

    Raises
    ------
    ClientException
        When the command cannot be made.
    """
    overrides = params.get("containerOverrides") or {}
    parameters = params.get("parameters") or {}
    container = effective_container(definition, parameters, overrides)
    retry = params.get("retryStrategy") or definition.retry
    group, prefix = log_place(container, definition.name)
    return Order(
        number=number,
        name=params["jobName"],
        queue=queue.arn,
        queue_name=queue.name,
        definition=definition.arn,
        definition_name=definition.name,
        container=container,
        needs=requirements(container),
        retry={"attempts": retry.get("attempts", 1), "evaluateOnExit": retry.get("evaluateOnExit") or []},
        timeout_s=(params.get("timeout") or {}).get("attemptDurationSeconds", definition.timeout_s),
        parameters={**definition.parameters, **parameters},
        depends_on=list(params.get("dependsOn") or ()),
        platforms=list(definition.platforms),
        propagate_tags=bool(params.get("propagateTags", definition.propagate_tags)),
        share_identifier=params.get("shareIdentifier"),
        scheduling_priority=params.get("schedulingPriorityOverride", definition.scheduling_priority),
        log_group=group,
        log_prefix=prefix,
        flaw=OVERRIDES_TOO_LONG if are_overrides_too_long(overrides) else None,
    )
