"""The way to AWS: what goes wrong on it is said in words, with what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cloudknot.aws.session import Aws
from cloudknot.errors import AwsError, InputError


class LoginPage(BaseHTTPRequestHandler):
    """What a hotel's network answers, whatever is asked."""

    def do_POST(self) -> None:
        body = b"<!doctype html><title>Welcome to our hotel<br></title>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def login_page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), LoginPage) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AWS's configuration files of this test alone, and no variables."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def test_an_answer_that_is_not_aws_s_is_said_as_such(
    login_page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", login_page)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with pytest.raises(
        AwsError, match=r"^sts:get_caller_identity: the answer is not AWS's: a proxy"
    ) as caught:
        Aws(region="us-east-1").call("sts", "get_caller_identity", retries=False)
    assert "hotel" not in str(caught.value)


def test_a_configuration_file_that_cannot_be_read_is_named(files: Path) -> None:
    (files / "config").write_text("garbage [\n")
    with pytest.raises(InputError, match=r"Unable to parse config file: .*config: mend that file"):
        _ = Aws(region="us-east-1").profiles


def test_who_is_logged_out_reads_the_whole_command(files: Path) -> None:
    (files / "config").write_text(
        "[sso-session my]\nsso_start_url = https://my.awsapps.com/start\nsso_region = us-east-1\n"
        "[profile lab]\nsso_session = my\nsso_account_id = 123456789012\nsso_role_name = Researcher\n"
    )
    with pytest.raises(AwsError, match=r"log in \(aws sso login --profile lab\)"):
        _ = Aws(profile="lab", region="us-east-1").identity
