"""The box's ECR: moto's, tied to the registry.

moto 5.2.5 is changed here and nowhere else. `install` puts in place, and `Installed.remove` takes back:

`moto.ecr.models.ecr_backends.backend`
    The class that backends are made of becomes `BoxEcrBackend`, a subclass: repositories have the box's
    address (moto's `repositoryUri` names a host of AWS, also through CloudFormation); images have the digest
    and size of their bytes (moto's digest is a hash of hashes, and its size the configuration's); an image
    that is deleted goes from the registry too.
`moto.ecr.responses.ECRResponse.get_authorization_token`
    moto's token is the same for all, expired in 2015, and is for a host of AWS.
`ECRResponse.get_account_setting` and `.put_account_setting`
    moto has neither; `BLOB_MOUNTING`, which is off unless an account turns it on, decides whether a push
    takes layers from other repositories.
`moto.ecr.models.Repository.create_from_cloudformation_json` and `.delete`
    moto does not know `EmptyOnDelete`, so that a stack whose repository has images could never be deleted.
"""

import time
from base64 import b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.core.responses import ActionResult
from moto.ecr.exceptions import InvalidParameterException
from moto.ecr.models import ECRBackend, Repository, ecr_backends
from moto.ecr.responses import ECRResponse

from cloudknot.testing.ecr.access import Authorize, Ecr, by_policies
from cloudknot.testing.ecr.images import BoxEcrBackend
from cloudknot.testing.ecr.store import Store
from cloudknot.testing.ecr.tokens import Caller, Tokens
from cloudknot.testing.iam import current
from cloudknot.testing.registry.app import RegistryApp, blobs_of

__all__ = ["Installed", "install"]


class Installed:
    """The box's ECR, in place of moto's until it is removed; as a WSGI application it answers `/v2/...`.

    Parameters
    ----------
    port : int
        The box's, on the loopback: repositories are `localhost:PORT/NAME`.
    folder : Path
        Where the registry keeps its bytes.
    account_id : str
        The box's account.
    authorize : callable, default by_policies
        The decision of IAM on each request to the registry; the door decides on requests to the API.
    read_time : callable, default time.time
        Real time, in which tokens expire.
    """

    def __init__(
        self,
        port: int,
        folder: Path,
        *,
        account_id: str,
        authorize: Authorize = by_policies,
        read_time: Callable[[], float] = time.time,
    ) -> None:
        self._account_id = account_id
        self._blobs = blobs_of(folder)
        self._tokens = Tokens(read_time)
        self._store = Store(port, self._blobs.write, self._blobs.delete)
        self._registry = RegistryApp(folder, Ecr(self._tokens, authorize))
        self.clear()
        self._undo = (
            _exchange_backend(type("BoxEcrBackend", (BoxEcrBackend,), {"store": self._store})),
            _patch(
                ECRResponse, "get_authorization_token", _token_response(self._tokens, self._store.address)
            ),
            _patch(ECRResponse, "get_account_setting", _get_account_setting),
            _patch(ECRResponse, "put_account_setting", _put_account_setting),
            _patch(Repository, "create_from_cloudformation_json", _remembering_empty_on_delete()),
            _patch(Repository, "delete", _delete_from_stack),
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request for `/v2/...`."""
        return self._registry(environ, start_response)

    def login_for(self, image: str) -> dict[str, str] | None:
        """Return what the box itself logs in with to pull an image, or None when that is not in its registry.

        Parameters
        ----------
        image : str
            As a job names it: `localhost:PORT/NAME:TAG`.
        """
        if not image.startswith(f"{self._store.address}/"):
            return None
        name = image.removeprefix(f"{self._store.address}/").partition("@")[0].partition(":")[0]
        regions = [
            region
            for region, backend in list(ecr_backends[self._account_id].items())
            if name in backend.repositories
        ]
        token, _ = self._tokens.issue(Caller(is_box=True), self._account_id, (regions or ["us-east-1"])[0])
        return {"username": "AWS", "password": token}

    def clear(self) -> None:
        """Forget all tokens and bytes; moto's reset forgets the repositories."""
        self._tokens.clear()
        self._blobs.clear()

    def remove(self) -> None:
        """Make moto's ECR what it was; the repositories are forgotten."""
        for take_back in reversed(self._undo):
            take_back()


def install(
    port: int,
    folder: Path,
    *,
    account_id: str,
    authorize: Authorize = by_policies,
    read_time: Callable[[], float] = time.time,
) -> Installed:
    """Make moto's ECR answer for this box; the parameters are those of `Installed`.

    What an earlier box left in the folder is deleted, as moto knows nothing of it.
    """
    return Installed(port, folder, account_id=account_id, authorize=authorize, read_time=read_time)


def _token_response(tokens: Tokens, address: str) -> Callable[[ECRResponse], ActionResult]:
    def get_authorization_token(self: ECRResponse) -> ActionResult:
        caller = Caller(access_key=current.access_key.get(), principal=current.principal.get())
        data = []
        for account_id in self._get_param("registryIds") or [self.current_account]:
            token, grant = tokens.issue(caller, account_id, self.region)
            data.append(
                {
                    "authorizationToken": b64encode(f"AWS:{token}".encode()).decode(),
                    "expiresAt": datetime.fromtimestamp(grant.expires_at, UTC),
                    "proxyEndpoint": f"http://{address}",
                }
            )
        return ActionResult({"authorizationData": data})

    return get_authorization_token


def _get_account_setting(self: ECRResponse) -> ActionResult:
    name = self._get_param("name")
    settings = cast("BoxEcrBackend", self.ecr_backend).settings
    if name not in settings:
        raise InvalidParameterException(f"Invalid parameter at 'name': the box has no setting {name!r}")
    return ActionResult({"name": name, "value": settings[name]})


def _put_account_setting(self: ECRResponse) -> ActionResult:
    name, value = self._get_param("name"), self._get_param("value")
    settings = cast("BoxEcrBackend", self.ecr_backend).settings
    if name not in settings or value not in ("ENABLED", "DISABLED"):
        raise InvalidParameterException(f"Invalid parameter at 'name' or 'value': {name!r}, {value!r}")
    settings[name] = value
    return ActionResult({"name": name, "value": value})


def _remembering_empty_on_delete() -> "classmethod[Repository, Any, Repository]":
    create = Repository.create_from_cloudformation_json

    def create_from_cloudformation_json(
        cls: type[Repository],
        /,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **options: Any,
    ) -> Repository:
        repository = create(resource_name, cloudformation_json, account_id, region_name, **options)
        asked = cloudformation_json["Properties"].get("EmptyOnDelete", False)
        repository.is_emptied = str(asked).lower() == "true"  # type: ignore[attr-defined]  # the box's own
        return repository

    return classmethod(create_from_cloudformation_json)


def _delete_from_stack(self: Repository, account_id: str, region_name: str) -> None:
    is_emptied = getattr(self, "is_emptied", False)
    ecr_backends[account_id][region_name].delete_repository(self.name, force=is_emptied)


def _exchange_backend(backend: type[ECRBackend]) -> Callable[[], None]:
    before = ecr_backends.backend

    def exchange(kind: type[ECRBackend]) -> None:
        ecr_backends.backend = kind
        # What there is was made of the other kind.
        ecr_backends.clear()

    exchange(backend)
    return lambda: exchange(before)


def _patch(owner: type, name: str, replacement: object) -> Callable[[], None]:
    """Put something in place of a class's attribute, and return what takes it back."""
    before = vars(owner).get(name)
    setattr(owner, name, replacement)
    return lambda: delattr(owner, name) if before is None else setattr(owner, name, before)
