"""The policy that is signed in a form which uploads to S3: its signature, its end, its conditions.

S3 API reference, "Creating a POST Policy" and "Authenticating Requests: Browser-Based Uploads".
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cloudknot.testing.iam import refusals
from cloudknot.testing.iam.refusals import Refused
from cloudknot.testing.wire.forms import Form
from cloudknot.testing.wire.values import WireRequest

__all__ = ["check_form"]

_FREE = {"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"}
_IGNORED = "x-ignore-"
_PARTS = 3
_SCOPE_PARTS = 5


def check_form(request: WireRequest, secret_key: str, now: float) -> None:
    """Verify the policy of a form, and that the form keeps to it.

    Parameters
    ----------
    request : WireRequest
        A `PostObject`.
    secret_key : str
        That of whoever signed.
    now : float
        Real time.

    Raises
    ------
    Refused
        In S3's words.
    """
    form: Form = request.params["Form"]
    text = form.fields.get("policy", "")
    if not text:
        raise Refused("AccessDenied", "Access Denied", 403)
    if not _is_signed(form, text, secret_key):
        raise refusals.wrong_signature(request)
    policy = _parse(text)
    if now > _end(policy):
        raise _invalid("Policy expired.")
    values = {**form.fields, "bucket": str(request.params["Bucket"])}
    named = set()
    for condition in policy["conditions"]:
        named.add(_check(condition, values, form.file_bytes or 0))
    extra = sorted(name for name in set(form.fields) - _FREE - named if not name.startswith(_IGNORED))
    if extra:
        raise _invalid(f"Extra input fields: {', '.join(extra)}")


def _is_signed(form: Form, text: str, secret_key: str) -> bool:
    scope = form.fields.get("x-amz-credential", "").split("/")
    if len(scope) != _SCOPE_PARTS:
        made = hmac.new(secret_key.encode(), text.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(base64.b64encode(made), form.fields.get("signature", "").encode())
    key = f"AWS4{secret_key}".encode()
    for part in (*scope[1:], text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(key.hex().encode(), form.fields.get("x-amz-signature", "").encode())


def _parse(text: str) -> Mapping[str, Any]:
    try:
        policy = json.loads(base64.b64decode(text))
    except ValueError as problem:
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.", 400) from problem
    if not isinstance(policy, dict) or not isinstance(policy.get("conditions"), list):
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Policy missing conditions.", 400)
    return policy


def _end(policy: Mapping[str, Any]) -> float:
    try:
        moment = datetime.fromisoformat(str(policy.get("expiration")))
    except ValueError as problem:
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Policy missing expiration.", 400) from problem
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _check(condition: Any, values: Mapping[str, str], size: int) -> str:
    """Check one condition; return the field that it is about."""
    operator, name, wanted = _read(condition)
    if operator == "content-length-range":
        if size < int(name):
            raise Refused(
                "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", 400
            )
        if size > int(wanted):
            raise Refused("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", 400)
        return ""
    field = str(name).removeprefix("$").lower()
    value = values.get(field, "")
    is_met = value.startswith(str(wanted)) if operator == "starts-with" else value == str(wanted)
    if not is_met:
        raise _invalid(f"Policy Condition failed: {json.dumps([operator, f'${field}', wanted])}")
    return field


def _read(condition: Any) -> tuple[str, Any, Any]:
    parts = list(_parts(condition))
    if len(parts) != _PARTS:
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid Simple-Condition.", 400)
    return str(parts[0]).lower(), parts[1], parts[2]


def _parts(condition: Any) -> Iterator[Any]:
    if isinstance(condition, dict) and len(condition) == 1:
        yield "eq"
        yield from next(iter(condition.items()))
    elif isinstance(condition, list):
        yield from condition


def _invalid(why: str) -> Refused:
    return Refused("AccessDenied", f"Invalid according to Policy: {why}", 403)
