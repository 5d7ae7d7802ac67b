"""Publishing to a branch of a git repository, as GitHub Pages reads it; its history is kept."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from examples.tractometry.page.errors import PageError
from examples.tractometry.page.folder import MARKER

BRANCH = "gh-pages"
_KEPT = "CNAME"  # GitHub keeps a domain of one's own in the branch
# GitHub refuses a larger file.
MAX_BYTES = 100 * 2**20
_ABSENT = 2  # the exit code of `git ls-remote --exit-code` where there is no such branch


@dataclass(frozen=True, kw_only=True)
class GitTarget:
    """A branch of a repository.

    Parameters
    ----------
    address : str
        What git takes: a URL or a path.
    branch : str
        Which branch.
    environ : mapping, optional
        git's environment variables.
    """

    address: str
    branch: str = BRANCH
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @classmethod
    def of_remote(cls, name: str) -> Self:
        """Return where a remote of the repository here leads.

        Raises
        ------
        PageError
            There is no such remote.
        """
        done = _git("remote", "get-url", "--push", name)
        if done.returncode:
            remotes = ", ".join(_git("remote").stdout.split()) or "none"
            raise PageError(f"there is no git remote {name!r} in this folder; its remotes: {remotes}.")
        return cls(address=done.stdout.strip())

    @property
    def page(self) -> str:
        """Where GitHub Pages shows the branch, or nothing for other repositories."""
        found = re.search(r"github\.com[:/]([^/]+)/(.+?)(?:\.git)?/?$", self.address)
        if not found:
            return ""
        owner, name = found[1].lower(), found[2]
        return f"https://{owner}.github.io/" + ("" if name.lower() == f"{owner}.github.io" else f"{name}/")

    def check(self) -> None:
        """Check that the branch is not there yet, or was made by this.

        Raises
        ------
        PageError
            The repository cannot be reached, or the branch is somebody else's.
        """
        with tempfile.TemporaryDirectory() as temporary:
            self._fetch(Path(temporary))

    def push(self, folder: Path, *, message: str) -> str:
        """Commit a folder on top of the branch and push it, never by force.

        Raises
        ------
        PageError
            The branch is somebody else's, git has no name for the author, or the repository refuses.
        """
        large = [path.name for path in folder.rglob("*") if path.stat().st_size > MAX_BYTES]
        if large:
            raise PageError(f"{', '.join(large)} has over 100 MiB, which GitHub refuses: gzip it first.")
        with tempfile.TemporaryDirectory() as temporary:
            store = Path(temporary)
            tip = self._fetch(store)
            tree = self._tree(store, folder.resolve(), tip)
            if tip and self._run(store, "rev-parse", f"{tip}^{{tree}}") == tree:
                return f"{self.address}: {self.branch} has this page already."
            parents = ("-p", tip) if tip else ()
            commit = self._run(store, "commit-tree", tree, *parents, "-m", message)
            self._run(store, "push", self.address, f"{commit}:refs/heads/{self.branch}")
        hint = f" Set GitHub Pages to this branch, and the page is at {self.page}" if self.page else ""
        return f"{self.address}: {self.branch} is now {commit[:10]}.{hint}"

    def _fetch(self, store: Path) -> str:
        """Make an empty repository that has the branch's last commit, and return it, or nothing."""
        self._run(store, "init", "--bare", "--quiet")
        found = _git("ls-remote", "--exit-code", "--heads", self.address, self.branch, environ=self.environ)
        if found.returncode == _ABSENT:
            return ""
        if found.returncode:
            raise PageError(f"git cannot reach {self.address}: {found.stderr.strip()}")
        self._run(store, "fetch", "--quiet", "--depth=1", self.address, f"refs/heads/{self.branch}")
        tip = self._run(store, "rev-parse", "FETCH_HEAD")
        if _git("cat-file", "-e", f"{tip}:{MARKER}", store=store).returncode:
            raise PageError(
                f"the branch {self.branch} of {self.address} was not made by this, and is left as it is. "
                f"Publish to another repository, or rename or remove that branch first."
            )
        return tip

    def _tree(self, store: Path, folder: Path, tip: str) -> str:
        """Return the tree of a folder, with what stays of the branch."""
        self._run(store, f"--work-tree={folder}", "add", "--all", "--force", ".", folder=folder)
        kept = _git("rev-parse", "--verify", "--quiet", f"{tip}:{_KEPT}", store=store) if tip else None
        if kept and kept.returncode == 0:
            entry = f"100644,{kept.stdout.strip()},{_KEPT}"
            self._run(store, "update-index", "--add", "--cacheinfo", entry)
        return self._run(store, "write-tree")

    def _run(self, store: Path, *arguments: str, folder: Path | None = None) -> str:
        done = _git(*arguments, store=store, folder=folder, environ=self.environ)
        if done.returncode:
            raise PageError(f"git {arguments[0]} failed for {self.address}: {done.stderr.strip()}")
        return done.stdout.strip()


def _git(
    *arguments: str,
    store: Path | None = None,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run git; the person's settings must not change the files."""
    place = [f"--git-dir={store}"] if store else []
    try:
        return subprocess.run(
            ["git", *place, "-c", "core.autocrlf=false", "-c", "core.bare=false", *arguments],
            cwd=folder,
            env=None if environ is None else dict(environ),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise PageError("git is not installed. Install it, or publish to s3://bucket.") from error
