"""Programs that the rig needs, from Debian's packages, where installing is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from tests.rig.errors import EngineUnavailableError
from tests.rig.state import only_one, state_file, tail

LOCK_TIMEOUT_S = 120


def find_program(name: str) -> str | None:
    """Return the path of a program, also of one for root only."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def install_missing(packages: Mapping[str, str]) -> None:
    """Install what is not there, of programs and the packages that bring them.

    Raises
    ------
    EngineUnavailableError
        When something is missing that may not or cannot be installed.
    """
    missing = [package for program, package in packages.items() if find_program(program) is None]
    if not missing:
        return
    refusal = why_not_install(os.environ)
    if refusal:
        raise EngineUnavailableError(f"{', '.join(missing)} must be installed: {refusal}")
    with only_one("apt-get"):
        install = ["install", "-y", "--no-install-recommends", *missing]
        if not _runs(*install):
            _runs("update")
            if not _runs(*install):
                raise EngineUnavailableError(
                    f"apt-get {' '.join(install)} failed:\n{tail(state_file('apt-get.log'))}"
                )


def why_not_install(environment: Mapping[str, str]) -> str | None:
    """Return why nothing is installed here, and what the person can do, or None where it may be."""
    if environment.get("CI") != "true" and environment.get("CLOUDKNOT_TEST_ENGINE") != "install":
        return "do it, or set CLOUDKNOT_TEST_ENGINE=install as root on Debian, and the tests do it"
    if os.geteuid() != 0:
        return "the tests would do it as root, and this is not"
    if find_program("apt-get") is None:
        return "the tests would do it by apt-get, as on Debian, which is not here"
    return None


def _runs(*arguments: str) -> bool:
    """Run apt-get, its output into a log, and return whether it ended well."""
    with state_file("apt-get.log").open("ab") as log:
        done = subprocess.run(
            ["apt-get", f"--option=DPkg::Lock::Timeout={LOCK_TIMEOUT_S}", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return done.returncode == 0
