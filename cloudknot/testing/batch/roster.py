"""All of one kind that was made under names and is a moment on its way: environments, or queues."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import check_count
from cloudknot.testing.batch.place import Place

__all__ = ["Roster"]

_BUSY = ("CREATING", "UPDATING", "DELETING")


class _Named(Protocol):
    name: str
    arn: str
    state: str
    status: str
    status_reason: str


N = TypeVar("N", bound=_Named)


class Roster(Generic[N]):
    """What there is of a kind.

    Parameters
    ----------
    place : Place
        Where they are.
    noun : str
        AWS's word for one: ``JobQueue``.
    what : str
        Many of them, as the words of a limit have them.
    most : int
        So many there may be.
    """

    def __init__(self, place: Place, *, noun: str, what: str, most: int) -> None:
        self._place = place
        self._noun = noun
        self._what = what
        self._most = most
        self._made: dict[str, N] = {}

    def check_room(self, name: str) -> None:
        """Raise ClientException when the name is taken, or there are too many."""
        if name in self._made:
            raise ClientException("Object already exists")
        check_count(self._what, len(self._made), self._most)

    def add(self, made: N) -> None:
        """Take in one that is CREATING for a moment."""
        self._made[made.name] = made
        self._place.note_made(made.arn)
        self._place.settle(lambda: self._become_valid(made))

    def find_free(self, name_or_arn: str) -> N:
        """Return one that may be changed now."""
        made = self.find(name_or_arn)
        _check_free(made, "update")
        return made

    def note_changed(self, made: N) -> None:
        """Let one be UPDATING for a moment."""
        made.status = "UPDATING"
        self._place.settle(lambda: self._become_valid(made))
        self._place.changed()

    def find_unwanted(self, name_or_arn: str) -> N | None:
        """Return one that may be removed now; None when there is none, or it is being removed."""
        made = self.get(name_or_arn)
        # AWS answers the same where there is nothing to delete: not confirmed.
        if made is None or made.status == "DELETING":
            return None
        _check_free(made, "delete")
        if made.state != "DISABLED":
            # That it must be is the API's reference; the words are not confirmed.
            raise ClientException("Cannot delete, state must be DISABLED")
        return made

    def begin_removal(self, made: N, forget: Callable[[N], None]) -> None:
        """Let one be DELETING for a moment, after which `forget` is called."""
        made.status = "DELETING"
        self._place.settle(lambda: forget(made))
        self._place.changed()

    def remove(self, made: N) -> None:
        """Have it no more."""
        made.status = "DELETED"
        self._made.pop(made.name, None)

    def find(self, name_or_arn: str) -> N:
        """Return the one of this name or ARN."""
        made = self.get(name_or_arn)
        if made is None:
            # Seen for queues; for environments the words are not confirmed.
            raise ClientException(f"{self._noun} {name_or_arn} not found.")
        return made

    def get(self, name_or_arn: str) -> N | None:
        """Return the one of this name or ARN, if there is one."""
        made = self._made.get(name_or_arn.rpartition("/")[2])
        return made if made and name_or_arn in (made.name, made.arn) else None

    def all(self) -> list[N]:
        """Return all, in the order in which they were made."""
        return list(self._made.values())

    def seen(self, asked: list[str] | None) -> list[N]:
        """Return those of these names and ARNs that one who reads now sees; all when none is named."""
        return self._place.seen(
            one for one in self._made.values() if not asked or one.name in asked or one.arn in asked
        )

    def _become_valid(self, made: N) -> None:
        # It may be on its way out already.
        if made.status in ("CREATING", "UPDATING"):
            made.status, made.status_reason = "VALID", f"{self._noun} Healthy"


def _check_free(made: _Named, verb: str) -> None:
    if made.status in _BUSY:
        raise ClientException(f"Cannot {verb}, resource is being modified")
