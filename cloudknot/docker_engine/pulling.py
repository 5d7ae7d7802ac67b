"""Images that are fetched from their registry, and why one was not."""

from __future__ import annotations

from collections.abc import Callable

from docker.errors import APIError

from cloudknot.docker_engine.connection import Engine
from cloudknot.docker_engine.explaining import FREE_SPACE, is_disk_full
from cloudknot.errors import ImageError

Tell = Callable[[str], None]


def pull_image(engine: Engine, name: str, *, platform: str | None = None, tell: Tell = print) -> None:
    """Fetch an image from its registry.

    Raises
    ------
    ImageError
        The registry has none of that name, does not give it, or cannot be reached.
    EngineError
        The engine failed.
    """
    client = engine.client
    tell(f"pulling {name}")
    with engine.translated(f"pull {name}"):
        try:
            # Without a tag the engine would fetch every tag there is.
            whole = name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"
            waiting: set[str] = set()
            for event in client.api.pull(whole, platform=platform, stream=True, decode=True):
                if "error" in event:
                    raise ImageError(why_not_pulled(name, str(event["error"]), platform))
                if event.get("status") == "Pulling fs layer":
                    waiting.add(event["id"])
                elif event.get("status") == "Pull complete":
                    waiting.discard(event["id"])
                    tell(f"pulling {name}: {len(waiting)} layers to go")
        except APIError as error:
            raise ImageError(why_not_pulled(name, str(error.explanation), platform)) from None


def why_not_pulled(name: str, said: str, platform: str | None) -> str:
    """Return why an image could not be had, and what to do, from what the engine said."""
    found = said.strip()
    if is_disk_full(found):
        return f"could not pull {name}: {FREE_SPACE}"
    if "no match for platform" in found or "no matching manifest" in found:
        wanted = platform or "this engine"
        return f"there is no image {name} for {wanted} ({found}): choose another base or platform"
    if "unauthorized" in found or "authentication required" in found:
        return f"the registry of {name} wants to know who asks ({found}): use `docker login`"
    if any(
        sign in found for sign in ("not found", "manifest unknown", "does not exist", "pull access denied")
    ):
        return (
            f"there is no image {name}, here or in its registry ({found}): check its spelling, "
            "or use `docker login` if it is private"
        )
    return (
        f"the image {name} is not on this engine, and its registry could not be reached ({found}): "
        "see the network, or bring the image with `docker load`"
    )
