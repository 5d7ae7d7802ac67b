"""Tags of whatever Batch has: environments, queues, definitions, policies, jobs."""

from collections.abc import Callable, Mapping
from typing import Any

from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.refusals import refusal

__all__ = ["Tags"]

_MOST = 50
_KEY_CHARACTERS = 128


class Tags:
    """Reads and changes tags by the ARN of what has them.

    Parameters
    ----------
    find : callable
        Returns the tags of an ARN, to be changed in place, or None when there is nothing of that ARN.
    """

    def __init__(self, find: Callable[[str], dict[str, str] | None]) -> None:
        self._find = find

    def add(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Set tags (TagResource)."""
        tags = self._tags(params["resourceArn"])
        for key in params["tags"]:
            if not 1 <= len(key) <= _KEY_CHARACTERS:
                # The words are not confirmed.
                raise refusal(
                    f"Tag keys must have between 1 and {_KEY_CHARACTERS} characters, got {len(key)}"
                )
        if len({*tags, *params["tags"]}) > _MOST:
            # The words are not confirmed.
            raise refusal(f"A resource can have at most {_MOST} tags")
        tags.update(params["tags"])
        return {}

    def remove(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Take tags away (UntagResource)."""
        tags = self._tags(params["resourceArn"])
        for key in params["tagKeys"]:
            tags.pop(key, None)
        return {}

    def list(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Show tags (ListTagsForResource)."""
        return {"tags": dict(self._tags(params["resourceArn"]))}

    def _tags(self, arn: str) -> dict[str, str]:
        tags = self._find(arn)
        if tags is None:
            # The words are not confirmed.
            raise ClientException(f"Resource {arn} not found.")
        return tags
