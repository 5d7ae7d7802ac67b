"""Uploads to S3 by an HTML form (POST Object): their fields, who signed them, and how large the file is."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header

__all__ = ["Form", "bucket_of_form", "read_form", "with_file_name"]

_REGION_OF_OLD_SIGNATURES = "us-east-1"
_SCOPE_PARTS = 5
_FILE_NAME = "${filename}"


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a form says."""

    fields: Mapping[str, str]
    """By their names in lower case."""
    file_bytes: int | None
    """The size of the file; None where there is none."""
    file_name: str = ""

    @property
    def signer(self) -> tuple[str | None, str]:
        """The access key and the region that it is signed for; no key where nobody signed."""
        scope = self.fields.get("x-amz-credential", "").split("/")
        if len(scope) == _SCOPE_PARTS:
            return scope[0], scope[2]
        return self.fields.get("awsaccesskeyid"), _REGION_OF_OLD_SIGNATURES


def bucket_of_form(method: str, path: str, headers: Mapping[str, str]) -> str | None:
    """Return the bucket that a form is sent to, or None for what is no form.

    Parameters
    ----------
    method, path : str
        The request's; the bucket is in the path.
    headers : mapping
        With names in lower case.
    """
    if method != "POST" or not headers.get("content-type", "").startswith("multipart/form-data"):
        return None
    bucket = unquote(path).strip("/")
    return bucket if bucket and "/" not in bucket else None


def read_form(content_type: str, body: bytes) -> Form:
    """Return what a form says; one that cannot be read says nothing.

    Parameters
    ----------
    content_type : str
        With its boundary.
    body : bytes
        The form.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    try:
        fields, files = MultiPartParser().parse(io.BytesIO(body), boundary.encode(), len(body))
    except ValueError:
        return Form(fields={}, file_bytes=None)
    found = {name.lower(): value for name, value in fields.items()}
    file = files.get("file")
    if file is None:
        text = found.pop("file", None)  # without a name of its own a file is a field
        return Form(fields=found, file_bytes=None if text is None else len(text.encode()))
    name = file.filename or ""
    found["key"] = found.get("key", "").replace(_FILE_NAME, name)
    return Form(fields=found, file_bytes=len(file.read()), file_name=name)


def with_file_name(body: bytes, form: Form) -> bytes:
    """Return a form's bytes with `${filename}` filled in, in the fields before the file.

    Parameters
    ----------
    body : bytes
        The form.
    form : Form
        The same, as it was read.
    """
    fields, start, file = body.partition(b'name="file"')
    return fields.replace(_FILE_NAME.encode(), form.file_name.encode()) + start + file
