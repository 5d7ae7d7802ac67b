"""A page goes to a git branch or a bucket, with its licence and citation, and harms nothing there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pandas as pd
import pytest
import yaml

from cloudknot.testing import Box
from examples.tractometry.page.__main__ import main
from examples.tractometry.page.git_target import GitTarget
from examples.tractometry.page.publication import parse_target
from examples.tractometry.page.s3_target import S3Target
from tests.examples.small_study import DESCRIPTION, PEOPLE, write_study

BUCKET = "pages-of-our-study"
BRANCH = "gh-pages"
PUBLISHED = {"index.html", ".nojekyll", "LICENSE", "CITATION.cff", "data/nodes.csv.gz", "data/subjects.csv"}


def refuse_to_answer(question: str) -> str:
    raise EOFError


def never_ask(question: str) -> str:
    raise AssertionError(f"asked: {question}")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run git as somebody, without this machine's settings."""
    settings = tmp_path / "gitconfig"
    quick = "[core]\n\tcompression = 0\n[pack]\n\twindow = 0\n"
    settings.write_text(f"[user]\n\tname = Somebody\n\temail = somebody@example.org\n{quick}")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    def run(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def bare(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A repository to push to."""
    path = tmp_path / "pages.git"
    git("init", "--quiet", "--bare", str(path))
    return path


@pytest.fixture
def bucket(aws_box: Box) -> str:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return BUCKET


def publish(study: Path, target: str | Path, *options: str) -> None:
    main([str(study), "--publish", str(target), "--yes", *options], ask=never_ask)


def test_git_gets_the_page_with_its_data_and_rights(
    study: Path, bare: Path, git: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish(study, bare)

    names = set(git("-C", str(bare), "ls-tree", "-r", "--name-only", BRANCH).splitlines())
    assert names >= PUBLISHED
    assert "CC-BY-4.0" in git("-C", str(bare), "show", f"{BRANCH}:LICENSE")
    citation = yaml.safe_load(git("-C", str(bare), "show", f"{BRANCH}:CITATION.cff"))
    assert citation["message"] == DESCRIPTION["HowToAcknowledge"]
    assert [author["name"] for author in citation["authors"]] == DESCRIPTION["Authors"]
    assert citation["license"] == "CC-BY-4.0"
    assert git("-C", str(bare), "log", "--format=%s%n%an", BRANCH).splitlines() == [
        "Tract profiles: Small study (12 people, 3 tracts)",
        "Somebody",
    ]
    assert f"{bare}: {BRANCH} is now" in capsys.readouterr().out


def test_the_published_tables_are_those_of_the_study(
    study: Path, bare: Path, git: Callable[..., str]
) -> None:
    publish(study, bare, "--without", "age")

    clone = bare.parent / "clone"
    git("clone", "--quiet", "--branch", BRANCH, str(bare), str(clone))
    assert (clone / "data" / "nodes.csv.gz").read_bytes() == (study / "nodes.csv.gz").read_bytes()
    people = pd.read_csv(clone / "data" / "subjects.csv", dtype=str)
    assert list(people) == ["subjectID", "class"], "what is left out is left out of the table too"
    assert tuple(people["subjectID"]) == PEOPLE


def test_publishing_again_keeps_the_history_and_nothing_of_the_old_page(
    study: Path, bare: Path, git: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish(study, bare)
    first = git("-C", str(bare), "rev-parse", BRANCH)
    publish(study, bare)
    assert git("-C", str(bare), "rev-parse", BRANCH) == first
    assert "has this page already" in capsys.readouterr().out

    (study / "streamlines.json").unlink()
    publish(study, bare)

    assert git("-C", str(bare), "rev-parse", f"{BRANCH}~1") == first
    assert "data/streamlines.json" not in git("-C", str(bare), "ls-tree", "-r", "--name-only", BRANCH)


def test_a_domain_of_ones_own_stays(study: Path, bare: Path, git: Callable[..., str], tmp_path: Path) -> None:
    publish(study, bare)
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--branch", BRANCH, str(bare), str(clone))
    (clone / "CNAME").write_text("tracts.example.org\n")
    git("-C", str(clone), "add", "CNAME")
    git("-C", str(clone), "commit", "--quiet", "-m", "Domain")
    git("-C", str(clone), "push", "--quiet")

    publish(study, bare, "--without", "age")

    assert git("-C", str(bare), "show", f"{BRANCH}:CNAME") == "tracts.example.org"


def test_a_branch_of_somebody_else_is_left_alone(
    study: Path, bare: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    git("init", "--quiet", "--initial-branch", BRANCH, str(other))
    git("-C", str(other), "commit", "--quiet", "--allow-empty", "-m", "My homepage")
    git("-C", str(other), "push", "--quiet", str(bare), BRANCH)
    before = git("-C", str(bare), "rev-parse", BRANCH)

    with pytest.raises(SystemExit, match="was not made by this, and is left as it is"):
        publish(study, bare)

    assert git("-C", str(bare), "rev-parse", BRANCH) == before
    assert not (study / "page").exists()


def test_a_remote_is_known_by_its_name(
    study: Path, bare: Path, git: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    git("init", "--quiet", str(here))
    git("-C", str(here), "remote", "add", "public", str(bare))
    monkeypatch.chdir(here)

    publish(study, "remote:public")

    assert git("-C", str(bare), "log", "--oneline", BRANCH)
    with pytest.raises(SystemExit, match="no git remote 'origin' in this folder; its remotes: public"):
        publish(study, "remote:origin")


def test_a_repository_that_cannot_be_reached_is_said_before_anything_is_written(
    study: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"git cannot reach .*nowhere"):
        publish(study, tmp_path / "nowhere.git")

    assert not (study / "page").exists()


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("https://github.com/Some/thing.git", "https://some.github.io/thing/"),
        ("git@github.com:some/some.github.io.git", "https://some.github.io/"),
        ("/srv/pages.git", ""),
    ],
)
def test_the_address_of_the_page_is_told(address: str, page: str) -> None:
    assert GitTarget(address=address).page == page


@pytest.mark.parametrize("lacking", ["License", "HowToAcknowledge"])
def test_without_licence_or_citation_nothing_is_published(study: Path, bare: Path, lacking: str) -> None:
    said = {key: value for key, value in DESCRIPTION.items() if key != lacking}
    (study / "dataset_description.json").write_text(json.dumps(said))
    word = {"License": "licence", "HowToAcknowledge": "citation"}[lacking]

    with pytest.raises(SystemExit, match=f"as they have no {word}: .*dataset_description.json"):
        publish(study, bare)

    assert not (study / "page").exists()


def test_files_of_ones_own_are_taken_for_licence_and_citation(
    study: Path, bare: Path, git: Callable[..., str]
) -> None:
    (study / "dataset_description.json").unlink()
    (study / "LICENSE").write_text("Public domain\n")
    (study / "CITATION.cff").write_text("cff-version: 1.2.0\ntitle: Ours\n")

    publish(study, bare)

    assert git("-C", str(bare), "show", f"{BRANCH}:LICENSE") == "Public domain"
    assert "title: Ours" in git("-C", str(bare), "show", f"{BRANCH}:CITATION.cff")


@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("n", False), ("", False)])
def test_the_columns_about_people_are_named_and_asked_for(
    study: Path,
    bare: Path,
    git: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    answer: str,
    goes: bool,
) -> None:
    arguments = [str(study), "--publish", str(bare)]
    if goes:
        main(arguments, ask=lambda _: answer)
    else:
        with pytest.raises(SystemExit, match="nothing was published"):
            main(arguments, ask=lambda _: answer)

    assert bool(git("-C", str(bare), "branch", "--list", BRANCH)) == goes
    said = capsys.readouterr().out
    assert "of 12 people:\n  subjects.csv with subjectID, class, age\n" in said
    assert "  nodes.csv.gz with subjectID, tractID, nodeID, fa, md\n" in said


def test_they_are_named_also_where_nobody_is_asked(
    study: Path, bare: Path, git: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish(study, bare, "--without", "age")

    assert "subjects.csv with subjectID, class\n" in capsys.readouterr().out


def test_where_nobody_can_be_asked_nothing_is_published(study: Path, bare: Path) -> None:
    with pytest.raises(SystemExit, match="nobody to ask: add --yes"):
        main([str(study), "--publish", str(bare)], ask=refuse_to_answer)


@pytest.mark.aws_box(executor="process")
def test_a_bucket_gets_the_page_with_the_right_types(
    study: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(study, f"s3://{bucket}/small")

    client = boto3.client("s3")
    keys = {entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys >= {f"small/{name}" for name in PUBLISHED}
    types = {
        name: client.head_object(Bucket=bucket, Key=f"small/{name}")["ContentType"] for name in keys_of(keys)
    }
    assert types["index.html"] == "text/html; charset=utf-8"
    assert types["scripts/main.js"] == "text/javascript; charset=utf-8"
    assert types["styles/look.css"] == "text/css; charset=utf-8"
    assert types["data/subjects.csv"] == "text/csv; charset=utf-8"
    assert types["LICENSE"] == "text/plain; charset=utf-8"
    body = client.get_object(Bucket=bucket, Key="small/data/nodes.csv.gz")["Body"].read()
    assert body == (study / "nodes.csv.gz").read_bytes()
    assert f"http://{bucket}.s3-website-" in capsys.readouterr().out


def keys_of(keys: set[str]) -> list[str]:
    return [key.removeprefix("small/") for key in keys]


@pytest.mark.aws_box(executor="process")
def test_a_bucket_keeps_what_is_not_of_the_page(study: Path, bucket: str) -> None:
    client = boto3.client("s3")
    client.put_object(Bucket=bucket, Key="raw/brain.nii.gz", Body=b"precious")
    publish(study, f"s3://{bucket}/small")
    client.put_object(Bucket=bucket, Key="small/notes.txt", Body=b"mine")
    (study / "streamlines.json").unlink()
    publish(study, f"s3://{bucket}/small")

    keys = {entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert {"raw/brain.nii.gz", "small/notes.txt", "small/index.html"} <= keys
    assert "small/data/streamlines.json" not in keys, "of the page of before, nothing is left over"
    with pytest.raises(SystemExit, match=r"holds raw/brain.nii.gz, which this has not made"):
        publish(study, f"s3://{bucket}/raw")
    with pytest.raises(SystemExit, match="S3 refused for s3://no-such-bucket"):
        publish(study, "s3://no-such-bucket/small")


def test_places_are_told_apart() -> None:
    bucket, repository = parse_target("s3://bucket/a/b/"), parse_target("git@github.com:some/thing.git")
    assert isinstance(bucket, S3Target)
    assert (bucket.bucket, bucket.prefix) == ("bucket", "a/b")
    assert isinstance(repository, GitTarget)
    with pytest.raises(ValueError, match="names no bucket"):
        parse_target("s3://")
