"""A person's hand on a box: its address and keys, its clock, its machines, its faults, its journal."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from cloudknot.testing.calls import Call
from cloudknot.testing.errors import BoxError
from cloudknot.testing.faults import Fault, from_json, to_json
from cloudknot.testing.sessions import Sessions

__all__ = ["Box", "Call", "Host", "Struck"]

_TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine on which jobs run."""

    instance_id: str
    instance_type: str
    environment: str
    """The name of its compute environment."""
    region: str
    is_spot: bool
    vcpus: int
    memory_mib: int
    job_ids: tuple[str, ...]
    """The jobs that run on it now."""


@dataclass(frozen=True, kw_only=True)
class Struck:
    """A fault that is in force, and how often it has struck."""

    number: int
    fault: Fault
    struck: int


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box that is up.

    Made by `up`, `find` and the fixture `aws_box`; its fields are what `env` prints.
    """

    name: str
    pid: int
    port: int
    region: str
    account_id: str
    access_key: str
    secret_key: str
    token: str

    @property
    def endpoint(self) -> str:
        """Where every service answers."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables that make any of AWS's SDKs speak to this box as its administrator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **_without_proxy(os.environ),
        }

    @cached_property
    def session(self) -> boto3.Session:
        """A session of the box's administrator."""
        return self._session_of(self.access_key, self.secret_key)

    def client(self, service: str, **options: Any) -> Any:
        """Return a client of a service, as the box's administrator.

        Parameters
        ----------
        service : str
            As in `boto3.client`.
        **options
            As in `boto3.client`.
        """
        config = Config(proxies={}).merge(options.pop("config", Config()))
        return self.session.client(service, **{"endpoint_url": self.endpoint, "config": config, **options})

    def user(self, name: str, *policies: Mapping[str, Any]) -> boto3.Session:
        """Make a person who may do what these policies allow and nothing else; return a session of theirs.

        Parameters
        ----------
        name : str
            The name of the IAM user. One who is there already gets these policies instead of the old ones.
        *policies : mapping
            Policy documents.

        Notes
        -----
        Clients of the session need `endpoint_url=box.endpoint`, or `AWS_ENDPOINT_URL` in the environment.
        """
        iam = self.client("iam")
        try:
            iam.create_user(UserName=name)
        except iam.exceptions.EntityAlreadyExistsException:
            for old in iam.list_user_policies(UserName=name)["PolicyNames"]:
                iam.delete_user_policy(UserName=name, PolicyName=old)
            for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
                iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for number, policy in enumerate(policies):
            iam.put_user_policy(
                UserName=name, PolicyName=f"policy-{number}", PolicyDocument=json.dumps(dict(policy))
            )
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self._session_of(key["AccessKeyId"], key["SecretAccessKey"])

    def reset(self, *, executor: str | None = None, seed: int = 0, ticking: bool = True) -> None:
        """End all jobs and begin again with an empty account.

        Parameters
        ----------
        executor : {'docker', 'process'}, optional
            What runs jobs from now on; by default as before.
        seed : int, default 0
            Decides when faults strike.
        ticking : bool, default True
            Whether the box's time goes on by itself; if not, it stands still between calls of `advance`.
        """
        values: dict[str, Any] = {"seed": seed, "ticking": ticking}
        self._ask("POST", "reset", values | ({"executor": executor} if executor else {}))

    def now(self) -> float:
        """Return the box's time, in seconds since the epoch."""
        return float(self._ask("GET", "status")["now"])

    def advance(self, seconds: float) -> None:
        """Move the box's time on; all that falls due on the way happens, in order."""
        self._ask("POST", "advance", {"seconds": seconds})

    def hosts(self) -> Sequence[Host]:
        """Return the machines on which jobs run, or could."""
        return [Host(**{**host, "job_ids": tuple(host["job_ids"])}) for host in self._ask("GET", "hosts")]

    def reclaim(self, host: Host) -> None:
        """Take a machine away, as EC2 does with a Spot instance: what ran on it is lost."""
        self._ask("POST", "reclaim", {"region": host.region, "instance_id": host.instance_id})

    def add_fault(self, fault: Fault) -> int:
        """Let something go wrong from now on; return the number by which it can be removed."""
        return int(self._ask("POST", "faults", to_json(fault))["number"])

    def remove_fault(self, number: int) -> None:
        """Let it go wrong no more."""
        self._ask("DELETE", "faults", {"number": number})

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._ask("DELETE", "faults")

    def faults(self) -> Sequence[Struck]:
        """Return the faults in force, each with how often it has struck."""
        return [Struck(**{**rule, "fault": from_json(rule["fault"])}) for rule in self._ask("GET", "faults")]

    def calls(self, after: int = 0) -> Sequence[Call]:
        """Return the requests that the box has answered, those of jobs among them.

        Parameters
        ----------
        after : int, default 0
            Leave out calls up to this number.
        """
        found = self._ask("POST", "calls", {"after": after})
        return [Call(**{**call, "actions": tuple(map(tuple, call["actions"]))}) for call in found]

    def is_up(self) -> bool:
        """Tell whether it answers."""
        try:
            self._ask("GET", "status")
        except BoxError:
            return False
        return True

    def down(self) -> None:
        """End all jobs, remove all that the box has made on this machine, and end its process."""
        self._ask("POST", "down")

    @cached_property
    def _sessions(self) -> Sessions:
        return Sessions()

    def _session_of(self, access_key: str, secret_key: str) -> boto3.Session:
        return self._sessions.open(
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=self.region
        )

    def _ask(self, method: str, what: str, values: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.endpoint}/_box/{what}",
            method=method,
            data=json.dumps(values).encode() if values else None,
            headers={"X-Box-Token": self.token, "Content-Type": "application/json"},
        )
        try:
            with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise BoxError(f"the box {self.name!r} refused {what!r}: {_message(error)}") from error
        except OSError as error:
            raise BoxError(f"the box {self.name!r} does not answer at {self.endpoint}: {error}") from error


# Not through a proxy of the environment: the box is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _without_proxy(surroundings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to this machine from a proxy, beside what is exempt already."""
    exempt = (surroundings.get("NO_PROXY") or surroundings.get("no_proxy") or "").split(",")
    names = ",".join(dict.fromkeys([name for name in exempt if name] + ["127.0.0.1", "localhost"]))
    return {"NO_PROXY": names, "no_proxy": names}


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError):
        return str(error)
