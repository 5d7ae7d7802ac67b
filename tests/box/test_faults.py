"""The faults of the box: what they may say, when they strike, and that they do at the wire what AWS does."""

import http.client
import io
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from botocore.retries.standard import RetryContext, ThrottledRetryableChecker, TransientRetryableChecker
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wsgi import get_input_stream

from cloudknot.testing import faults
from cloudknot.testing.batch.account import Trouble
from cloudknot.testing.faults.kinds import KINDS
from cloudknot.testing.faults.pacing import Pace, SlowUpload
from cloudknot.testing.faults.wire import apply
from cloudknot.testing.wire.requests import WireRequest, read_request

MIB = 1024 * 1024
LARGE = bytes(range(256)) * (4 * MIB // 256)
PERSON = "arn:aws:iam::123456789012:user/ann"
EXAMPLES: list[faults.Fault] = [
    faults.Throttle(service="batch", operation="Describe*", share=0.3, times=2, after=1),
    faults.ServerError(service="s3", status=503, code="X", message="y", is_carried_out=True),
    faults.SlowConnection(service="s3", delay_s=0.1, bytes_per_s=1000),
    faults.ResetConnection(service="s3", moment="upload", after_bytes=10),
    faults.TruncateAnswer(service="s3", principal="*:assumed-role/*", after_bytes=10),
    faults.Stale(service="iam", seconds=10),
    faults.DuplicateEvents(copies=3),
    faults.LaunchFailure(environment="spot*", instance_type="m5.*", reason="none left"),
    faults.PullFailure(image="*/name:*", reason="CannotPullContainerError: no space left on device"),
    faults.SpotReclaim(environment="spot", after_s=5, spread_s=10),
]


@pytest.mark.parametrize("fault", EXAMPLES, ids=lambda fault: type(fault).__name__)
def test_a_fault_goes_through_json(fault: faults.Fault) -> None:
    assert faults.from_json(json.loads(json.dumps(faults.to_json(fault)))) == fault


def test_every_kind_is_public_and_can_be_written_down() -> None:
    assert {type(fault).__name__ for fault in EXAMPLES} == set(KINDS)
    assert set(KINDS) <= set(faults.__all__)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("Throttle", {"service": "batch", "share": 0}, "share must be a number above 0 to 1, not 0"),
        ("Throttle", {"service": "batch", "share": 1.5}, "share must be"),
        ("Throttle", {"service": "batch", "share": True}, "share must be"),
        ("Throttle", {"service": "batch", "share": float("nan")}, "share must be"),
        ("Throttle", {"service": "batch", "times": 0}, "times must be a whole number from 1, not 0"),
        ("Throttle", {"service": "batch", "times": 1.5}, "times must be"),
        ("Throttle", {"service": "batch", "after": -1}, "after must be a whole number from 0, not -1"),
        ("Throttle", {"service": "S3"}, "such as 's3', not 'S3'"),
        ("Throttle", {"service": ""}, "service must be a name"),
        ("Throttle", {"service": "s3", "operation": None}, "operation must be a name"),
        ("Throttle", {"service": "s3", "principal": ""}, "principal must be a name"),
        ("Throttle", {}, "service"),
        ("ServerError", {"service": "s3", "status": 429}, "status must be from 500 to 599, not 429"),
        ("ServerError", {"service": "s3", "status": "500"}, "status must be"),
        ("ServerError", {"service": "s3", "code": ""}, "code must be words"),
        ("ServerError", {"service": "s3", "message": 5}, "message must be words"),
        ("ServerError", {"service": "s3", "is_carried_out": 1}, "is_carried_out must be true or false"),
        ("SlowConnection", {"service": "s3"}, "needs delay_s, bytes_per_s or both"),
        ("SlowConnection", {"service": "s3", "delay_s": -1}, "delay_s must be a number from 0, not -1"),
        ("SlowConnection", {"service": "s3", "bytes_per_s": 0}, "bytes_per_s must be a number above 0"),
        ("SlowConnection", {"service": "s3", "delay_s": float("inf")}, "delay_s must be"),
        ("ResetConnection", {"service": "s3", "moment": "after"}, "moment must be one of before, upload"),
        ("ResetConnection", {"service": "s3", "after_bytes": 5}, "no bytes come before"),
        ("ResetConnection", {"service": "s3", "moment": "upload", "after_bytes": -1}, "after_bytes must be"),
        ("TruncateAnswer", {"service": "s3", "after_bytes": 0.5}, "after_bytes must be"),
        ("Stale", {"service": "s3", "seconds": 1}, "service must be one of batch, iam, not 's3'"),
        ("Stale", {"service": "iam", "seconds": 0}, "seconds must be a number above 0"),
        ("DuplicateEvents", {"copies": 1}, "copies must be a whole number from 2"),
        ("LaunchFailure", {"environment": ""}, "environment must be a name"),
        ("LaunchFailure", {"instance_type": 5}, "instance_type must be a name"),
        ("LaunchFailure", {"reason": ""}, "reason must be words"),
        ("PullFailure", {"image": ""}, "image must be a name"),
        ("PullFailure", {"reason": ""}, "reason must be words"),
        ("SpotReclaim", {"environment": ""}, "environment must be a name"),
        ("SpotReclaim", {"after_s": -1}, "after_s must be"),
        ("SpotReclaim", {"spread_s": "5"}, "spread_s must be"),
        ("SpotReclaim", {"region": "x"}, "SpotReclaim has no field region: it has share, times"),
        ("Flood", {}, "no kind of fault 'Flood': choose from Throttle"),
        (None, {}, "no kind of fault None"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str | None, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        faults.from_json({"kind": kind, **fields})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="a fault is an object"):
        faults.from_json("Throttle")  # type: ignore[arg-type]


# When they strike.

THROTTLE = faults.Throttle(service="batch", share=0.3)


def strikes(rules: faults.Faults, times: int = 200) -> list[bool]:
    return [rules.on_request("batch", "DescribeJobs", PERSON) is not None for _ in range(times)]


def with_rules(*given: faults.Fault, seed: int = 1) -> faults.Faults:
    rules = faults.Faults(seed)
    for fault in given:
        rules.add(fault)
    return rules


def test_the_same_seed_strikes_the_same_occasions() -> None:
    first = strikes(with_rules(THROTTLE))
    assert first == strikes(with_rules(THROTTLE))
    assert first != strikes(with_rules(THROTTLE, seed=2))
    assert 30 < sum(first) < 90


def test_two_rules_alike_strike_apart() -> None:
    rules = with_rules(THROTTLE, THROTTLE)
    strikes(rules)
    alone = sum(strikes(with_rules(THROTTLE)))
    first, second = rules.list()
    assert first.struck == alone
    assert 0 < second.struck < alone


def test_a_rule_is_not_disturbed_by_others_that_strike_the_same_requests() -> None:
    """Where the other does not strike, it decides as it would alone."""
    other = faults.ServerError(service="batch", share=0.5)
    together, alone, others = with_rules(other, THROTTLE), faults.Faults(1), with_rules(other)
    alone.remove(alone.add(other))
    alone.add(THROTTLE)
    for _ in range(200):
        by_other, by_itself, now = (
            rules.on_request("batch", "ListJobs", PERSON) for rules in (others, alone, together)
        )
        assert now == (by_other or by_itself)


def test_after_and_times_bound_the_strikes() -> None:
    rules = with_rules(faults.Throttle(service="batch", after=2, times=3))
    assert strikes(rules, 8) == [False, False, True, True, True, False, False, False]
    [rule] = rules.list()
    assert (rule.occasions, rule.struck) == (8, 3)


@pytest.mark.parametrize(
    ("asked", "is_struck"),
    [
        (("batch", "DescribeJobs", PERSON), True),
        (("batch", "SubmitJob", PERSON), False),
        (("s3", "DescribeJobs", PERSON), False),
        (("batch", None, PERSON), False),
        (("batch", "DescribeJobs", "arn:aws:sts::123456789012:assumed-role/job/1"), False),
    ],
)
def test_a_fault_of_requests_strikes_those_that_fit(
    asked: tuple[str, str | None, str], *, is_struck: bool
) -> None:
    rules = with_rules(faults.Throttle(service="batch", operation="Describe*", principal="*:user/*"))
    assert (rules.on_request(*asked) is not None) == is_struck
    assert rules.list()[0].occasions == is_struck


def test_a_request_of_an_unknown_operation_is_struck_by_a_fault_of_all() -> None:
    assert with_rules(faults.Throttle(service="*")).on_request("batch", None, "") is not None


def test_a_request_can_be_slow_and_end_badly_but_ends_once() -> None:
    slow, other = (faults.SlowConnection(service="s3", delay_s=delay) for delay in (1, 2))
    throttle, reset = faults.Throttle(service="s3"), faults.ResetConnection(service="s3")
    rules = with_rules(throttle, slow, reset, other)
    assert rules.on_request("s3", "GetObject", "") == faults.WireFault(slow=slow, ending=throttle)
    assert [(rule.occasions, rule.struck) for rule in rules.list()] == [(1, 1), (1, 1), (1, 0), (1, 0)]


def test_rules_are_taken_away_one_by_one_all_and_anew() -> None:
    rules = faults.Faults()
    first, second = rules.add(THROTTLE), rules.add(faults.DuplicateEvents())
    rules.remove(first)
    assert [rule.number for rule in rules.list()] == [second]
    with pytest.raises(KeyError, match="no rule 1: in force are 2"):
        rules.remove(first)
    rules.clear()
    assert rules.list() == ()
    assert rules.add(THROTTLE) == second + 1
    rules.reset(1)
    assert rules.list() == ()
    assert rules.add(THROTTLE) == 1
    before = strikes(rules)
    assert before == strikes(with_rules(THROTTLE))
    rules.reset()
    rules.add(THROTTLE)
    assert before == strikes(rules)


def test_only_faults_can_be_added() -> None:
    with pytest.raises(TypeError, match="a fault is such as"):
        faults.Faults().add("Throttle")  # type: ignore[arg-type]


def test_every_occasion_counts_once_whichever_thread_brings_it() -> None:
    rules = with_rules(faults.Throttle(service="batch", share=0.5, times=100))
    struck: list[bool] = []
    threads = [threading.Thread(target=lambda: struck.extend(strikes(rules, 250))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [rule] = rules.list()
    assert (rule.occasions, rule.struck, sum(struck)) == (1000, 100, 100)


def test_batch_is_told_of_its_trouble() -> None:
    trouble: Trouble = with_rules(
        faults.LaunchFailure(environment="spot", instance_type="m5.*", times=1),
        faults.LaunchFailure(environment="spot", instance_type="c5.large", reason="none left"),
        faults.PullFailure(image="*:broken", times=1),
        faults.PullFailure(image="*:other", reason="CannotPullContainerError: other"),
        faults.DuplicateEvents(copies=3, times=1),
        faults.Stale(service="iam", seconds=10, times=1),
        faults.Stale(service="iam", seconds=5, times=1),
    )
    assert trouble.launch("demand", "m5.large") is None
    assert trouble.launch("spot", "m5.large") == (
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
        " for instance type [m5.large]"
    )
    assert trouble.launch("spot", "m5.large") is None
    assert trouble.launch("spot", "c5.large") == "none left"
    assert trouble.pull("a/b:fine") is None
    assert trouble.pull("a/b:broken") == "CannotPullContainerError: context canceled"
    assert trouble.pull("a/b:broken") is None
    assert trouble.pull("a/b:other") == "CannotPullContainerError: other"
    assert [trouble.copies_of_event(), trouble.copies_of_event()] == [3, 1]
    assert trouble.lag_s("batch") == 0
    assert [trouble.lag_s("iam"), trouble.lag_s("iam")] == [10, 0]


def test_without_rules_nothing_goes_wrong() -> None:
    rules = faults.Faults()
    assert rules.on_request("s3", "GetObject", PERSON) is None
    assert rules.launch("spot", "m5.large") is None
    assert rules.pull("a") is None
    assert rules.copies_of_event() == 1
    assert rules.lag_s("iam") == 0
    assert rules.reclaim_after("i-1", "spot") is None


def test_machines_are_reclaimed_by_the_seed_not_by_their_ids() -> None:
    fault = faults.SpotReclaim(environment="spot*", after_s=60, spread_s=30, share=0.5)

    def reclaims(seed: int, name: str) -> list[float | None]:
        rules = with_rules(fault, seed=seed)
        return [rules.reclaim_after(f"i-{name}{number}", "spot-a") for number in range(100)]

    first = reclaims(1, "a")
    assert first == reclaims(1, "b") != reclaims(2, "a")
    times = {seconds for seconds in first if seconds is not None}
    assert 30 < len(times) < 70
    assert min(times) >= 60
    assert max(times) <= 90
    assert with_rules(fault).reclaim_after("i-1", "demand") is None


# At the wire.


class Stand:
    """An S3 that keeps objects, a Batch that counts submissions, and a door with faults before them."""

    def __init__(self, server: BaseWSGIServer, rules: faults.Faults) -> None:
        self.address = ("127.0.0.1", server.server_port)
        self.rules = rules
        self.objects: dict[str, bytes] = {}
        self.submitted: list[str] = []
        self.slept: list[float] = []
        self.is_real_time = False
        self.sends_length = True

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        request = read_request(environ)
        fault = self.rules.on_request(request.service, request.operation, PERSON)
        if fault is None:
            return self._answer(environ, start)
        if self.is_real_time:
            return apply(fault, request, environ, start, self._answer)
        return apply(fault, request, environ, start, self._answer, sleep=self.slept.append)

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path, body = environ["PATH_INFO"], b""
        if environ["REQUEST_METHOD"] == "PUT":
            self.objects[path] = get_input_stream(environ).read()
        elif path == "/v1/submitjob":
            self.submitted.append("job")
            body = json.dumps({"jobId": str(len(self.submitted)), "jobName": "a"}).encode()
        else:
            body = self.objects.get(path, b"{}")
        length = [("Content-Length", str(len(body)))] if self.sends_length else []
        start("200 OK", [("Content-Type", "application/json"), *length])
        yield b"" if environ["REQUEST_METHOD"] == "HEAD" else body

    def client(self, service: str, *, retries: int = 0, read_timeout: float = 60) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.address[1]}",
            region_name="eu-west-1",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(
                retries={"total_max_attempts": retries + 1, "mode": "standard"},
                read_timeout=read_timeout,
                s3={"addressing_style": "path"},
            ),
        )


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        """Keep silent."""


@contextmanager
def standing(*given: faults.Fault) -> Iterator[Stand]:
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True, request_handler=_Handler)
    stand = Stand(server, with_rules(*given))
    server.app = stand
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal_of(call: Any, *args: Any, **kwargs: Any) -> tuple[str, str, int, RetryContext]:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(*args, **kwargs)
    reply: Any = raised.value.response
    status = reply["ResponseMetadata"]["HTTPStatusCode"]
    answer = type("Answer", (), {"status_code": status})
    context = RetryContext(attempt_number=1, parsed_response=reply, http_response=answer)
    return reply["Error"]["Code"], reply["Error"]["Message"], status, context


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "s3": ("get_object", {"Bucket": "b", "Key": "k"}),
    "batch": ("describe_jobs", {"jobs": ["1"]}),
    "ec2": ("describe_vpcs", {}),
    "iam": ("list_users", {}),
    "sts": ("get_caller_identity", {}),
    "cloudformation": ("list_stacks", {}),
    "ecr": ("describe_repositories", {}),
    "logs": ("describe_log_groups", {}),
    "events": ("list_rules", {}),
    "sqs": ("list_queues", {}),
    "secretsmanager": ("list_secrets", {}),
    "ssm": ("describe_parameters", {}),
    "kms": ("list_keys", {}),
    "pricing": ("describe_services", {}),
}
RATE = "Rate exceeded"


@pytest.mark.parametrize(
    ("service", "code", "message", "status"),
    [
        ("s3", "SlowDown", "Please reduce your request rate.", 503),
        ("batch", "TooManyRequestsException", "Too Many Requests", 429),
        ("ec2", "RequestLimitExceeded", "Request limit exceeded.", 503),
        ("iam", "Throttling", RATE, 400),
        ("sts", "Throttling", RATE, 400),
        ("cloudformation", "Throttling", RATE, 400),
        ("ecr", "ThrottlingException", RATE, 400),
        ("logs", "ThrottlingException", RATE, 400),
        ("events", "ThrottlingException", RATE, 400),
        ("sqs", "RequestThrottled", "The request was denied due to request throttling.", 403),
        ("secretsmanager", "ThrottlingException", RATE, 400),
        ("ssm", "ThrottlingException", RATE, 400),
        ("kms", "ThrottlingException", RATE, 400),
        ("pricing", "ThrottlingException", RATE, 400),
    ],
)
def test_throttling_is_said_in_the_services_own_way_and_botocore_takes_it_so(
    service: str, code: str, message: str, status: int
) -> None:
    method, arguments = CALLS[service]
    with standing(faults.Throttle(service=service)) as stand:
        *said, context = refusal_of(getattr(stand.client(service), method), **arguments)
    assert said == [code, message, status]
    assert ThrottledRetryableChecker().is_retryable(context)


@pytest.mark.parametrize(
    ("service", "status", "code"),
    [
        ("s3", 500, "InternalError"),
        ("s3", 503, "ServiceUnavailable"),
        ("batch", 500, "ServerException"),
        ("batch", 503, "ServiceUnavailable"),
        ("ec2", 500, "InternalError"),
        ("ec2", 503, "Unavailable"),
        ("iam", 500, "ServiceFailure"),
        ("sts", 500, "InternalFailure"),
        ("cloudformation", 503, "ServiceUnavailable"),
        ("ecr", 500, "ServerException"),
        ("logs", 503, "ServiceUnavailableException"),
        ("events", 500, "InternalException"),
        ("sqs", 500, "InternalFailure"),
        ("secretsmanager", 500, "InternalServiceError"),
        ("ssm", 500, "InternalServerError"),
        ("kms", 500, "KMSInternalException"),
        ("pricing", 500, "InternalErrorException"),
    ],
)
def test_a_service_that_fails_says_so_in_its_own_way(service: str, status: int, code: str) -> None:
    method, arguments = CALLS[service]
    with standing(faults.ServerError(service=service, status=status)) as stand:
        said, message, seen, context = refusal_of(getattr(stand.client(service), method), **arguments)
    assert (said, seen) == (code, status)
    assert message
    assert TransientRetryableChecker().is_retryable(context)


def test_the_words_of_a_server_error_can_be_given() -> None:
    with standing(faults.ServerError(service="batch", status=599, code="Own", message="own words")) as stand:
        assert refusal_of(stand.client("batch").describe_jobs, jobs=["1"])[:3] == ("Own", "own words", 599)


@pytest.mark.parametrize("is_carried_out", [False, True])
def test_what_ends_in_a_server_error_is_carried_out_or_not(*, is_carried_out: bool) -> None:
    with standing(faults.ServerError(service="batch", is_carried_out=is_carried_out)) as stand:
        refusal_of(stand.client("batch").submit_job, jobName="a", jobQueue="q", jobDefinition="d")
        assert len(stand.submitted) == is_carried_out


def test_a_head_request_gets_an_error_without_a_body() -> None:
    with standing(faults.ServerError(service="s3", status=503)) as stand:
        code, _, status, _ = refusal_of(stand.client("s3").head_object, Bucket="b", Key="k")
    assert (code, status) == ("503", 503)


def test_who_is_throttled_in_a_large_upload_is_told_so() -> None:
    with standing(faults.Throttle(service="s3")) as stand:
        code, *_ = refusal_of(stand.client("s3").put_object, Bucket="b", Key="k", Body=LARGE)
        assert code == "SlowDown"
        assert not stand.objects


def test_botocore_gets_over_a_throttle() -> None:
    with standing(faults.Throttle(service="s3", times=1)) as stand:
        stand.client("s3", retries=1).put_object(Bucket="b", Key="k", Body=LARGE)
        assert stand.objects == {"/b/k": LARGE}
        assert stand.rules.list()[0].struck == 1


# Resets and cuts.


@pytest.mark.parametrize("moment", ["before", "upload", "answer"])
def test_a_reset_is_seen_as_econnreset_and_nothing_comes_before_it(moment: str) -> None:
    with standing(faults.ResetConnection(service="s3", moment=moment, times=1)) as stand:
        for expected in (b"", b"HTTP/1.1 200 OK"):
            with socket.create_connection(stand.address) as connection:
                connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if not expected:
                    with pytest.raises(ConnectionResetError):
                        connection.recv(100)
                else:
                    assert connection.recv(15) == expected


@pytest.mark.parametrize(
    "fault",
    [
        faults.ResetConnection(service="s3"),
        faults.ResetConnection(service="s3", moment="upload"),
        faults.ResetConnection(service="s3", moment="upload", after_bytes=MIB),
        faults.ResetConnection(service="s3", moment="upload", after_bytes=100 * MIB),
    ],
    ids=["before", "at once", "within", "at its end"],
)
def test_an_upload_that_is_reset_is_not_carried_out(
    fault: faults.Fault, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with standing(fault) as stand:
        with pytest.raises(botocore.exceptions.HTTPClientError):
            stand.client("s3").put_object(Bucket="b", Key="k", Body=LARGE)
        assert not stand.objects
        stand.rules.clear()
        stand.client("s3").put_object(Bucket="b", Key="k", Body=b"fine")
        assert stand.objects == {"/b/k": b"fine"}
    assert "Traceback" not in capfd.readouterr().err + caplog.text


def test_botocore_uploads_again_from_the_beginning() -> None:
    fault = faults.ResetConnection(service="s3", moment="upload", after_bytes=MIB, times=1)
    with standing(fault) as stand:
        stand.client("s3", retries=1).put_object(Bucket="b", Key="k", Body=io.BytesIO(LARGE))
        assert stand.objects == {"/b/k": LARGE}
        assert stand.rules.list()[0].struck == 1


def test_a_small_upload_that_the_door_has_read_is_reset_too() -> None:
    with standing(faults.ResetConnection(service="batch", moment="upload", after_bytes=10)) as stand:
        with pytest.raises(botocore.exceptions.HTTPClientError):
            stand.client("batch").submit_job(jobName="a", jobQueue="q", jobDefinition="d")
        assert not stand.submitted


def test_a_request_whose_answer_is_lost_is_carried_out_twice() -> None:
    fault = faults.ResetConnection(service="batch", operation="SubmitJob", moment="answer", times=1)
    with standing(fault) as stand:
        reply = stand.client("batch", retries=1).submit_job(jobName="a", jobQueue="q", jobDefinition="d")
        assert reply["jobId"] == "2"
        assert len(stand.submitted) == 2


def test_a_body_that_is_reset_comes_up_to_there() -> None:
    fault = faults.ResetConnection(service="s3", moment="answer", after_bytes=1000)
    with standing(fault) as stand:
        stand.objects["/b/k"] = LARGE
        body = stand.client("s3").get_object(Bucket="b", Key="k")["Body"]
        assert body.read(1000) == LARGE[:1000]
        with pytest.raises(botocore.exceptions.ResponseStreamingError, match="reset"):
            body.read()


def test_a_body_that_is_truncated_is_an_incomplete_read() -> None:
    with standing(faults.TruncateAnswer(service="s3", after_bytes=1000)) as stand:
        stand.objects["/b/k"] = LARGE
        reply = stand.client("s3").get_object(Bucket="b", Key="k")
        assert reply["ContentLength"] == len(LARGE)
        with pytest.raises(botocore.exceptions.BotoCoreError, match="1000 bytes read"):
            reply["Body"].read()


def test_an_answer_that_is_truncated_before_its_body_has_its_head() -> None:
    with standing(faults.TruncateAnswer(service="s3")) as stand:
        stand.objects["/b/k"] = LARGE
        reply = stand.client("s3").get_object(Bucket="b", Key="k")
        with pytest.raises(botocore.exceptions.BotoCoreError, match="0 bytes read"):
            reply["Body"].read()


def test_an_answer_in_chunks_is_not_ended_when_it_is_truncated() -> None:
    with standing(faults.TruncateAnswer(service="s3", after_bytes=1000)) as stand:
        stand.objects["/b/k"] = LARGE
        stand.sends_length = False
        connection = http.client.HTTPConnection(*stand.address)
        connection.request("GET", "/b/k")
        with pytest.raises(http.client.IncompleteRead):
            connection.getresponse().read()
        connection.close()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [([b"abc", b"def", b"ghi"], b"abcd"), ([b"abc"], b"abc"), ([], b"")],
)
def test_an_answer_in_parts_is_cut_within_one_and_the_rest_is_made(
    parts: list[bytes], expected: bytes
) -> None:
    made, (ours, theirs) = [], socket.socketpair()

    def app(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        for part in parts:
            made.append(part)
            yield part

    with ours, theirs:
        environ = {"wsgi.input": io.BytesIO(), "werkzeug.socket": ours}
        fault = faults.WireFault(ending=faults.TruncateAnswer(service="s3", after_bytes=4))
        sent = list(apply(fault, request_of("GET"), environ, print, app))
        assert theirs.recv(1) == b""
    assert (b"".join(sent), made) == (expected, parts)
    assert sent


@pytest.mark.parametrize("kind", [faults.TruncateAnswer, faults.ResetConnection])
def test_a_download_gets_over_a_broken_body(kind: Any) -> None:
    moment = {"moment": "answer"} if kind is faults.ResetConnection else {}
    fault = kind(service="s3", operation="GetObject", after_bytes=1000, times=2, **moment)
    with standing(fault) as stand:
        stand.objects["/b/k"] = LARGE
        got = io.BytesIO()
        stand.client("s3").download_fileobj("b", "k", got)
        assert got.getvalue() == LARGE
        assert stand.rules.list()[0].struck == 2


def test_another_server_cannot_reset() -> None:
    fault = faults.WireFault(ending=faults.ResetConnection(service="s3"))
    with pytest.raises(RuntimeError, match="only under werkzeug's server"):
        list(apply(fault, request_of("GET"), {"wsgi.input": io.BytesIO()}, print, lambda *_: []))


def request_of(method: str) -> WireRequest:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/b/k", "wsgi.input": io.BytesIO()}
    return read_request(environ)


# Slowness.


def test_a_slow_connection_delays_and_paces_both_ways() -> None:
    fault = faults.SlowConnection(service="s3", delay_s=7, bytes_per_s=MIB)
    with standing(fault) as stand:
        client = stand.client("s3")
        client.put_object(Bucket="b", Key="k", Body=LARGE)
        assert stand.objects == {"/b/k": LARGE}
        assert stand.slept.pop(0) == 7
        assert sum(stand.slept) == pytest.approx(len(LARGE) / MIB)
        assert max(stand.slept) < 0.1
        stand.slept.clear()
        assert client.get_object(Bucket="b", Key="k")["Body"].read() == LARGE
        assert stand.slept.pop(0) == 7
        assert sum(stand.slept) == pytest.approx(len(LARGE) / MIB)
        assert max(stand.slept) < 0.1


def test_a_slow_connection_can_be_reset_too() -> None:
    slow = faults.SlowConnection(service="s3", bytes_per_s=MIB)
    reset = faults.ResetConnection(service="s3", moment="upload", after_bytes=2 * MIB)
    with standing(slow, reset) as stand:
        with pytest.raises(botocore.exceptions.HTTPClientError):
            stand.client("s3").put_object(Bucket="b", Key="k", Body=LARGE)
        assert sum(stand.slept) == pytest.approx(2)


def test_a_client_with_little_patience_times_out() -> None:
    with standing(faults.SlowConnection(service="s3", delay_s=0.5)) as stand:
        stand.is_real_time = True
        with pytest.raises(botocore.exceptions.ReadTimeoutError):
            stand.client("s3", read_timeout=0.1).get_object(Bucket="b", Key="k")


def test_a_part_without_bytes_is_passed_on_by_a_slow_connection() -> None:
    """It has the server send the answer's head."""
    slept: list[float] = []
    assert list(Pace(1, slept.append).send([b"", b"ab"])) == [b"", b"a", b"b"]
    assert slept == [1, 1]


def test_a_slow_upload_reads_as_the_body_does() -> None:
    slept: list[float] = []

    def upload() -> SlowUpload:
        return SlowUpload(io.BytesIO(b"one\ntwo\nthree"), Pace(100, slept.append))

    assert upload().read() == b"one\ntwo\nthree"
    assert sum(slept) == pytest.approx(0.13)
    assert upload().read(11) == b"one\ntwo\nthr"
    assert list(upload()) == [b"one\n", b"two\n", b"three"]
    assert upload().read(100) == b"one\ntwo\nthree"
