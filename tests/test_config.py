from __future__ import annotations

from pathlib import Path

import pytest

from cloudknot import InputError
from cloudknot.client import Client
from cloudknot.config import Settings, load_settings


def test_nothing_set_means_this_machine(tmp_path: Path) -> None:
    settings = load_settings({"CLOUDKNOT_CONFIG": str(tmp_path / "none.toml")})
    assert settings.backend == "local"
    assert settings.local_workers is None
    assert settings.progress is None
    assert settings.home.name == "cloudknot"


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('backend = "docker"\nlocal_workers = 3\nprogress = false\nhome = "~/elsewhere"\n')
    environ = {"CLOUDKNOT_CONFIG": str(path)}
    assert load_settings(environ) == Settings(
        home=Path.home() / "elsewhere", backend="docker", local_workers=3, progress=False
    )
    environ |= {"CLOUDKNOT_BACKEND": "local", "CLOUDKNOT_PROGRESS": "1", "CLOUDKNOT_HOME": str(tmp_path)}
    assert load_settings(environ) == Settings(home=tmp_path, local_workers=3, progress=True)


def test_what_is_set_for_aws_comes_from_the_environment_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    environ = {"CLOUDKNOT_CONFIG": str(path)}
    nothing = load_settings(environ)
    assert (nothing.profile, nothing.region, nothing.stack) == (None, None, "cloudknot")
    path.write_text('profile = "lab"\nregion = "eu-central-1"\nstack = "lab-2"\n')
    assert load_settings(environ).stack == "lab-2"
    environ |= {"CLOUDKNOT_PROFILE": "me", "CLOUDKNOT_REGION": "us-gov-west-1", "CLOUDKNOT_STACK": "mine"}
    settings = load_settings(environ)
    assert (settings.profile, settings.region, settings.stack) == ("me", "us-gov-west-1", "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backend = ", "config.toml cannot be read"),
        ("local_workers = 0", "local_workers must be a whole number from 1 up, not 0"),
        ('local_workers = "many"', "local_workers must be a whole number"),
        ("local_wokers = 2", "config.toml has no setting 'local_wokers': choose from"),
        ('region = "Frankfurt"', "region 'Frankfurt' will not do: use one of AWS's, such as 'us-east-1'"),
        ('stack = "Our Lab"', "stack 'Our Lab' will not do: use 2 to 32 small letters, digits and '-'"),
        (f'stack = "{"x" * 33}"', "will not do: use 2 to 32"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_settings({"CLOUDKNOT_CONFIG": str(path)})


def test_a_ledger_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(InputError, match=r"can be written by others.*chmod go-w"):
        Client(Settings(home=tmp_path))
    tmp_path.chmod(0o755)
    Client(Settings(home=tmp_path))
