"""Sessions of boto3 that share what botocore reads of its models: it takes a tenth of a second."""

from typing import Any

import boto3
import botocore.session

__all__ = ["Sessions"]


class Sessions:
    """Opens sessions, each with its own credentials; the models of services are read once for all of them."""

    def __init__(self) -> None:
        self._loader = botocore.session.get_session().get_component("data_loader")

    def open(self, **options: Any) -> boto3.Session:
        """Return a session.

        Parameters
        ----------
        **options
            As in `boto3.Session`.
        """
        core = botocore.session.get_session()
        core.register_component("data_loader", self._loader)
        return boto3.Session(botocore_session=core, **options)
