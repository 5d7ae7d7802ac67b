"""The place on AWS Batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from cloudknot.aws.batch import Batch
from cloudknot.aws.images import RemoteImages
from cloudknot.aws.logs import ItemLog
from cloudknot.aws.planning import chunks_at
from cloudknot.aws.prices import price_of
from cloudknot.aws.requests import CANCELLED, definition_request, run_of
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import STACK_TAG, Substrate, read_substrate
from cloudknot.backends.batch_run import BatchRun
from cloudknot.backends.prepared import Prepared, Removed
from cloudknot.backends.wave_book import Place, WaveBook, child_of, read_jobs
from cloudknot.catalog import count_owners, has_ended
from cloudknot.docker_engine.connection import Engine
from cloudknot.errors import InputError
from cloudknot.ledger import Outcomes
from cloudknot.money import Budget, Meter
from cloudknot.reach import Imports
from cloudknot.runner.keys import Keys
from cloudknot.runner.shards import decode_indices
from cloudknot.runner.stores import S3Store, Store
from cloudknot.runner.waves import Wave, read_wave
from cloudknot.runs import Run, State, Status
from cloudknot.specs import Image, Resources


class AwsBackend:
    """Runs runs as jobs of AWS Batch; they go on when this process ends.

    Parameters
    ----------
    aws : Aws
        The access to the account.
    stack : str
        The shared resources, by the name of their stack.
    home : Path
        Where is kept which images were made.
    engine : callable
        Returns the docker engine that builds images.
    default_base : str, optional
        The base of images that name none.
    tell : callable
        Told, line by line, how a build goes on; an empty line at its end.
    """

    name = "aws"
    is_remote = True

    def __init__(
        self,
        aws: Aws,
        *,
        stack: str,
        home: Path,
        engine: Callable[[], Engine],
        default_base: str | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.aws = aws
        self.batch = Batch(aws)
        self._stack = stack
        self._home = home
        self._engine = engine
        self._default_base = default_base
        self._tell = tell
        self._runs: dict[str, BatchRun] = {}
        self._logs: dict[tuple[str, int], ItemLog] = {}
        self._lock = threading.RLock()

    @cached_property
    def substrate(self) -> Substrate:
        """Return the stack's shared resources.

        Raises
        ------
        NotConfiguredError
            There is no such stack in this account and region.
        """
        return read_substrate(self.aws, self._stack)

    @property
    def address(self) -> str:
        """Return the region and the name of the stack."""
        return f"{self.aws.region}/{self._stack}"

    @cached_property
    def store(self) -> Store:
        """Return the ledger in the stack's bucket."""
        return S3Store(self.substrate.bucket, client=self.aws.client("s3"))

    @cached_property
    def _images(self) -> RemoteImages:
        return RemoteImages(
            self.aws,
            self.substrate.repository_uri,
            engine=self._engine,
            home=self._home,
            default_base=self._default_base,
            tell=self._tell,
        )

    def check(self, resources: Resources) -> None:
        """Refuse what jobs of the stack cannot have.

        Raises
        ------
        NotConfiguredError
            There is no such stack.
        InputError
            The stack has no such machines, or may not hand out such secrets.
        """
        try:
            self.substrate.check(resources)
        except InputError:
            self.__dict__.pop("substrate", None)  # somebody may have configured it since it was read
            self.substrate.check(resources)

    def prepare(self, image: Image, imports: Imports) -> Prepared:
        """Have the image in the stack's repository, unless it is there.

        Raises
        ------
        NotConfiguredError
            There is no such stack.
        InputError, ImageError, EngineError, AwsError
            The image cannot be made or pushed.
        """
        return self._images.prepare(image, imports)

    def submit(self, run: Run, outcomes: Outcomes, generation: int) -> None:
        """Submit a run's first jobs, or go on with what an earlier process had begun.

        Raises
        ------
        InputError
            There is no queue for what it asks.
        AwsError
            AWS refuses.
        """
        if generation > 1:
            outcomes.catch_up()
        queue = self.substrate.queue_for(run.resources)
        definition = self.batch.ensure_definition(definition_request(run, self.substrate))
        tags = {**self.substrate.tags, STACK_TAG: self.substrate.stack}
        place = Place(store=self.store, batch=self.batch, queue=queue, definition=definition, tags=tags)
        batch_run = BatchRun(
            run,
            outcomes,
            self.store,
            WaveBook(run, place, generation=generation),
            generation=generation,
            budget=self._budget(run, outcomes),
        )
        self._runs[run.run_id] = batch_run
        batch_run.start()

    def poll(self, run: Run) -> Status:
        """Say where a run stands, and submit what follows."""
        batch_run = self._runs.get(run.run_id)
        if batch_run is None:
            return Status(state=State.INTERRUPTED, reason="this process does not run it")
        return batch_run.look()

    def open_store(self, uri: str) -> Store:
        """Return the store that a URI names, also one of another stack."""
        parts = urlsplit(uri)
        return S3Store(parts.netloc, parts.path, client=self.aws.client("s3"))

    def look(self, run: Run) -> Status:
        """Say where a run stands that no living process has: its jobs may run all the same."""
        states = self.batch.describe(self._job_ids(run))
        if any(not state.is_over for state in states.values()):
            return Status(state=State.RUNNING)
        return Status(
            state=State.INTERRUPTED,
            reason="the process that ran it has ended, and so have the jobs that it had submitted; "
            "cloudknot.attach goes on with it",
        )

    def forget(self, run: Run) -> None:
        """Let go of a run that is over."""
        self._runs.pop(run.run_id, None)

    def cancel(self, run: Run, position: int | None = None) -> None:
        """End a run's jobs, whichever process has submitted them. Of one item its own job takes note."""
        if position is not None:
            return
        batch_run = self._runs.get(run.run_id)
        if batch_run is not None:
            batch_run.cancel()
        else:
            self.batch.terminate(self._job_ids(run), CANCELLED)

    def read_log(self, run: Run, position: int) -> bytes:
        """Return what an item that has not ended has written so far, from CloudWatch."""
        keys = Keys(run.run_id)
        for wave, chunk in chunks_at(self._waves(run), position):
            jobs = read_jobs(self.store, keys, wave.number)
            stream = self.batch.log_stream(child_of(wave, chunk, jobs)) if jobs else None
            if stream is not None:
                index = position
                if run.orders.is_selection:
                    [index] = decode_indices(self.store.get(keys.indices, 8 * position, 8 * (position + 1)))
                return self._log(stream, index).read()
        return b""

    def _log(self, stream: str, index: int) -> ItemLog:
        with self._lock:  # whoever follows an item asks for its log again and again
            if (stream, index) not in self._logs:
                self._logs.clear()
                self._logs[stream, index] = ItemLog(self.aws, self.substrate.log_group, stream, index)
            return self._logs[stream, index]

    def remove(self, images: Collection[str], name: str) -> Removed:
        """Remove a Knot's job definitions of these images, and the images that no other Knot has.

        What runs that have not ended still need, perhaps another person's, is kept.
        """
        found = self.batch.definitions_of(self._stack, images)
        queues = set(self.substrate.queues.values())
        own = [each for each in found if each.knot == name and not self._is_needed(each.arn, queues)]
        for each in own:
            self.batch.deregister(each.arn)
        kept = {each.image for each in found if each not in own}
        removed = self._images.remove(set(images) - kept)
        return Removed(images=removed, definitions=tuple(each.arn.rpartition("/")[2] for each in own))

    def _is_needed(self, definition: str, queues: Collection[str]) -> bool:
        """Return whether jobs of a definition run, or a run that has such jobs may submit more."""
        jobs = self.batch.jobs_of(definition, queues)
        if not all(jobs.values()):
            return True
        generations = {run_id: count_owners(self.store, run_id) for run_id in {run_of(job) for job in jobs}}
        return any(
            generation and not has_ended(self.store, run_id, generation)
            for run_id, generation in generations.items()
        )

    def teardown(self) -> None:
        """Do nothing: what runs goes on."""

    def _budget(self, run: Run, outcomes: Outcomes) -> Budget | None:
        if run.budget_usd is None:
            return None
        stack = self.substrate
        price = price_of(
            self.aws, run.resources, region=stack.region, disk_gib=stack.volume_gib, home=self._home
        )
        return Budget(run.budget_usd, price, meter=Meter(outcomes.item_s))

    def _waves(self, run: Run) -> list[Wave]:
        numbers = range(sum(1 for _ in self.store.list(Keys(run.run_id).waves)))
        return [read_wave(self.store, run.run_id, number) for number in numbers]

    def _job_ids(self, run: Run) -> list[str]:
        """Return the ids of a run's jobs, those too that were submitted as their process was killed."""
        keys = Keys(run.run_id)
        waves = self._waves(run)
        jobs = [read_jobs(self.store, keys, wave.number) for wave in waves]
        if all(jobs):
            return [job_id for some in jobs for job_id in some.values()]
        queue = self.substrate.queue_for(run.resources)
        return list(self.batch.find_jobs(queue, f"{run.run_id}-").values())
