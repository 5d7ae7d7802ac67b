"""Start a docker engine where none answers, and make the images of the tests: ``python -m tests.rig``."""

from __future__ import annotations

import os
import sys
import time

import docker

from tests.rig.base_image import ensure_bare_image, ensure_base_image
from tests.rig.engine import ensure_engine
from tests.rig.errors import EngineUnavailableError


def main() -> None:
    """Ensure engine and images, and print what there is."""
    # Whoever calls this asks for an engine.
    os.environ.setdefault("CLOUDKNOT_TEST_ENGINE", "install")
    begun = time.monotonic()
    try:
        ensure_engine()
        names = [ensure_base_image(), ensure_bare_image()]
    except EngineUnavailableError as error:
        sys.exit(str(error))
    client = docker.from_env()
    try:
        about = client.info()
        print(
            f"docker engine {about['ServerVersion']} (API {client.version()['ApiVersion']}), "
            f"{about['Driver']}, cgroup v{about['CgroupVersion']}"
        )
        for name in names:
            image = client.images.get(name)
            print(f"{name}  {image.short_id}  {image.attrs['Size'] / 1e6:.0f} MB")
    finally:
        client.close()
    print(f"ready after {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()
