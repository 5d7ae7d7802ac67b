"""The Knot: a person's function, ready to run over many inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

from cloudknot.backends import check_backend
from cloudknot.calls import CallFuture
from cloudknot.client import Client, current_client
from cloudknot.display import html_of_knot, print_jobs
from cloudknot.errors import InputError
from cloudknot.futures import MapFuture
from cloudknot.removal import Clobbered, clobber
from cloudknot.runner.orders import OnError
from cloudknot.shipping import check_function, knot_name_of, name_of
from cloudknot.specs import (
    Image,
    Resources,
    Retry,
    check_chunk_size,
    check_env_vars,
    check_name,
    check_on_error,
    check_volumes,
    extend_image,
)
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
        The place: ``"local"`` (processes on this machine) or ``"docker"`` (containers on this machine).
        Not given: ``CLOUDKNOT_BACKEND``, then the configuration file, then
        ``"local"``.
    vcpus : float, default 1
        Processors of one item. Numerical libraries get that many threads.
    memory_mib : int, optional
        Memory of one item in MiB.
    timeout_s : float, optional
        Seconds after which an item is killed.
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
        retries: int | Retry = 0,
        env_vars: dict[str, str] | None = None,
        image: Image | None = None,
        base_image: str | None = None,
        image_github_installs: str | Iterable[str] = (),
        volumes: Iterable[str | os.PathLike[str]] | None = None,
        client: Client | None = None,
    ) -> None:
        check_function(func)
        self.func = func
        self.name = check_name(knot_name_of(func) if name is None else name)
        self._client_here = current_client() if client is None else client
        self._pid = os.getpid()
        self.backend = check_backend(self._client.settings.backend if backend is None else backend)
        self.resources = Resources(vcpus=vcpus, memory_mib=memory_mib, timeout_s=timeout_s)
        self.retry = retries if isinstance(retries, Retry) else Retry(raised=retries)
        self.env_vars = check_env_vars(env_vars)
        self.image = extend_image(image, base_image=base_image, github_installs=image_github_installs)
        if volumes is None:  # what is set for all containers matters to none on this machine itself
            volumes = () if self.backend == "local" else self._client.settings.volumes
        self.volumes = check_volumes(volumes)
        self._prepared = self._client.prepare(self.backend, func, self.image)

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

        Returns
        -------
        MapFuture
            The future of the whole list, and the sequence of the items' own futures, at once.

        Raises
        ------
        InputError
            Something cannot travel; the message says which item and why. Nothing was started.
        """
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
        )
        return self._client.launch(request, items)

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
            self._client_here, self._pid = current_client(), os.getpid()
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
        What `Knot.map` or `Knot.submit` had returned. A run whose process lives is followed; the
        unfinished items of one whose process has ended have failed, and ``resume()`` runs them.

    Raises
    ------
    UnknownRunError
        No run of that id is known here.
    """
    return current_client().attach(run_id)
