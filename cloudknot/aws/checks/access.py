"""Whether AWS knows who asks: credentials, region, the clock, and the versions of what speaks to it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from cloudknot.aws.findings import Check, failed, passed, unknown, warned
from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError, InputError

# AWS refuses signatures that are 5 minutes old or young (IAM user guide, "Signature Version 4"); S3 takes 15.
_MOST_SKEW_S = 300
_SOME_SKEW_S = 60
# The first version whose PutObject knows If-None-Match, by which an item is committed once.
_LEAST_BOTOCORE = (1, 35, 2)
_CLOCK_CURE = "set this machine's clock: 'sudo timedatectl set-ntp true', or what your system has for it"
# AWS's and botocore's names of what is wrong with who asks.
_REFUSALS = (
    (
        "SSO|TokenRetrieval|^UnauthorizedException$",
        "the SSO login has expired, or there was none ({code})",
        "{log_in}",
    ),
    ("^ExpiredToken", "the temporary credentials have expired", "get new ones: {log_in}"),
    (
        "^(NoCredentials|PartialCredentials|CredentialRetrieval)Error$",
        "AWS's credentials were not found on this machine",
        "{log_in}; or name a profile that has some: AWS_PROFILE, or 'cloudknot configure'",
    ),
    (
        "^(InvalidClientTokenId|UnrecognizedClientException|InvalidAccessKeyId)$",
        "AWS does not know this access key: it was deleted, or the region is not switched on",
        "make a new key, or {log_in}",
    ),
    (
        "^(SignatureDoesNotMatch|RequestExpired|InvalidSignatureException)$",
        "AWS does not take the signature: the secret key is not the access key's, or a clock is wrong",
        "see the clock below; else {log_in}",
    ),
    (
        "^(InvalidConfig|ConfigParse)Error$",
        "AWS's configuration files contradict themselves: {said}",
        "mend the profile in ~/.aws/config",
    ),
    (
        "(Connection|ConnectTimeout|ReadTimeout|SSL|ResponseParser)Error$",
        "AWS cannot be reached from here: {said}",
        "look at this machine's network, at HTTPS_PROXY, and at whether there is such a region",
    ),
)


def check_versions(version_of: Callable[[str], str] = importlib.metadata.version) -> Iterator[Check]:
    """Yield whether boto3 and botocore are there and new enough."""
    try:
        boto3, botocore = version_of("boto3"), version_of("botocore")
    except importlib.metadata.PackageNotFoundError as error:
        yield failed("boto3", f"{error.name} is not installed", "pip install 'cloudknot[aws]'")
        return
    said = f"boto3 {boto3}, botocore {botocore}"
    if _numbers(botocore) < _LEAST_BOTOCORE:
        cure = "pip install --upgrade boto3 botocore"
        yield failed("boto3", f"{said}: too old to write to S3 only where nothing is", cure)
    else:
        yield passed("boto3", said)


def check_region(region: Callable[[], str]) -> Check:
    """Return whether a region is set, and the profile is there."""
    try:
        return passed("region", region())
    except InputError as error:
        said, _, cure = str(error).partition(": ")
        return failed("region", said, cure)


def check_credentials(aws: Aws, *, profile: str | None, clock: Callable[[], float]) -> Iterator[Check]:
    """Yield whether AWS knows who asks, and whether this machine's clock goes as AWS's."""
    try:
        reply = aws.call("sts", "get_caller_identity")
    except AwsError as error:
        yield explain_refusal(error, profile=profile)
        yield from check_clock(_date_of(getattr(error.__cause__, "response", None)), clock())
        return
    yield passed("credentials", f"{reply['Arn']} in account {reply['Account']}")
    yield from check_clock(_date_of(reply), clock())


def check_clock(date: str | None, now_s: float) -> Iterator[Check]:
    """Yield how far this machine's clock is off AWS's; nothing where AWS has not said the time.

    Parameters
    ----------
    date : str, optional
        The Date header of an answer.
    now_s : float
        The time here, in seconds since the epoch.

    Examples
    --------
    >>> [check] = check_clock("Thu, 01 Jan 1970 00:10:00 GMT", 0)
    >>> check.level.value, check.finding.sentence
    ('failed', "this machine's clock is 600 s behind AWS's, which refuses such requests")
    """
    if date is None:
        return
    skew_s = now_s - parsedate_to_datetime(date).timestamp()
    which = "ahead of" if skew_s > 0 else "behind"
    said = f"this machine's clock is {abs(skew_s):.0f} s {which} AWS's"
    if abs(skew_s) >= _MOST_SKEW_S:
        yield failed("clock", f"{said}, which refuses such requests", _CLOCK_CURE)
    elif abs(skew_s) >= _SOME_SKEW_S:
        yield warned("clock", said, _CLOCK_CURE)
    else:
        yield passed("clock", "as AWS's")


def explain_refusal(error: AwsError, *, profile: str | None) -> Check:
    """Return why AWS does not know who asks, with how to log in."""
    option = f" --profile {profile}" if profile else ""
    log_in = f"'aws sso login{option}', or 'aws configure{option}' where you have keys"
    if error.code in ("AccessDenied", "AccessDeniedException"):
        if "sts:AssumeRole" in str(error):
            cure = "have who owns the role let you assume it, in its trust policy; or use another profile"
            return failed("credentials", f"you may not take the role of your profile: {error}", cure)
        return unknown("credentials", str(error))
    for pattern, sentence, cure in _REFUSALS:
        if re.search(pattern, error.code):
            said = sentence.format(code=error.code, said=error)
            return failed("credentials", said, cure.format(log_in=log_in))
    return failed("credentials", str(error), log_in)


def _date_of(reply: Mapping[str, Any] | None) -> str | None:
    date = (reply or {}).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return None if date is None else str(date)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
