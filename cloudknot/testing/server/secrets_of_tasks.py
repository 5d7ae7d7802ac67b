"""The secrets that a job definition names, read by the job's execution role."""

import json
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

__all__ = ["read_secret"]


def read_secret(account_id: str, region: str, value_from: str) -> str:
    """Return the value of a secret of Secrets Manager, of one key in it, or of a parameter of SSM.

    Parameters
    ----------
    account_id, region : str
        Where the job runs.
    value_from : str
        `arn:...:secret:NAME-xxxxxx[:json-key[:version-stage[:version-id]]]`, the ARN of a parameter, or the
        name of one in the same region.

    Raises
    ------
    KeyError
        When there is no such secret, key or parameter; the argument is a sentence.
    """
    if ":secretsmanager:" in value_from:
        return _secret(account_id, value_from)
    return _parameter(account_id, region, value_from)


def _secret(account_id: str, value_from: str) -> str:
    parts = value_from.split(":")
    arn, region = ":".join(parts[:7]), parts[3]
    key, stage, version = [*parts[7:], "", "", ""][:3]
    try:
        backend: Any = secretsmanager_backends[account_id][region]
        found = backend.get_secret_value(arn, version or None, stage or None)
    except Exception as error:
        raise KeyError(
            "ResourceNotFoundException: Secrets Manager can't find the specified secret."
        ) from error
    if found.get("SecretString") is None:
        # That ECS hands on text only is in its developer guide; the words are not confirmed.
        raise KeyError(f"secret {arn} has no SecretString: a binary secret cannot be a variable")
    text = str(found["SecretString"])
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError) as error:
        raise KeyError(f"retrieved secret from Secrets Manager did not contain json key {key}") from error


def _parameter(account_id: str, region: str, value_from: str) -> str:
    where = value_from.split(":")[3] if value_from.startswith("arn:") else region
    try:
        found = ssm_backends[account_id][where].get_parameter(value_from)
    except Exception:
        found = None
    if found is None:
        raise KeyError(f"invalid parameters: {value_from}")
    return str(found.response_object(True)["Value"])
