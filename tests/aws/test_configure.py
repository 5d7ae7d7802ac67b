"""``cloudknot configure``, ``plan`` and ``down``, as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cloudknot.aws.findings import MAKE_ANEW
from cloudknot.aws.substrate import read_stack, read_substrate
from cloudknot.cli import main
from cloudknot.config import load_settings
from cloudknot.errors import InputError
from cloudknot.settings_file import write_settings
from cloudknot.testing import Box
from tests.aws.lab import switch_queue
from tests.aws.stand import allow, become, here, make_stack

pytestmark = pytest.mark.aws_box(executor="process")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file and a ledger of its own, and no profiles."""
    path = tmp_path / "config" / "config.toml"
    monkeypatch.setenv("CLOUDKNOT_CONFIG", str(path))
    monkeypatch.setenv("CLOUDKNOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    return path


def answer(*arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as a person who types these answers."""
    return subprocess.run(
        [sys.executable, "-m", "cloudknot.cli", *arguments],
        input=answers,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("aws_box")
def test_who_agrees_to_everything_is_ready(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configure", "--yes", "--no-proof"]) == 0
    out, err = capsys.readouterr()
    assert "add a bucket: RunBucket" in out
    assert "bucket: cloudknot-123456789012-us-east-1; runs are kept for 90 days" in out
    assert "you are arn:aws:iam::123456789012:" in err
    assert "cloudknot is ready in us-east-1" in err
    assert tomllib.loads(config.read_text()) == {"region": "us-east-1", "stack": "cloudknot"}
    assert read_substrate(here(), load_settings().stack).queues
    assert main(["configure", "--yes", "--no-proof"]) == 0
    assert "the stack cloudknot is so already: nothing would change" in capsys.readouterr().out


def test_it_asks_for_profile_region_and_bucket(aws_box: Box, config: Path, tmp_path: Path) -> None:
    (tmp_path / "aws-config").write_text("[profile lab]\nregion = eu-west-1\n[profile other]\n")
    (tmp_path / "aws-credentials").write_text(
        f"[lab]\naws_access_key_id = {aws_box.access_key}\naws_secret_access_key = {aws_box.secret_key}\n"
    )
    done = answer("configure", "--no-proof", answers="lab\n\nmy-runs\ny\n")
    assert done.returncode == 0, done.stderr
    assert "profile (lab, other; empty: as AWS's tools choose)" in done.stderr
    assert "region [us-east-1]" in done.stderr or "region [eu-west-1]" in done.stderr
    assert "bucket for the runs [cloudknot-123456789012-" in done.stderr
    settings = tomllib.loads(config.read_text())
    assert settings["profile"] == "lab"
    assert "bucket: my-runs; runs are kept" in done.stdout


@pytest.mark.usefixtures("aws_box")
def test_who_disagrees_has_nothing(config: Path) -> None:
    done = answer("configure", "--no-proof", answers="\n\nn\n")
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert read_stack(here(), "cloudknot") is None
    assert not config.exists()


@pytest.mark.usefixtures("aws_box")
@pytest.mark.parametrize("answers", ["", "\n", "\n\n"])
def test_where_nobody_answers_it_says_so_and_leaves_nothing(answers: str) -> None:
    done = answer("configure", "--no-proof", answers=answers)
    assert done.returncode == 1
    assert "nobody can answer here: use --yes" in done.stderr
    assert read_stack(here(), "cloudknot") is None


@pytest.mark.usefixtures("aws_box")
@pytest.mark.parametrize(
    ("bucket", "words"),
    [("My_Bucket", "bucket 'My_Bucket' will not do: use 3 to 63"), ("theirs", "theirs is somebody else's")],
)
def test_a_bucket_that_cannot_be_had_is_said_and_leaves_nothing(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch, bucket: str, words: str
) -> None:
    aws_box.client("s3").create_bucket(Bucket="theirs")
    denied = {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::theirs"}
    become(aws_box, monkeypatch, "ada", {**allow("*"), "Statement": [*allow("*")["Statement"], denied]})
    done = answer("configure", "--no-proof", answers=f"\n{bucket}\n")
    assert done.returncode == 1
    assert words in done.stderr
    assert read_stack(here(), "cloudknot") is None


@pytest.mark.usefixtures("aws_box")
def test_a_bucket_that_is_there_is_promised_no_lifecycle(
    aws_box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    aws_box.client("s3").create_bucket(Bucket="theirs")
    assert main(["plan", "--bucket", "theirs"]) == 3
    out = capsys.readouterr().out
    assert "bucket: theirs, which is there; runs are kept until somebody or a rule of its own" in out


def test_what_is_switched_off_is_switched_on_again(aws_box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    queue, batch = make_stack().queues["x86"], aws_box.client("batch")
    [found] = batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
    switch_queue(aws_box, queue, "DISABLED")
    behind = found["computeEnvironmentOrder"][0]["computeEnvironment"]
    batch.update_compute_environment(computeEnvironment=behind, state="DISABLED")
    aws_box.advance(2)
    assert main(["plan"]) == 3
    assert f"switch on job queues: {found['jobQueueName']}" in capsys.readouterr().out
    assert main(["configure", "--yes", "--no-proof"]) == 0
    assert batch.describe_job_queues(jobQueues=[queue])["jobQueues"][0]["state"] == "ENABLED"
    [environment] = batch.describe_compute_environments(computeEnvironments=[behind])["computeEnvironments"]
    assert environment["state"] == "ENABLED"
    assert main(["plan"]) == 0


def test_what_doctor_says_of_a_damaged_stack_mends_it(
    aws_box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = make_stack(new_vpc=True).bucket
    aws_box.client("s3").put_object(Bucket=bucket, Key="runs/r/x")
    aws_box.client("ecr").delete_repository(repositoryName="cloudknot", force=True)
    assert main(["doctor"]) == 1
    assert f"to do: {MAKE_ANEW}" in capsys.readouterr().out
    commands = [command.split()[1:] for command in MAKE_ANEW.split("'")[1::2]]
    for verb, *options in commands:
        no_proof = ["--no-proof", "--new-vpc"] if verb == "configure" else []
        assert main([verb, *options, "--yes", *(no_proof if options == [] else no_proof[:1])]) == 0
    assert main(["doctor"]) == 0
    assert aws_box.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1


@pytest.mark.usefixtures("aws_box")
def test_a_plan_that_ends_jobs_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    make_stack()
    assert main(["plan", "--remove-pool", "arm64"]) == 3
    assert (
        "jobs that wait or run in queues that are removed or made anew are ended" in capsys.readouterr().out
    )
    assert main(["plan", "--gpu"]) == 3
    assert "are ended" not in capsys.readouterr().out


def test_other_settings_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('# mine\nlocal_workers = 3  # few\nregion = "eu-west-1"\nprofile = "old"\n')
    path.chmod(0o600)
    write_settings(path, profile=None, region="us-east-1", stack="lab")
    assert path.read_text() == '# mine\nlocal_workers = 3  # few\nregion = "us-east-1"\nstack = "lab"\n'
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]
    path.write_text("region = \n")
    with pytest.raises(InputError, match=r"config.toml cannot be written: .*line 1"):
        write_settings(path, region="us-east-1")


def test_a_configuration_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    path, real = tmp_path / "config.toml", tmp_path / "dotfiles.toml"
    path.symlink_to(real)
    write_settings(path, region="us-east-1")
    assert path.is_symlink()
    assert real.read_text() == 'region = "us-east-1"\n'


def test_credentials_that_aws_does_not_know_say_what_to_do(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
    assert main(["configure", "--yes"]) == 1
    assert "sts:get_caller_identity: " in capsys.readouterr().err
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(["configure", "--yes"]) == 1
    assert "log in (aws sso login)" in capsys.readouterr().err
    assert aws_box.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.usefixtures("aws_box")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "none"], "there is no profile 'none' here"),
        (["--pool", "c5"], "write NAME=VALUE"),
        (["--tag", "owner"], "tag 'owner' will not do: write NAME=VALUE"),
        (["--stack", "My Lab"], "stack 'My Lab' will not do"),
        (["--subnet", "subnet-0123"], "no subnet subnet-0123"),
        (["--region", "moon"], "region 'moon' will not do"),
    ],
)
def test_an_option_that_will_not_do_says_why(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["configure", "--yes", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("aws_box")
def test_an_assumed_role_is_as_good_as_a_person(
    aws_box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    iam = aws_box.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="dev", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    iam.put_role_policy(RoleName="dev", PolicyName="all", PolicyDocument=json.dumps(allow("*")))
    become(aws_box, monkeypatch, "ada", allow("sts:AssumeRole"))
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        f"[profile dev]\nrole_arn = {role}\ncredential_source = Environment\nregion = us-east-1\n"
    )
    assert main(["configure", "--yes", "--no-proof", "--profile", "dev"]) == 0
    assert "you are arn:aws:sts::123456789012:assumed-role/dev/" in capsys.readouterr().err


@pytest.mark.usefixtures("aws_box")
def test_a_plan_tells_by_its_exit_code_whether_anything_would_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan"]) == 3
    assert "add job queues: " in capsys.readouterr().out
    assert read_stack(here(), "cloudknot") is None
    make_stack()
    assert main(["plan"]) == 0
    assert main(["plan", "--pool", "instance_types=c5.large,volume_gib=200", "--max-vcpus", "64"]) == 3
    out = capsys.readouterr().out
    assert "add templates of machines: Machines200" in out
    assert "change compute environments: X86, X86Spot" in out
    assert main(["plan"]) == 0


@pytest.mark.usefixtures("aws_box")
def test_options_reach_the_stack() -> None:
    arguments = (
        "--stack lab --bucket my-runs --keep-days 0 --log-days 30 --max-vcpus 32 --gpu --tag owner=ada"
    )
    assert main(["configure", "--yes", "--no-proof", *arguments.split()]) == 0
    lab = read_substrate(here(), "lab")
    assert lab.bucket == "my-runs"
    assert "gpu-prefer" in lab.queues
    assert lab.tags == {"owner": "ada", "cloudknot:stack": "lab"}
    assert load_settings().stack == "lab"


@pytest.mark.usefixtures("aws_box")
def test_down_asks_and_ends_with_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    make_stack()
    done = answer("down", answers="\n")
    assert done.returncode == 1
    assert "remove the image repository cloudknot with all images" in done.stdout
    assert "remove all this from account 123456789012, us-east-1? [y/N]" in done.stderr
    assert "nothing was removed" in done.stderr
    assert answer("down").returncode == 1
    assert read_stack(here(), "cloudknot") is not None
    assert main(["down", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("nothing of cloudknot is left in us-east-1\n")
    assert read_stack(here(), "cloudknot") is None
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "nothing of cloudknot is left in us-east-1\n"


@pytest.mark.usefixtures("aws_box")
def test_down_lists_what_aws_still_has(capsys: pytest.CaptureFixture[str]) -> None:
    make_stack(keeps_bucket=True)
    assert main(["down", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "leave the bucket cloudknot-123456789012-us-east-1 as it is: it is to be kept" in out
    assert out.endswith("  arn:aws:s3:::cloudknot-123456789012-us-east-1\n")


@pytest.mark.aws_box(executor="docker")
@pytest.mark.usefixtures("engine", "aws_box")
def test_one_real_job_is_the_proof(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configure", "--yes"]) == 0
    assert "a job has run on Linux" in capsys.readouterr().err


@pytest.mark.usefixtures("aws_box")
def test_without_docker_it_says_how_to_prove_it_later(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert main(["configure", "--yes"]) == 0
    err = capsys.readouterr().err
    assert "no job was run: " in err
    assert "'cloudknot configure --yes' runs one" in err
