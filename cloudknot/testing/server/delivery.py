"""Batch's events on their way to the queues and log groups that rules name."""

import copy
import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.events.models import events_backends
from moto.events.utils import EventTemplateParser

__all__ = ["EventBus"]

_LOG = logging.getLogger(__name__)


class EventBus:
    """EventBridge's default bus of one region, for what AWS itself publishes there.

    moto offers no way in for a service's own events, delivers through disabled rules, and spoils an event
    that has two targets. An event that cannot be delivered is dropped, as on AWS: nobody hears of it.

    Parameters
    ----------
    account_id, region : str
        Whose bus.
    may_send : callable
        Tells whether the queue with this ARN takes messages from the rule with that ARN, by its own policy.
    """

    def __init__(self, account_id: str, region: str, may_send: Callable[[str, str], bool]) -> None:
        self._account_id = account_id
        self._region = region
        self._may_send = may_send

    def publish(
        self, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any], at: float
    ) -> None:
        """Deliver an event of source `aws.batch` to the targets of every rule that matches it."""
        rules = self._rules()
        if not rules:
            return
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": "aws.batch",
            "account": self._account_id,
            "time": at,
            "region": self._region,
            "resources": list(resources),
            "detail": json.loads(json.dumps(detail)),
            "ingestion-time": at,
        }
        for rule in rules:
            if rule.event_pattern.matches_event(event):
                self._deliver(rule, event)

    def _rules(self) -> list[Any]:
        bus = events_backends[self._account_id][self._region].event_buses.get("default")
        return [rule for rule in bus.rules.values() if rule.state == "ENABLED"] if bus else []

    def _deliver(self, rule: Any, event: Any) -> None:
        for target in list(rule.targets):
            shape = target.get("InputTransformer", {})
            body = EventTemplateParser.parse(
                input_template=shape.get("InputTemplate"),
                input_paths_map=shape.get("InputPathsMap", {}),
                event=copy.deepcopy(event),
            )
            try:
                self._send(rule, target, body)
            except Exception as error:  # a target that is gone; the others get theirs
                _LOG.info("no delivery to %s: %s", target["Arn"], error)

    def _send(self, rule: Any, target: Mapping[str, Any], body: Any) -> None:
        _, _, service, _, _, name = str(target["Arn"]).split(":", 5)
        if service == "sqs" and self._may_send(target["Arn"], rule.arn):
            group = target.get("SqsParameters", {}).get("MessageGroupId")
            rule._send_to_sqs_queue(name, body, group)
        elif service == "logs":
            rule._send_to_cw_log_group(name.split(":")[1], body)
