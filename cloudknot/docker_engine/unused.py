"""Images that only served to build others, removed when none of these is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from docker.errors import APIError, ImageNotFound

from cloudknot.docker_engine.connection import Engine


def remove_unused(engine: Engine, repository: str) -> tuple[str, ...]:
    """Remove the images of a repository on which no image of another name stands; return their names.

    Parameters
    ----------
    engine : Engine
        Where.
    repository : str
        What is before the colon in the names of images that only others stand on.
    """
    with engine.translated("look for layers that no image has any more"):
        held = dict(_layers_by_name(engine))
        unused = unused_names(held, repository)
        removed = []
        for name in unused:
            with contextlib.suppress(APIError):  # another process may just build on it, or remove it
                engine.client.api.remove_image(name)
                removed.append(name)
    return tuple(removed)


def unused_names(held: Mapping[str, Sequence[str]], repository: str) -> list[str]:
    """Return the names in a repository whose layers no image of another repository has; the highest first.

    Parameters
    ----------
    held : dict of str to sequence of str
        Images' names, and their layers from below.
    repository : str
        What is before the colon in the names that may be returned.

    Examples
    --------
    >>> held = {"layer:a": ["1"], "layer:b": ["1", "2"], "layer:c": ["1", "3"], "mine:x": ["1", "2", "4"]}
    >>> unused_names(held, "layer")
    ['layer:c']
    """
    own = {name: layers for name, layers in held.items() if name.startswith(f"{repository}:")}
    others = [layers for name, layers in held.items() if name not in own]
    unused = [
        name
        for name, layers in own.items()
        if not any(list(other[: len(layers)]) == list(layers) for other in others)
    ]
    return sorted(unused, key=lambda name: len(own[name]), reverse=True)


def _layers_by_name(engine: Engine) -> Iterator[tuple[str, list[str]]]:
    api = engine.client.api
    for image in api.images():
        with contextlib.suppress(ImageNotFound):  # another process may just remove it
            layers = api.inspect_image(image["Id"]).get("RootFS", {}).get("Layers") or []
            yield from ((name, layers) for name in image.get("RepoTags") or () if name != "<none>:<none>")
