"""The Knot: a person's function, ready to run over many inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, Unpack, overload

from cloudknot.arches import Arch
from cloudknot.backends import check_backend
from cloudknot.calls import CallFuture
from cloudknot.checks import (
    check_budget,
    check_chunk_size,
    check_env_vars,
    check_name,
    check_on_error,
    check_volumes,
)
from cloudknot.client import Client, current_client
from cloudknot.display import html_of_knot, print_jobs
from cloudknot.errors import InputError
from cloudknot.futures import MapFuture
from cloudknot.money import Estimate
from cloudknot.original import OriginalMapNames, OriginalNames, read_knot_options, read_map_options
from cloudknot.places import Stacked, check_place, fit_arch, fit_image
from cloudknot.removal import Clobbered, clobber
from cloudknot.runner.orders import OnError
from cloudknot.shipping import check_function, knot_name_of, name_of
from cloudknot.specs import Image, Resources, Retry, Spot, extend_image
from cloudknot.submission import Request

R = TypeVar("R")

_SHOWN_JOBS = 5


class Jobs(Sequence[MapFuture[R] | CallFuture[R]]):
    """A Knot's jobs, oldest first, those of earlier processes too; attached when they are looked at."""

    def __init__(self, client: Client, run_ids: Sequence[str]) -> None:
        self._client = client
        self._run_ids = run_ids

    def __len__(self) -> int:
        return len(self._run_ids)

    @overload
    def __getitem__(self, place: int) -> MapFuture[R] | CallFuture[R]: ...
    @overload
    def __getitem__(self, place: slice) -> Jobs[R]: ...
    def __getitem__(self, place: int | slice) -> MapFuture[R] | CallFuture[R] | Jobs[R]:
        if isinstance(place, slice):
            return Jobs(self._client, self._run_ids[place])
        return self._client.attach(self._run_ids[place])

    def __repr__(self) -> str:
        return f"<Jobs {', '.join(self._run_ids[-_SHOWN_JOBS:]) or 'none'}>"


class Knot(Generic[R]):
    """A function that runs over many inputs.

    Parameters
    ----------
    func : callable
        Any callable: a function from a module, script or notebook, a lambda, closure, partial, bound
        method or callable object.
    name : str, optional
        Names the jobs; the function's name when not given. Letters, digits, ``-`` and ``_``.
    backend : str, optional
        The place: ``"local"`` (processes on this machine), ``"docker"`` (containers on this machine) or
        ``"aws"`` (AWS Batch, after ``cloudknot configure``). Not given: ``CLOUDKNOT_BACKEND``, then the
        configuration file, then ``"local"``.
    vcpus : float, default 1
        Processors of one item. Numerical libraries get that many threads.
    memory_mib : int, optional
        Memory of one item in MiB; on AWS 2,048 when not given.
    timeout_s : float, optional
        Seconds after which an item is killed.
    gpus : int, default 0
        GPUs of one item, on AWS.
    spot : bool or "prefer", default False
        Run on Spot, which is cheaper and may be taken away (the items then run again); "prefer": on
        demand where there is no Spot to be had. This and what follows, up to ``bid_percentage``, says
        how AWS runs it, and is passed over in other places.
    arch : {"x86_64", "arm64"}, optional
        Processors of the machines.
    fargate : bool, default False
        Run on Fargate rather than on machines of EC2.
    instance_types : str or sequence of str, optional
        Kinds of machine, such as ``"m5"`` or ``"m5.large"``.
    volume_gib : int, optional
        Size of a machine's disk in GiB.
    bid_percentage : int, optional
        The most to pay for Spot, in percent of the price on demand.
    secrets : dict of str, optional
        Environment variables that AWS fills in: the ARN of a secret in Secrets Manager or of a
        parameter in SSM by name. On this machine they are read from your own environment.
    pars : Pars, optional
        The stack on AWS; ``CLOUDKNOT_STACK`` or the configuration file's when not given.
    retries : int or Retry, default 0
        Further tries of an item after the function raised. A lost process is tried again twice;
        `Retry` sets both.
    env_vars : dict of str, optional
        Environment variables of the workers. They are kept in the ledger: no place for secrets.
    image : Image, optional
        What the container image is made from, beside what the function imports.
    base_image : str, optional
        The image that it stands on; the same as ``image=Image(base=...)``.
    image_github_installs : str or sequence of str, optional
        Addresses of git repositories to install in the image.
    volumes : sequence of path, optional
        Folders of this machine that containers on this machine see, under the same path; read-only
        where they end in ``:ro``. Containers then run under your user number.
    **original
        Names of cloudknot 0.6, such as ``memory``; a warning says how they are spelled today.

    Raises
    ------
    InputError
        An argument will not do. Nothing was started.
    EngineError, ImageError
        There is no docker engine, or the image could not be made.

    Examples
    --------
    >>> knot = Knot(pow, name="powers")
    >>> knot.map([(2, 3), (2, 10)], starmap=True).result()
    [8, 1024]
    """

    def __init__(  # noqa: PLR0913  # each is an option of its own, and keyword-only
        self,
        func: Callable[..., R],
        *,
        name: str | None = None,
        backend: str | None = None,
        vcpus: float = 1,
        memory_mib: int | None = None,
        timeout_s: float | None = None,
        gpus: int = 0,
        spot: Spot = False,
        arch: Arch | None = None,
        fargate: bool = False,
        instance_types: str | Iterable[str] = (),
        volume_gib: int | None = None,
        bid_percentage: int | None = None,
        secrets: Mapping[str, str] | None = None,
        pars: Stacked | None = None,
        retries: int | Retry = 0,
        env_vars: dict[str, str] | None = None,
        image: Image | None = None,
        base_image: str | None = None,
        image_github_installs: str | Iterable[str] = (),
        volumes: Iterable[str | os.PathLike[str]] | None = None,
        client: Client | None = None,
        **original: Unpack[OriginalNames],
    ) -> None:
        check_function(func)
        self.func = func
        self.name = check_name(knot_name_of(func) if name is None else name)
        self._pars = pars
        self._client_here = current_client(pars) if client is None else client
        self._pid = os.getpid()
        self.backend = check_backend(self._client.settings.backend if backend is None else backend)
        wanted: dict[str, Any] = {"memory_mib": memory_mib, "gpus": gpus, "volume_gib": volume_gib}
        if vcpus != 1:
            wanted["vcpus"] = vcpus
        wanted |= read_knot_options(original, {**wanted, "retries": retries})
        user, retries = wanted.pop("username", None), wanted.pop("retries", retries)
        self.resources = Resources(
            timeout_s=timeout_s,
            spot=spot,
            arch=arch,
            fargate=fargate,
            instance_types=instance_types,  # type: ignore[arg-type]  # it makes a tuple of it
            bid_percentage=bid_percentage,
            secrets=secrets or {},
            **wanted,
        )
        self.retry = retries if isinstance(retries, Retry) else Retry(raised=retries)
        self.retry.check_memory(memory_mib)
        self.env_vars = check_env_vars(env_vars)
        check_place(self.backend, self.resources, self.env_vars)
        image = extend_image(image, base_image=base_image, github_installs=image_github_installs, user=user)
        self.resources = fit_arch(self.resources, image, self.backend)
        self.image = fit_image(image, self.backend, self.resources)
        if volumes is None:  # what is set for containers on this machine matters nowhere else
            volumes = self._client.settings.volumes if self.backend == "docker" else ()
        self.volumes = check_volumes(volumes)
        self._prepared = self._client.prepare(self.backend, func, self.image, self.resources)

    def submit(self, *args: Any, **kwargs: Any) -> CallFuture[R]:
        """Run the function once, on these arguments.

        Returns
        -------
        CallFuture
            The call's future, at once.

        Raises
        ------
        InputError
            An argument cannot be pickled.
        """
        request = self._request(style="call", is_single=True)
        return self._client.launch(request, [(args, kwargs)])[0]

    def map(
        self,
        iterdata: Iterable[Any],
        *,
        starmap: bool = False,
        env_vars: dict[str, str] | None = None,
        chunk_size: int | Literal["auto"] = "auto",
        on_error: OnError = "auto",
        budget_usd: float | None = None,
        **original: Unpack[OriginalMapNames],
    ) -> MapFuture[R]:
        """Run the function on each of many inputs.

        Parameters
        ----------
        iterdata : iterable
            The inputs. It is read to its end, in constant memory, before `map` returns.
        starmap : bool, default False
            Whether an input is a tuple of arguments rather than the one argument.
        env_vars : dict of str, optional
            Environment variables of this map, on top of the Knot's.
        chunk_size : int or "auto", default "auto"
            Items that go to a worker at once. "auto" goes by the time that they take.
        on_error : {"auto", "continue", "stop"}, default "auto"
            "auto" stops the map when its first 20 items all failed by the same exception at the same
            line; "continue" never stops it; "stop" stops it at the first failure.
        budget_usd : float, optional
            On AWS: what the map may cost in USD. It is stopped when it would pass that, and keeps the
            results that are there.
        **original
            Names of cloudknot 0.6, such as ``max_threads``; a warning says what has become of them.

        Returns
        -------
        MapFuture
            The future of the whole list, and the sequence of the items' own futures, at once.

        Raises
        ------
        InputError
            Something cannot travel; the message says which item and why. Nothing was started.
        """
        env_vars = read_map_options(original, env_vars)
        try:
            items = iter(iterdata)
        except TypeError:
            raise InputError(
                f"map needs something to iterate over, not {type(iterdata).__name__} {iterdata!r:.80}; "
                "submit runs the function once"
            ) from None
        request = self._request(
            style="star" if starmap else "one",
            env_vars={**self.env_vars, **check_env_vars(env_vars)},
            chunk_size=check_chunk_size(chunk_size),
            on_error=check_on_error(on_error),
            budget_usd=check_budget(budget_usd),
        )
        return self._client.launch(request, items)

    def estimate(self, n_items: int, seconds_per_item: float) -> Estimate:
        """Say what a map will cost on AWS, and how long it will take; nothing is started.

        Parameters
        ----------
        n_items : int
            Items of the map.
        seconds_per_item : float
            Wall time of one.

        Returns
        -------
        Estimate
            Its parts, the formula in the docstring of `cloudknot.money.estimate`, and where the prices are
            from. It prints as a table.

        Raises
        ------
        InputError
            A number will not do.
        """
        return self._client.estimate(self.resources, n_items, seconds_per_item)

    @property
    def jobs(self) -> Jobs[R]:
        """The jobs under this name, oldest first, those of earlier processes too."""
        return Jobs(self._client, self._client.jobs(self.name))

    def view_jobs(self) -> None:
        """Print a table of the jobs under this name."""
        print_jobs(self._client.row(run_id) for run_id in self._client.jobs(self.name))

    def clobber(self, *, results: bool = False) -> Clobbered:
        """Stop this Knot's jobs and remove what was made to run them.

        Parameters
        ----------
        results : bool, default False
            Remove the jobs' inputs and results from the ledger too.

        Returns
        -------
        Clobbered
            What was stopped and removed: jobs, containers, and images that no other Knot's jobs have.
        """
        return clobber(
            self._client, self.name, backend=self.backend, image=self._prepared.image, results=results
        )

    @property
    def _client(self) -> Client:
        if os.getpid() != self._pid:  # in a forked child the parent's threads are not there
            self._client_here, self._pid = current_client(self._pars), os.getpid()
        return self._client_here

    def __repr__(self) -> str:
        return f"<Knot {self.name}: {name_of(self.func)} on {self.backend}>"

    def _repr_html_(self) -> str:
        rows = [self._client.row(run_id) for run_id in self._client.jobs(self.name)[-_SHOWN_JOBS:]]
        return html_of_knot(self.name, name_of(self.func), self.backend, rows)

    def _request(self, **wanted: Any) -> Request:
        return Request(
            **{
                "func": self.func,
                "name": self.name,
                "backend": self.backend,
                "resources": self.resources,
                "retry": self.retry,
                "env_vars": self.env_vars,
                "image": self.image,
                "volumes": self.volumes,
                **wanted,
            }
        )


def attach(run_id: str) -> MapFuture[Any] | CallFuture[Any]:
    """Return the futures of a run that this machine knows, also one of another process.

    Parameters
    ----------
    run_id : str
        As `MapFuture.run_id` or ``cloudknot runs`` tells it.

    Returns
    -------
    MapFuture or CallFuture
        What `Knot.map` or `Knot.submit` had returned. A run whose process lives is followed. Where its
        process has ended, this one takes over a run on AWS, which goes on; the unfinished items of a run
        on that process's machine have failed, and ``resume()`` runs them.

    Raises
    ------
    UnknownRunError
        No run of that id is known here, nor is in the bucket of the stack that is configured.
    """
    return current_client().attach(run_id)
