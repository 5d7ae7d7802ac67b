"""The client side's only way to AWS: clients that retry by AWS's own rules, and errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from cloudknot.errors import AwsError, InputError

# AWS's standard mode: throttling and passing faults are tried again, with waits that grow.
_ATTEMPTS = 8
_CONNECTIONS = 64
_THROTTLES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "SlowDown",
    }
)
_SERVER_FAULT = 500
# What AWS says of keys that have ended; a person may have got new ones since they were read.
_ENDED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "RequestExpired",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)


class Aws:
    """One person's access to one region of one account; safe from any thread.

    Parameters
    ----------
    profile : str, optional
        A profile of AWS's configuration files; None goes by AWS's own order.
    region : str, optional
        None goes by AWS's own order.
    """

    def __init__(self, *, profile: str | None = None, region: str | None = None) -> None:
        self._profile = profile
        self._wanted_region = region
        self._clients: dict[tuple[str, bool], Any] = {}
        self._lock = threading.RLock()

    @cached_property
    def _session(self) -> Any:
        import boto3  # noqa: PLC0415  # it takes a quarter of a second
        import botocore.exceptions  # noqa: PLC0415

        try:
            return boto3.Session(profile_name=self._profile, region_name=self._wanted_region)
        except botocore.exceptions.ProfileNotFound as error:
            raise InputError(f"{error}: 'aws configure list-profiles' lists those there are") from error
        except botocore.exceptions.ConfigParseError as error:
            raise InputError(f"{error}: mend that file, or name another one in AWS_CONFIG_FILE") from error

    def at(self, region: str) -> Aws:
        """Return the same person's access to another region."""
        return Aws(profile=self._profile, region=region)

    @property
    def region(self) -> str:
        """Return the region.

        Raises
        ------
        InputError
            None is set.
        """
        region: str | None = self._session.region_name
        if region is None:
            raise InputError(
                "no AWS region is set: run 'cloudknot configure --region us-east-1', or "
                "set AWS_DEFAULT_REGION"
            )
        return region

    @property
    def profiles(self) -> list[str]:
        """Return the names of the profiles that there are."""
        return list(self._session.available_profiles)

    @cached_property
    def identity(self) -> dict[str, str]:
        """Return who asks, as STS tells: ``Account``, ``Arn``, ``UserId``."""
        reply = self.call("sts", "get_caller_identity")
        return {name: str(reply[name]) for name in ("Account", "Arn", "UserId")}

    def client(self, service: str, *, retries: bool = True) -> Any:
        """Return a client of a service; without ``retries`` each request is sent once."""
        from botocore.config import Config  # noqa: PLC0415  # as above

        with self._lock:
            if (service, retries) not in self._clients:
                attempts = {"mode": "standard", "total_max_attempts": _ATTEMPTS if retries else 1}
                config = Config(
                    retries=attempts, max_pool_connections=_CONNECTIONS, user_agent_extra="cloudknot"
                )
                region = self.region
                client = self._session.client(service, region_name=region, config=config)
                client.meta.events.register("needs-retry", self._go_on_with_new_keys)
                self._clients[service, retries] = client
            return self._clients[service, retries]

    def _go_on_with_new_keys(self, *, response: Any, **_: Any) -> int | None:
        """Have a request sent again at once that was refused for keys in whose place there are new ones."""
        is_ended = response is not None and response[1].get("Error", {}).get("Code") in _ENDED
        return 0 if is_ended and self._take_new_keys() else None

    def _take_new_keys(self) -> bool:
        """Give all clients the keys that AWS's own order finds now; return whether they are others."""
        import boto3  # noqa: PLC0415  # as above
        from botocore.credentials import Credentials  # noqa: PLC0415  # as above
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # as above

        with self._lock:
            held = self._session.get_credentials()
            if type(held) is not Credentials:  # the others renew themselves
                return False
            try:
                found = boto3.Session(profile_name=self._profile).get_credentials()
                keys = found.get_frozen_credentials() if found else held.get_frozen_credentials()
            except BotoCoreError:
                return False
            is_new: bool = keys != held.get_frozen_credentials()
            held.access_key, held.secret_key, held.token = keys.access_key, keys.secret_key, keys.token
            return is_new

    def call(self, service: str, operation: str, *, retries: bool = True, **parameters: Any) -> Any:
        """Ask AWS for something and return the reply.

        Parameters
        ----------
        service, operation : str
            As boto3 names them, such as ``"batch"``, ``"describe_jobs"``.
        retries : bool, default True
            Whether it may be sent again; not for what must happen once.
        **parameters
            The request's.

        Raises
        ------
        AwsError
            AWS refused or could not be reached.
        """
        try:
            return getattr(self.client(service, retries=retries), operation)(**parameters)
        except _foreign_errors() as error:
            raise explain_aws_error(error, f"{service}:{operation}", profile=self._profile) from error

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """Yield the entries of a listing, page by page; ``key`` names them in the reply; see `call`."""
        try:
            for page in self.client(service).get_paginator(operation).paginate(**parameters):
                yield from page.get(key, ())
        except _foreign_errors() as error:
            raise explain_aws_error(error, f"{service}:{operation}", profile=self._profile) from error


def _foreign_errors() -> tuple[type[Exception], ...]:
    """Return what botocore raises; an answer that it cannot read is none of its own family."""
    import botocore.exceptions  # noqa: PLC0415  # as above
    import botocore.parsers  # noqa: PLC0415

    return (
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
        botocore.parsers.ResponseParserError,
    )


def explain_aws_error(error: Exception, asked: str, *, profile: str | None = None) -> AwsError:
    """Return what botocore raised in our words.

    Parameters
    ----------
    error : Exception
        A ``ClientError``, or a ``BotoCoreError`` where AWS was not reached.
    asked : str
        The service and the operation.
    profile : str, optional
        The profile in use, for the cure.
    """
    option = f" --profile {profile}" if profile else ""
    log_in = (
        f"log in (aws sso login{option}), or set AWS_PROFILE, or run 'cloudknot configure' with the profile "
        "to use"
    )
    reply: dict[str, Any] | None = getattr(error, "response", None)
    if reply is None:  # no answer of AWS's
        kind = type(error).__name__
        is_login = "Credential" in kind or "SSO" in kind or "Token" in kind
        said, cure = str(error), f": {log_in}" if is_login else ""
        if kind == "ResponseParserError":  # whose words are the whole answer
            said = "the answer is not AWS's: a proxy or a login page of this network may stand in between"
        return AwsError(f"{asked}: {said}{cure}", code=kind, is_unsure=not is_login)
    code = str(reply.get("Error", {}).get("Code", ""))
    status = int(reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    is_throttle = code in _THROTTLES
    said = reply.get("Error", {}).get("Message") or code
    cure = f": {log_in}" if code in _ENDED else ""
    return AwsError(
        f"{asked}: {said} ({code}){cure}",
        code=code,
        is_throttle=is_throttle,
        is_unsure=status >= _SERVER_FAULT and not is_throttle,
    )
