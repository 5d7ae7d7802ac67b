"""Queues, topics, rules, alarms and budgets of stacks."""

import json
from collections.abc import Mapping
from typing import Any

from cloudknot.testing.stacks.kind import Kind, Made, Work, as_text, pairs, picked

__all__ = ["KINDS"]

# What a queue has when nothing is said (SQS API reference, SetQueueAttributes).
_QUEUE: dict[str, str] = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "262144",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "RedrivePolicy": "",
    "KmsMasterKeyId": "",
    "KmsDataKeyReusePeriodSeconds": "300",
    "SqsManagedSseEnabled": "true",
    "ContentBasedDeduplication": "false",
}


def _attributes(work: Work, *names: str) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in picked(work.properties, *names).items()
    }


def _queue(work: Work) -> Made:
    given = _attributes(work, *_QUEUE, "FifoQueue")
    if str(work.get("FifoQueue", "")).lower() not in ("true", ""):
        del given["FifoQueue"]  # SQS knows `true` only
    work.call(
        "sqs", "CreateQueue", QueueName=work.name, Attributes=given, tags=pairs(work.get("Tags")) or None
    )
    url = f"https://sqs.{work.region}.amazonaws.com/{work.account}/{work.name}"
    arn = f"arn:aws:sqs:{work.region}:{work.account}:{work.name}"
    return Made(id=url, attributes={"Arn": arn, "QueueName": work.name, "QueueUrl": url})


def _changed_queue(work: Work) -> Made:
    changed = [name for name in _QUEUE if work.is_changed(name)]
    if changed:
        given = {name: _QUEUE[name] for name in changed} | _attributes(work, *changed)
        work.call("sqs", "SetQueueAttributes", QueueUrl=work.id, Attributes=given)
    now, before = pairs(work.get("Tags")), pairs(work.before.get("Tags"))
    if gone := [key for key in before if key not in now]:
        work.call("sqs", "UntagQueue", QueueUrl=work.id, TagKeys=gone)
    if now != before and now:
        work.call("sqs", "TagQueue", QueueUrl=work.id, Tags=now)
    return Made(id=work.id, attributes=work.attributes)


def _remove_queue(work: Work) -> None:
    work.call("sqs", "DeleteQueue", QueueUrl=work.id)


def _policy(service: str, operation: str, holders: str, key: str) -> Kind:
    """Return the kind of a policy that is put on queues or topics."""

    def put(work: Work, holder: str, document: str) -> None:
        if service == "sqs":
            given: dict[str, Any] = {"Attributes": {"Policy": document}}
        else:
            given = {"AttributeName": "Policy", "AttributeValue": document}
        work.call(service, operation, **{key: holder, **given})

    def make(work: Work) -> Made:
        now = work.get(holders)
        for holder in work.before.get(holders, ()):
            if holder not in now:
                put(work, holder, "")
        for holder in now:
            put(work, holder, str(as_text(work.get("PolicyDocument"))))
        return Made(id=work.id or work.name, attributes={"Id": work.id or work.name})

    def remove(work: Work) -> None:
        for holder in work.get(holders):
            put(work, holder, "")

    return Kind(
        properties=frozenset({holders, "PolicyDocument"}),
        required=frozenset({holders, "PolicyDocument"}),
        tags="",
        make=make,
        change=make,
        remove=remove,
    )


_TOPIC = ("DisplayName", "KmsMasterKeyId", "ContentBasedDeduplication", "FifoTopic")


def _topic(work: Work) -> Made:
    arn = work.call(
        "sns", "CreateTopic", Name=work.name, Attributes=_attributes(work, *_TOPIC), Tags=work.get("Tags")
    )["TopicArn"]
    for subscription in work.get("Subscription") or ():
        work.call("sns", "Subscribe", TopicArn=arn, **subscription)
    return Made(id=arn, attributes={"TopicArn": arn, "TopicName": work.name})


def _changed_topic(work: Work) -> Made:
    for name in _TOPIC[:3]:
        if work.is_changed(name):
            value = _attributes(work, name).get(name, "")
            work.call("sns", "SetTopicAttributes", TopicArn=work.id, AttributeName=name, AttributeValue=value)
    now, before = work.get("Subscription") or [], work.before.get("Subscription") or []
    for there in work.call("sns", "ListSubscriptionsByTopic", TopicArn=work.id)["Subscriptions"]:
        named = picked(there, "Endpoint", "Protocol")
        if named in before and named not in now:
            work.call("sns", "Unsubscribe", SubscriptionArn=there["SubscriptionArn"])
    for subscription in now:
        if subscription not in before:
            work.call("sns", "Subscribe", TopicArn=work.id, **subscription)
    return Made(id=work.id, attributes=work.attributes)


def _remove_topic(work: Work) -> None:
    for there in work.call("sns", "ListSubscriptionsByTopic", TopicArn=work.id)["Subscriptions"]:
        work.call("sns", "Unsubscribe", SubscriptionArn=there["SubscriptionArn"])
    work.call("sns", "DeleteTopic", TopicArn=work.id)


def _rule(work: Work) -> Made:
    name, bus = work.id or work.name, work.get("EventBusName", "default")
    arn = work.call(
        "events",
        "PutRule",
        Name=name,
        EventPattern=as_text(work.get("EventPattern")),
        **picked(work.properties, *_RULE),
    )["RuleArn"]
    targets = work.get("Targets") or []
    kept = {target["Id"] for target in targets}
    gone = [target["Id"] for target in work.before.get("Targets") or () if target["Id"] not in kept]
    if gone:
        work.call("events", "RemoveTargets", Rule=name, EventBusName=bus, Ids=gone)
    if targets:
        reply = work.call("events", "PutTargets", Rule=name, EventBusName=bus, Targets=targets)
        for failed in reply.get("FailedEntries") or ():
            raise ValueError(f"target {failed.get('TargetId')}: {failed.get('ErrorMessage')}")
    return Made(id=name, attributes={"Arn": arn})


_RULE = ("EventBusName", "ScheduleExpression", "State", "Description", "RoleArn", "Tags")


def _remove_rule(work: Work) -> None:
    bus = work.get("EventBusName", "default")
    if ids := [target["Id"] for target in work.get("Targets") or ()]:
        work.call("events", "RemoveTargets", Rule=work.id, EventBusName=bus, Ids=ids)
    work.call("events", "DeleteRule", Name=work.id, EventBusName=bus)


def _alarm(work: Work) -> Made:
    name = work.id or work.name
    work.call("cloudwatch", "PutMetricAlarm", **{**work.properties, "AlarmName": name})
    arn = f"arn:aws:cloudwatch:{work.region}:{work.account}:alarm:{name}"
    return Made(id=name, attributes={"Arn": arn})


def _remove_alarm(work: Work) -> None:
    work.call("cloudwatch", "DeleteAlarms", AlarmNames=[work.id])


def _budget(work: Work) -> Made:
    name = work.properties["Budget"].get("BudgetName", work.name)
    budget: Mapping[str, Any] = {**work.properties["Budget"], "BudgetName": name}
    alerts = picked(work.properties, "NotificationsWithSubscribers")
    work.call("budgets", "CreateBudget", AccountId=work.account, Budget=budget, **alerts)
    return Made(id=name)


def _remove_budget(work: Work) -> None:
    work.call("budgets", "DeleteBudget", AccountId=work.account, BudgetName=work.id)


KINDS: dict[str, Kind] = {
    "AWS::SQS::Queue": Kind(
        properties=frozenset({"QueueName", "FifoQueue", "Tags", *_QUEUE}),
        anew=frozenset({"QueueName", "FifoQueue"}),
        name="QueueName",
        longest_name=80,
        make=_queue,
        change=_changed_queue,
        remove=_remove_queue,
    ),
    "AWS::SQS::QueuePolicy": _policy("sqs", "SetQueueAttributes", "Queues", "QueueUrl"),
    "AWS::SNS::TopicPolicy": _policy("sns", "SetTopicAttributes", "Topics", "TopicArn"),
    "AWS::SNS::Topic": Kind(
        properties=frozenset({"TopicName", "Subscription", "Tags", *_TOPIC}),
        anew=frozenset({"TopicName", "FifoTopic", "Tags"}),
        name="TopicName",
        longest_name=256,
        make=_topic,
        change=_changed_topic,
        remove=_remove_topic,
    ),
    "AWS::Events::Rule": Kind(
        properties=frozenset({"Name", "EventPattern", "Targets", *_RULE}),
        anew=frozenset({"Name", "EventBusName"}),
        name="Name",
        make=_rule,
        change=_rule,
        remove=_remove_rule,
    ),
    "AWS::CloudWatch::Alarm": Kind(
        properties=frozenset(
            {
                *("AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions"),
                *("InsufficientDataActions", "MetricName", "Namespace", "Statistic", "ExtendedStatistic"),
                *("Dimensions", "Period", "Unit", "EvaluationPeriods", "DatapointsToAlarm", "Threshold"),
                *("ComparisonOperator", "TreatMissingData", "Metrics", "Tags"),
            }
        ),
        anew=frozenset({"AlarmName", "Tags"}),
        required=frozenset({"ComparisonOperator", "EvaluationPeriods"}),
        name="AlarmName",
        longest_name=255,
        make=_alarm,
        change=_alarm,
        remove=_remove_alarm,
    ),
    "AWS::Budgets::Budget": Kind(
        properties=frozenset({"Budget", "NotificationsWithSubscribers"}),
        required=frozenset({"Budget"}),
        tags="",
        make=_budget,
        remove=_remove_budget,
    ),
}
