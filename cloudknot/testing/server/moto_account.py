"""moto's account: emptied, and with one person in it who may do all."""

import json
from datetime import timedelta
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.ec2.models.subnets import Subnet
from moto.iam.models import iam_backends
from moto.s3.models import S3Backend

__all__ = ["ACCOUNT_ID", "ADMIN", "reset"]

ACCOUNT_ID = "123456789012"
ADMIN = "box"
_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def reset(access_key: str, secret_key: str) -> None:
    """Forget everything, and make the user `box`, an administrator with this access key."""
    _forget()
    iam = iam_backends[ACCOUNT_ID]["aws"]
    user = iam.create_user(region_name="us-east-1", user_name=ADMIN)
    iam.put_user_policy(ADMIN, "administrator", json.dumps(_ALL))
    key = iam.create_access_key(ADMIN)
    del iam.access_keys[key.physical_resource_id]
    key.access_key_id, key.secret_access_key = access_key, secret_key
    iam.access_keys[key.physical_resource_id] = key
    user.create_date -= timedelta(days=1)


def _forget() -> None:
    # Not moto's own reset: that makes every service anew first, only to drop it, and keeps the old ones.
    services: Any = BackendDict
    for service in list(services._instances):
        for account in list(service.values()):
            for backend in list(account.values()):
                if isinstance(backend, S3Backend):
                    backend.reset()  # closes its files
            account.clear()
        service.clear()
    services._instances.clear()
    reset_model_data()
    Subnet._base_avail_ip_iterator.cache_clear()  # else it keeps each subnet, and by that all of its EC2
