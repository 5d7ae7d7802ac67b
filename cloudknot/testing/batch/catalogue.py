"""All that people make in Batch but jobs: where the engine finds queues, environments and definitions."""

import threading
from collections.abc import Callable

from cloudknot.testing.batch.account import Account, Trouble
from cloudknot.testing.batch.definitions import Definitions
from cloudknot.testing.batch.environments import Environments
from cloudknot.testing.batch.place import Place
from cloudknot.testing.batch.policies import Policies, SchedulingPolicy
from cloudknot.testing.batch.queues import Queues
from cloudknot.testing.batch.values import ComputeEnvironment, JobDefinition, JobQueue
from cloudknot.testing.clock import Clock

__all__ = ["SETTLE_S", "Catalogue"]

# AWS takes some seconds until an environment is VALID; what matters is that it is not at once.
SETTLE_S = 1.0


class Catalogue:
    """The environments, queues, definitions and policies of one region of one account.

    Parameters
    ----------
    account_id, region : str
        Where.
    clock : Clock
        The box's time.
    lock : threading.RLock
        Held while anything is read or changed; the engine has the same.
    account : Account
        The account around it.
    trouble : Trouble
        What shall go wrong.
    on_change : callable, optional
        Called after anything that may let jobs move.
    settle_s : float, default SETTLE_S
        How long something takes to become VALID and to vanish, in the box's time; 0 for at once.

    Attributes
    ----------
    on_change : callable
        The engine sets its own.
    has_jobs : callable
        Whether the queue of an ARN has jobs that have not ended; the engine sets it.
    terminate_all : callable
        Ends all jobs of the queue of an ARN, for a reason; the engine sets it.
    """

    def __init__(
        self,
        *,
        account_id: str,
        region: str,
        clock: Clock,
        lock: threading.RLock,
        account: Account,
        trouble: Trouble,
        on_change: Callable[[], None] = lambda: None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.on_change = on_change
        self.has_jobs: Callable[[str], bool] = lambda _arn: False
        self.terminate_all: Callable[[str, str], None] = lambda _arn, _reason: None
        self.lock = lock
        self.clock = clock
        self._place = place = Place(
            account_id=account_id,
            region=region,
            clock=clock,
            lock=lock,
            account=account,
            trouble=trouble,
            settle_s=settle_s,
            changed=self._tell_changed,
        )
        self.making_environments = Environments(place, self._has_queue_of_environment)
        self.making_policies = Policies(place, self._has_queue_of_policy)
        self.making_queues = Queues(
            place,
            self.making_environments,
            lambda arn: self.making_policies.get(arn) is not None,
            self._has_jobs,
            self._terminate_all,
        )
        self.making_definitions = Definitions(place)

    def queue(self, name_or_arn: str) -> JobQueue:
        """Return the queue of this name or ARN.

        Raises
        ------
        ClientException
            When there is none.
        """
        with self.lock:
            return self.making_queues.find(name_or_arn)

    def definition(self, name_or_arn: str) -> JobDefinition:
        """Return the ACTIVE revision that is meant: the newest, where none is named.

        Raises
        ------
        ClientException
            When there is none.
        """
        with self.lock:
            return self.making_definitions.find(name_or_arn)

    def environments_of(self, queue: JobQueue) -> list[ComputeEnvironment]:
        """Return the environments of a queue, in their order."""
        with self.lock:
            return self.making_queues.environments_of(queue)

    def queues(self) -> list[JobQueue]:
        """Return all queues."""
        with self.lock:
            return self.making_queues.all()

    def environments(self) -> list[ComputeEnvironment]:
        """Return all environments."""
        with self.lock:
            return self.making_environments.all()

    def settle(self) -> None:
        """Let what was begun come to its end: what was made is VALID, what was removed is gone.

        A queue stays while it has jobs that have not ended.
        """
        self._place.hurry()

    def tags(self, arn: str) -> dict[str, str] | None:
        """Return the tags of what has this ARN, to be changed in place; None when nothing here has it."""
        with self.lock:
            made = (
                self.making_environments.get(arn)
                or self.making_queues.get(arn)
                or self.making_definitions.by_arn(arn)
                or self.making_policies.get(arn)
            )
            return made.tags if made and made.arn == arn else None

    def tagged(self) -> list[tuple[str, dict[str, str]]]:
        """Return the ARN and the tags of all that is here; of definitions what is ACTIVE."""
        with self.lock:
            made: list[ComputeEnvironment | JobQueue | JobDefinition | SchedulingPolicy] = [
                *self.making_environments.all(),
                *self.making_queues.all(),
                *self.making_definitions.active(),
                *self.making_policies.all(),
            ]
            return [(one.arn, dict(one.tags)) for one in made]

    # These are set after the makers were made.

    def _tell_changed(self) -> None:
        self.on_change()

    def _has_jobs(self, queue_arn: str) -> bool:
        return self.has_jobs(queue_arn)

    def _terminate_all(self, queue_arn: str, reason: str) -> None:
        self.terminate_all(queue_arn, reason)

    def _has_queue_of_environment(self, arn: str) -> bool:
        return any(arn in queue.environments for queue in self.making_queues.all())

    def _has_queue_of_policy(self, arn: str) -> bool:
        return any(arn == queue.scheduling_policy_arn for queue in self.making_queues.all())
