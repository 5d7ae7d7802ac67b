"""ECR in the box, with real pushes: what is there, what is sent, what is refused and in which words."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from docker import DockerClient

from cloudknot.aws.registry import Deleted, Refusal, Registry, read_refusal
from cloudknot.aws.session import Aws
from cloudknot.docker_engine.connection import Engine
from cloudknot.errors import AwsError, EngineError, NotConfiguredError
from cloudknot.testing import Box
from cloudknot.testing.faults import ResetConnection, Throttle
from tests.aws.pushing_rig import LEAST, a_door, become, least_policy, make_repository, operations
from tests.box.registry_rig import make_image

pytestmark = pytest.mark.aws_box(executor="process")

NAME = f"cloudknot-test/pushed-{os.getpid()}"  # of this process alone


@pytest.fixture
def builder(engine: DockerClient) -> Iterator[Engine]:
    """An engine with two images that no registry has, `pushed:1` and `pushed:2`, that are gone afterwards."""
    for tag in ("1", "2"):
        make_image(engine, f"{NAME}:{tag}")
    builder = Engine()
    yield builder
    builder.close()
    for tag in ("1", "2"):
        engine.images.remove(f"{NAME}:{tag}", force=True)


def refuse_to_wait(seconds: float) -> None:
    pytest.fail(f"it waited {seconds} s")


def push(registry: Registry, builder: Engine, number: int = 1, tag: str = "a") -> tuple[str, list[str]]:
    said: list[str] = []
    return registry.push(builder, f"{NAME}:{number}", tag, tell=said.append), said


def test_what_is_pushed_is_found_by_its_tag(aws_box: Box, builder: Engine) -> None:
    registry = Registry(Aws(), make_repository(aws_box), sleep=refuse_to_wait)
    assert registry.find("a") is None
    digest, said = push(registry, builder)
    assert digest == registry.find("a")
    assert said[-1].startswith(f"pushing {registry.uri}:a: 1 of 1 layers are there")


def test_a_push_leaves_no_name_on_the_engine(aws_box: Box, builder: Engine) -> None:
    push(Registry(Aws(), make_repository(aws_box)), builder)
    found = builder.client.api.inspect_image(f"{NAME}:1")
    assert found["RepoTags"] == [f"{NAME}:1"]
    assert found["RepoDigests"] == []


def test_layers_that_are_there_are_not_sent_again(aws_box: Box, builder: Engine) -> None:
    uri = make_repository(aws_box)
    with a_door(aws_box) as door:
        registry = Registry(Aws(), door.uri(uri), sleep=refuse_to_wait)
        digest, _ = push(registry, builder)
        first = door.sent_bytes
        again, said = push(registry, builder, tag="b")
        assert again == digest
        assert door.sent_bytes - first < first / 10
        assert said == [f"pushing {registry.uri}:b: 1 of 1 layers are there"]


def test_the_password_is_in_no_log(
    aws_box: Box, builder: Engine, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "docker")
    caplog.set_level(logging.DEBUG, "urllib3")
    heard = Listener()
    _, said = push(Registry(heard, make_repository(aws_box)), builder)
    [token] = heard.tokens
    shown = [caplog.text, *capfd.readouterr(), *said]
    assert not any(token[8:] in text for text in shown)


class Listener(Aws):
    """Access that remembers the tokens it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def call(self, service: str, operation: str, *, retries: bool = True, **parameters: Any) -> Any:
        reply = super().call(service, operation, retries=retries, **parameters)
        self.tokens += [one["authorizationToken"] for one in reply.get("authorizationData", ())]
        return reply


def test_a_repository_that_is_not_there_is_to_be_configured(aws_box: Box, builder: Engine) -> None:
    registry = Registry(Aws(), f"localhost:{aws_box.port}/nowhere", sleep=refuse_to_wait)
    for ask in (lambda: registry.find("a"), lambda: push(registry, builder), lambda: registry.delete({"x"})):
        with pytest.raises(NotConfiguredError, match=r"'nowhere' does not exist .*'cloudknot configure'"):
            ask()


def test_the_least_policy_is_enough(aws_box: Box, builder: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = make_repository(aws_box)
    registry = Registry(become(aws_box, monkeypatch, least_policy(aws_box)), uri, sleep=refuse_to_wait)
    digest, _ = push(registry, builder)
    assert registry.find("a") == digest
    assert registry.delete({digest}).digests == {digest}


@pytest.mark.parametrize("action", [*sorted({*LEAST} - {"ecr:BatchGetImage"}), "ecr:GetAuthorizationToken"])
def test_what_is_not_allowed_is_named_with_the_cure(
    aws_box: Box, builder: Engine, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    uri = make_repository(aws_box)
    policy = least_policy(aws_box, without=action)
    registry = Registry(become(aws_box, monkeypatch, policy), uri, sleep=refuse_to_wait)
    # A layer is looked for with HEAD, whose answer has no words.
    named = "HTTP 403" if action == "ecr:BatchCheckLayerAvailability" else action

    def use() -> None:
        registry.find("a")
        registry.delete({push(registry, builder)[0]})

    with pytest.raises(AwsError, match=f"{named} .*'cloudknot policy' prints") as caught:
        use()
    assert caught.value.code == "AccessDeniedException"


def test_throttling_and_a_lost_answer_fail_nothing(aws_box: Box, builder: Engine) -> None:
    registry = Registry(Aws(), make_repository(aws_box), sleep=refuse_to_wait)
    aws_box.add_fault(Throttle(service="ecr", operation="GetAuthorizationToken", times=2))
    aws_box.add_fault(Throttle(service="ecr", operation="DescribeImages", times=2))
    aws_box.add_fault(ResetConnection(service="ecr", operation="BatchDeleteImage", moment="before", times=1))
    digest, _ = push(registry, builder)
    assert registry.find("a") == digest
    assert registry.delete({digest}).digests == {digest}


def test_a_push_is_tried_again_while_the_registry_is_out_of_reach(aws_box: Box, builder: Engine) -> None:
    uri = make_repository(aws_box)
    waits: list[float] = []

    with a_door(aws_box) as door:
        door.close()

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                door.reopen()

        registry = Registry(Aws(), door.uri(uri), sleep=wait)
        digest, said = push(registry, builder)
        assert digest == registry.find("a")
    assert len(waits) == 2
    assert [line for line in said if "tried again in" in line and "connection refused" in line]


def test_a_registry_that_stays_out_of_reach_is_told_with_the_cure(aws_box: Box, builder: Engine) -> None:
    uri = make_repository(aws_box)
    with a_door(aws_box) as door:
        door.close()
        registry = Registry(Aws(), door.uri(uri), sleep=lambda seconds: None)
        with pytest.raises(AwsError, match=r"connection refused.*see the network and the proxy") as caught:
            push(registry, builder)
    assert caught.value.is_unsure


def test_where_tags_stay_the_first_image_counts(aws_box: Box, builder: Engine) -> None:
    uri = make_repository(aws_box, imageTagMutability="IMMUTABLE")
    registry = Registry(Aws(), uri, sleep=refuse_to_wait)
    first, _ = push(registry, builder, 1)
    assert push(registry, builder, 2)[0] == first


def test_images_are_deleted_a_hundred_in_a_request(aws_box: Box, builder: Engine) -> None:
    registry = Registry(Aws(), make_repository(aws_box))
    digest, _ = push(registry, builder)
    push(registry, builder, tag="b")
    seen = len(aws_box.calls())
    others = {f"sha256:{number:064x}" for number in range(120)}
    assert registry.delete({digest, *others}) == Deleted(
        digests=frozenset({digest}), tags=frozenset({"a", "b"})
    )
    assert operations(aws_box)[-2:] == ["BatchDeleteImage"] * 2
    assert len(aws_box.calls()) == seen + 2
    assert registry.find("a") is None
    assert registry.delete({digest}) == registry.delete(set()) == Deleted()


def test_a_missing_image_is_the_engines_own_failure(aws_box: Box, builder: Engine) -> None:
    registry = Registry(Aws(), make_repository(aws_box))
    with pytest.raises(EngineError, match=f"{NAME}:3"):
        push(registry, builder, 3)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("denied: Your authorization token has expired. Reauthenticate and try again.", Refusal.LOST),
        ("denied: User: u is not authorized to perform: ecr:PutImage on resource: r", Refusal.DENIED),
        ("no basic auth credentials", Refusal.DENIED),
        ('error parsing HTTP 403 response body: unexpected end of JSON input: ""', Refusal.DENIED),
        (
            "name unknown: The repository with name 'x' does not exist in the registry with ...",
            Refusal.MISSING,
        ),
        ("tag invalid: The image tag 'a' already ... the repository is immutable.", Refusal.IMMUTABLE),
        ("Put https://1.dkr.ecr: write tcp 1->2: write: connection reset by peer", Refusal.LOST),
        ("net/http: TLS handshake timeout", Refusal.LOST),
        ("received unexpected HTTP status: 503 Service Unavailable", Refusal.LOST),
        ("toomanyrequests: Rate exceeded", Refusal.LOST),
        ("An image does not exist locally with the tag: lab", Refusal.LOST),
        ("Get https://1.dkr.ecr/v2/: x509: certificate signed by unknown authority", Refusal.OTHER),
    ],
)
def test_the_registrys_words_are_understood(words: str, kind: Refusal) -> None:
    assert read_refusal(words) is kind
