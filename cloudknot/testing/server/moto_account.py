"""moto's account: emptied, and with one person in it who may do all."""

import json
from datetime import timedelta

from moto.core.base_backend import AccountSpecificBackend
from moto.iam.models import iam_backends
from moto.moto_api._internal.models import moto_api_backend

__all__ = ["ACCOUNT_ID", "ADMIN", "reset"]

ACCOUNT_ID = "123456789012"
ADMIN = "box"
_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def reset(access_key: str, secret_key: str) -> None:
    """Forget everything, and make the user `box`, an administrator with this access key."""
    moto_api_backend.reset()
    # The names of regions are kept there, each with all that its account had: 128 accounts of the past.
    AccountSpecificBackend._generate_regions.cache_clear()
    iam = iam_backends[ACCOUNT_ID]["aws"]
    user = iam.create_user(region_name="us-east-1", user_name=ADMIN)
    iam.put_user_policy(ADMIN, "administrator", json.dumps(_ALL))
    key = iam.create_access_key(ADMIN)
    del iam.access_keys[key.physical_resource_id]
    key.access_key_id, key.secret_access_key = access_key, secret_key
    iam.access_keys[key.physical_resource_id] = key
    user.create_date -= timedelta(days=1)
