"""Full ARNs by name, looked up in moto: IAM's have a path in them, those of secrets a suffix."""

from collections.abc import Callable

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends

__all__ = ["known_in_moto"]


def known_in_moto(account: str, region: str) -> Callable[[str, str], str | None]:
    """Return what finds the ARN of a kind of thing by its name, or None where there is none of that name.

    Parameters
    ----------
    account, region : str
        Where to look.
    """
    finders: dict[str, Callable[[str], str | None]] = {
        "role": lambda name: _in_iam(account, "roles", name),
        "user": lambda name: _in_iam(account, "users", name),
        "group": lambda name: _in_iam(account, "groups", name),
        "instance-profile": lambda name: _in_iam(account, "instance_profiles", name),
        "role-of-instance-profile": lambda name: _role_of_profile(account, name),
        "secret": lambda name: _secret(account, region, name),
        "launch-template": lambda name: _launch_template(account, region, name),
    }

    def known(kind: str, name: str) -> str | None:
        return finders[kind](name) if kind in finders else None

    return known


def _in_iam(account: str, collection: str, name: str) -> str | None:
    found = list(getattr(iam_backends[account]["aws"], collection).values())
    return next((str(entity.arn) for entity in found if entity.name == name), None)


def _role_of_profile(account: str, name: str) -> str | None:
    profiles = list(iam_backends[account]["aws"].instance_profiles.values())
    return next(
        (str(role.arn) for profile in profiles if profile.name == name for role in profile.roles), None
    )


def _secret(account: str, region: str, name: str) -> str | None:
    secrets = secretsmanager_backends[account][region].secrets
    return next(
        (str(secret.arn) for secret in list(secrets.values()) if name in (secret.name, secret.arn)), None
    )


def _launch_template(account: str, region: str, name: str) -> str | None:
    found = ec2_backends[account][region].launch_template_name_to_ids.get(name)
    return f"arn:aws:ec2:{region}:{account}:launch-template/{found}" if found else None
