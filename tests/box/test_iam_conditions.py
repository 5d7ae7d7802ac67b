from typing import Any

import pytest

from cloudknot.testing.iam.conditions import MalformedPolicy, parse_conditions
from cloudknot.testing.iam.policies import context_of
from cloudknot.testing.iam.values import ContextValue

ROLE = "arn:aws:iam::123456789012:role/r"


def holds(block: dict[str, Any], context: dict[str, ContextValue]) -> bool:
    keys = context_of(context)
    return all(condition.holds(keys, keys) for condition in parse_conditions(block))


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringLike", "a*", "ab", True),
        ("StringLike", "a?", "abc", False),
        ("StringLike", "A*", "ab", False),
        ("StringNotLike", "a*", "ab", False),
        ("stringlike", "a*", "ab", True),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", 10, "10", True),
        ("NumericNotEquals", "10", "11", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "11", True),
        ("NumericGreaterThanEquals", "10", "9", False),
        ("NumericEquals", "10", "ten", False),
        ("DateLessThan", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", True),
        ("DateGreaterThan", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", False),
        ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", True),
        ("DateGreaterThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
        ("DateLessThan", "1800000000", "2026-01-01T00:00:00Z", True),
        ("Bool", "true", "true", True),
        ("Bool", True, "true", True),
        ("Bool", "false", "true", False),
        ("BinaryEquals", "QUJD", "QUJD", True),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("IpAddress", "10.0.0.0/8", "11.1.2.3", False),
        ("IpAddress", "127.0.0.1", "127.0.0.1", True),
        ("IpAddress", "::/0", "127.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "11.1.2.3", True),
        ("ArnEquals", "arn:aws:iam::*:role/r", ROLE, True),
        ("ArnLike", "arn:aws:iam::123456789012:role/*", ROLE, True),
        ("ArnLike", "arn:aws:iam::123456789012:user/*", ROLE, False),
        ("ArnNotEquals", ROLE, ROLE, False),
        ("ArnNotLike", "arn:aws:iam::1:*", ROLE, True),
    ],
)
def test_operators(operator: str, wanted: Any, value: str, expected: bool) -> None:
    assert holds({operator: {"aws:Key": wanted}}, {"aws:key": value}) is expected
    assert holds({f"{operator}IfExists": {"aws:Key": wanted}}, {"aws:key": value}) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringEqualsIfExists", True),
        ("StringNotEquals", True),
        ("StringLike", False),
        ("StringNotLike", True),
        ("Bool", False),
        ("BoolIfExists", True),
        ("ArnNotLike", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
    ],
)
def test_a_missing_key(operator: str, expected: bool) -> None:
    assert holds({operator: {"aws:Key": "a"}}, {}) is expected


@pytest.mark.parametrize(
    ("wanted", "context", "expected"),
    [
        ("true", {}, True),
        ("false", {}, False),
        ("true", {"aws:Key": "a"}, False),
        (False, {"aws:Key": "a"}, True),
        ("true", {"aws:Key": ()}, True),
    ],
)
def test_null(wanted: Any, context: dict[str, ContextValue], expected: bool) -> None:
    assert holds({"Null": {"aws:Key": wanted}}, context) is expected


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "c"), False),
        ("ForAllValues:StringEquals", (), True),
        ("ForAnyValue:StringEquals", ("a", "c"), True),
        ("ForAnyValue:StringEquals", ("c", "d"), False),
        ("ForAnyValue:StringEquals", (), False),
        ("ForAllValues:StringNotEquals", ("c", "d"), True),
        ("ForAllValues:StringNotEquals", ("a", "d"), False),
        ("ForAnyValue:StringNotEquals", ("a", "d"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAnyValue:StringLike", ("aa", "d"), False),
    ],
)
def test_keys_with_several_values(operator: str, values: tuple[str, ...], expected: bool) -> None:
    assert holds({operator: {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": values}) is expected


def test_all_operators_and_keys_must_hold() -> None:
    block = {"StringEquals": {"a:x": "1", "a:y": "2"}, "StringLike": {"a:z": "3*"}}
    assert holds(block, {"a:x": "1", "a:y": "2", "a:z": "34"})
    for missing in ("a:x", "a:y", "a:z"):
        context = {"a:x": "1", "a:y": "2", "a:z": "34"}
        del context[missing]
        assert not holds(block, {**context})


def test_values_have_variables() -> None:
    block = {"StringLike": {"s3:prefix": "home/${aws:username}/*"}}
    assert holds(block, {"s3:prefix": "home/ada/x", "aws:username": "ada"})
    assert not holds(block, {"s3:prefix": "home/bob/x", "aws:username": "ada"})
    assert not holds(block, {"s3:prefix": "home//x"})


@pytest.mark.parametrize(
    "block",
    [
        {"StringEqual": {"a": "b"}},
        {"ForSomeValues:StringEquals": {"a": "b"}},
        {"NullIfExists": {"a": "true"}},
        {"Null": {"a": "maybe"}},
        {"StringEquals": {"a": []}},
        {"StringEquals": {"a": {"b": "c"}}},
        {"NumericEquals": {"a": "ten"}},
        {"NumericNotEquals": {"a": "ten"}},
        {"DateLessThan": {"a": "tomorrow"}},
        {"IpAddress": {"a": "10.0.0.0.0"}},
        {"NotIpAddress": {"a": "here"}},
    ],
)
def test_what_iam_would_not_take(block: dict[str, Any]) -> None:
    with pytest.raises(MalformedPolicy):
        parse_conditions(block)
