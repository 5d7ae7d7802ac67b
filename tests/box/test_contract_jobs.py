"""What the user guide says of definitions, retries, timeouts, arrays and dependencies, by a client's eyes."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tests.box import cloud
from tests.box.lab import Lab, open_lab

DAY_S = 24 * 3600
RETRY, EXIT = "RETRY", "EXIT"
WAIT = "echo waiting; sleep 600 & wait"
POLITE = f"trap 'echo asked; exit 3' TERM; {WAIT}"
STUBBORN = "trap '' TERM; echo waiting; while :; do sleep 600; done"
BY_INDEX = 'case "$AWS_BATCH_JOB_ARRAY_INDEX" in'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def rule(action: str, **conditions: str) -> dict[str, str]:
    return {"action": action, **conditions}


def summary(parent: dict[str, Any]) -> dict[str, int]:
    return {state: count for state, count in parent["arrayProperties"]["statusSummary"].items() if count}


class TestRetries:
    @pytest.mark.parametrize(
        ("script", "rules", "attempts"),
        [
            pytest.param("exit 0", [], 1, id="success ends it"),
            pytest.param("exit 1", [], 3, id="no rules: all attempts"),
            pytest.param("exit 1", [rule(EXIT, onExitCode="9")], 3, id="no match means retry"),
            pytest.param("exit 9", [rule(EXIT, onExitCode="9")], 1, id="exit code"),
            pytest.param("exit 19", [rule(EXIT, onExitCode="9")], 3, id="exit code, whole"),
            pytest.param("kill -9 $$", [rule(EXIT, onExitCode="13*")], 1, id="exit code, beginning"),
            pytest.param("exit 1", [rule(EXIT, onReason="*")], 1, id="any reason, none included"),
            pytest.param("exit 1", [rule(EXIT, onReason="Out*")], 3, id="another reason"),
            pytest.param("exit 1", [rule(EXIT, onStatusReason="Essential*")], 1, id="status reason"),
            pytest.param("exit 1", [rule(EXIT, onStatusReason="Essential")], 3, id="status reason, whole"),
            pytest.param(
                "exit 1",
                [rule(RETRY, onExitCode="1"), rule(EXIT, onReason="*")],
                3,
                id="the first that matches decides",
            ),
            pytest.param(
                "exit 1",
                [rule(EXIT, onExitCode="1", onReason="Out*"), rule(RETRY, onReason="*")],
                3,
                id="all conditions of a rule must hold",
            ),
        ],
    )
    def test_follow_the_first_rule_that_matches(
        self, lab: Lab, script: str, rules: list[dict[str, str]], attempts: int
    ) -> None:
        job = lab.run(script, retryStrategy={"attempts": 3, "evaluateOnExit": rules})
        assert len(job["attempts"]) == attempts
        assert job["status"] == ("SUCCEEDED" if script == "exit 0" else "FAILED")

    def test_of_a_submit_go_before_those_of_the_definition(self, lab: Lab) -> None:
        definition = lab.sh("exit 1", retryStrategy={"attempts": 2})
        assert len(lab.run(jobDefinition=definition)["attempts"]) == 2
        job = lab.run(jobDefinition=definition, retryStrategy={"attempts": 3})
        assert len(job["attempts"]) == 3

    def test_know_their_number_and_can_succeed(self, lab: Lab) -> None:
        job = lab.run('exit "$((3 - AWS_BATCH_JOB_ATTEMPT))"', retryStrategy={"attempts": 10})
        assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [2, 1, 0]
        assert len({attempt["container"]["logStreamName"] for attempt in job["attempts"]}) == 3

    def test_of_a_command_that_is_not_there_match_by_reason(self, lab: Lab) -> None:
        lab.batch.register_job_definition(
            jobDefinitionName="nothing",
            type="container",
            containerProperties={"image": "x", "command": ["/nothing"], "vcpus": 1, "memory": 64},
        )
        rules = [rule(RETRY, onStatusReason="Task failed to start*"), rule(EXIT, onReason="*")]
        job = lab.run(jobDefinition="nothing", retryStrategy={"attempts": 2, "evaluateOnExit": rules})
        (first, _) = job["attempts"]
        assert first["statusReason"] == "Task failed to start"
        assert first["container"]["reason"].startswith("CannotStartContainerError: ")
        assert "exitCode" not in first["container"]


class TestTimeouts:
    def test_ask_first_kill_after_30_s_and_are_never_retried(self, lab: Lab) -> None:
        options: dict[str, Any] = {
            "timeout": {"attemptDurationSeconds": 60},
            "retryStrategy": {"attempts": 5},
        }
        polite, stubborn = lab.submit(POLITE, **options), lab.submit(STUBBORN, **options)
        for job_id in (polite, stubborn):
            lab.wait_until_said(job_id, "waiting")
        lab.pass_time(59)
        assert lab.states([polite, stubborn]) == ["RUNNING", "RUNNING"]
        lab.pass_time(1)
        ended = lab.finish(polite)
        assert (ended["statusReason"], ended["container"]["exitCode"]) == (
            "Job attempt duration exceeded timeout",
            3,
        )
        lab.pass_time(29)
        assert lab.states([stubborn]) == ["RUNNING"]
        lab.pass_time(1)
        killed = lab.finish(stubborn)
        assert (killed["statusReason"], killed["container"]["exitCode"]) == (ended["statusReason"], 137)
        assert [len(job["attempts"]) for job in (ended, killed)] == [1, 1]

    def test_hold_for_each_attempt_anew(self, lab: Lab) -> None:
        script = f'[ "$AWS_BATCH_JOB_ATTEMPT" = 1 ] && {{ {WAIT}; }} ; {WAIT}'
        options: dict[str, Any] = {
            "timeout": {"attemptDurationSeconds": 100},
            "retryStrategy": {"attempts": 2},
        }
        job_id = lab.submit(script, **options)
        lab.wait_until_said(job_id, "waiting")
        lab.pass_time(80)
        (host,) = [host for host in lab.box.hosts() if job_id in host.job_ids]
        lab.box.reclaim(host)
        lab.wait_until_said(job_id, "waiting")
        lab.pass_time(80)
        assert lab.states([job_id]) == ["RUNNING"]
        lab.pass_time(50)
        assert len(lab.finish(job_id)["attempts"]) == 2

    def test_shorter_than_a_minute_are_refused(self, lab: Lab) -> None:
        words = lab.refused(
            "submit_job",
            jobName="job",
            jobQueue=lab.queue,
            jobDefinition=lab.sh("exit 0"),
            timeout={"attemptDurationSeconds": 59},
        )
        assert "60" in words


class TestArrays:
    def test_count_their_children_while_they_run(self, lab: Lab) -> None:
        script = f"{BY_INDEX} 0) exit 0;; 1) exit 5;; *) {POLITE};; esac"
        parent = lab.submit(script, arrayProperties={"size": 3}, retryStrategy={"attempts": 2})
        lab.finish(f"{parent}:1")
        lab.finish(f"{parent}:0")
        lab.wait_for(f"{parent}:2", "RUNNING")
        shown = lab.describe(parent)
        assert (shown["status"], summary(shown)) == ("PENDING", {"SUCCEEDED": 1, "FAILED": 1, "RUNNING": 1})
        lab.batch.terminate_job(jobId=f"{parent}:2", reason="enough")
        ended = lab.finish(parent)
        assert (ended["status"], ended["statusReason"]) == ("FAILED", "Array Child Job failed")
        assert summary(ended) == {"SUCCEEDED": 1, "FAILED": 2}
        assert len(lab.describe(f"{parent}:1")["attempts"]) == 2

    def test_give_children_an_id_and_variables_of_their_own(self, lab: Lab) -> None:
        show = 'echo "$AWS_BATCH_JOB_ID $AWS_BATCH_JOB_ARRAY_INDEX $AWS_BATCH_JOB_ARRAY_SIZE"'
        parent = lab.run(f"{show} $AWS_BATCH_JOB_ATTEMPT $AWS_BATCH_JQ_NAME", arrayProperties={"size": 2})
        assert parent["status"] == "SUCCEEDED"
        assert "attempts" not in parent or parent["attempts"] == []
        for index in range(2):
            child = lab.describe(f"{parent['jobId']}:{index}")
            assert child["jobArn"] == f"{parent['jobArn']}:{index}"
            assert child["arrayProperties"] == {"index": index}
            assert cloud.log_of(lab.box, child) == [f"{parent['jobId']}:{index} {index} 2 1 {lab.queue}"]


class TestDependencies:
    def test_wait_for_a_whole_array(self, lab: Lab) -> None:
        first = lab.submit(f"{BY_INDEX} 0) exit 0;; *) {POLITE};; esac", arrayProperties={"size": 2})
        second = lab.submit(dependsOn=[{"jobId": first}])
        lab.wait_until_said(f"{first}:1", "waiting")
        lab.finish(f"{first}:0")
        assert lab.states([first, second]) == ["PENDING", "PENDING"]
        lab.batch.terminate_job(jobId=f"{first}:1", reason="enough")
        ended = lab.finish(second)
        assert (ended["status"], ended["statusReason"]) == ("FAILED", "Dependent Job failed")
        assert ended["attempts"] == []

    def test_on_a_job_that_has_ended_are_met_or_failed_at_once(self, lab: Lab) -> None:
        for script, status in (("exit 0", "SUCCEEDED"), ("exit 1", "FAILED")):
            first = lab.run(script)["jobId"]
            assert lab.run(dependsOn=[{"jobId": first}])["status"] == status

    def test_n_to_n_go_index_by_index(self, lab: Lab) -> None:
        script = f"{BY_INDEX} 0) exit 0;; 1) exit 1;; *) {POLITE};; esac"
        first = lab.submit(script, arrayProperties={"size": 3})
        second = lab.submit(arrayProperties={"size": 3}, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
        lab.finish(f"{second}:0")
        failed = lab.finish(f"{second}:1")
        lab.wait_until_said(f"{first}:2", "waiting")
        assert lab.states([f"{second}:{index}" for index in range(3)]) == ["SUCCEEDED", "FAILED", "PENDING"]
        assert failed["statusReason"] == "Dependent Job failed"
        assert lab.states([second]) == ["PENDING"]
        lab.batch.terminate_job(jobId=first, reason="enough")
        assert summary(lab.finish(second)) == {"SUCCEEDED": 1, "FAILED": 2}

    def test_sequential_go_one_after_the_other(self, lab: Lab) -> None:
        parent = lab.submit(
            f"{BY_INDEX} 1) {POLITE};; esac", arrayProperties={"size": 3}, dependsOn=[{"type": "SEQUENTIAL"}]
        )
        children = [f"{parent}:{index}" for index in range(3)]
        lab.wait_until_said(children[1], "waiting")
        assert lab.states(children) == ["SUCCEEDED", "RUNNING", "PENDING"]
        lab.batch.terminate_job(jobId=children[1], reason="enough")
        lab.finish(parent)
        assert lab.states(children) == ["SUCCEEDED", "FAILED", "FAILED"]
        assert lab.describe(children[2])["statusReason"] == "Dependent Job failed"

    @pytest.mark.parametrize(
        "depends_on",
        [
            [{"jobId": "unknown"}],
            [{"type": "SEQUENTIAL"}],
            [{"jobId": "unknown"}] * 21,
        ],
    )
    def test_that_cannot_be_met_are_refused(self, lab: Lab, depends_on: list[Any]) -> None:
        definition = lab.sh("exit 0")
        asked = {"jobName": "job", "jobQueue": lab.queue, "jobDefinition": definition}
        assert lab.refused("submit_job", **asked, dependsOn=depends_on)


class TestDefinitions:
    def test_are_found_by_their_newest_active_revision(self, lab: Lab) -> None:
        name = lab.name("revised")
        for code in (1, 2, 3):
            assert lab.sh(f"exit {code}", name=name) == f"{name}:{code}"
        lab.batch.deregister_job_definition(jobDefinition=f"{name}:3")
        assert lab.run(jobDefinition=name)["container"]["exitCode"] == 2
        assert lab.run(jobDefinition=f"{name}:1")["container"]["exitCode"] == 1
        asked = {"jobName": "job", "jobQueue": lab.queue, "jobDefinition": f"{name}:3"}
        assert "not in ACTIVE status" in lab.refused("submit_job", **asked)
        assert lab.sh("exit 4", name=name) == f"{name}:4"

    def test_do_not_change_under_a_job(self, lab: Lab) -> None:
        definition = lab.sh(POLITE)
        job_id = lab.submit(jobDefinition=definition)
        lab.wait_until_said(job_id, "waiting")
        lab.batch.deregister_job_definition(jobDefinition=definition)
        assert lab.describe(job_id)["jobDefinition"].endswith(f"/{definition}")
        lab.batch.terminate_job(jobId=job_id, reason="enough")

    def test_give_way_to_overrides_by_name_and_by_type(self, lab: Lab) -> None:
        definition = lab.sh(
            "echo $LAB $SITE",
            container={"environment": [{"name": name, "value": "a"} for name in ("LAB", "SITE")]},
        )
        job = lab.run(
            jobDefinition=definition,
            containerOverrides={
                "environment": [{"name": "SITE", "value": "b"}],
                "resourceRequirements": [{"type": "MEMORY", "value": "512"}],
            },
        )
        assert cloud.log_of(lab.box, job) == ["a b"]
        assert {one["type"]: one["value"] for one in job["container"]["resourceRequirements"]} == {
            "VCPU": "1",
            "MEMORY": "512",
        }


def test_what_has_ended_is_forgotten_after_seven_days(lab: Lab) -> None:
    queue = lab.make_queue(lab.make_environment())
    parent = lab.run(arrayProperties={"size": 2}, queue=queue)["jobId"]
    lab.pass_time(7 * DAY_S - 60)
    assert lab.ids(jobQueue=queue, jobStatus="SUCCEEDED") == [parent]
    lab.pass_time(120)
    assert lab.ids(jobQueue=queue, jobStatus="SUCCEEDED") == []
    assert lab.batch.describe_jobs(jobs=[parent, f"{parent}:0"])["jobs"] == []


def test_every_move_is_told_to_sqs_at_least_once(lab: Lab) -> None:
    queue = lab.listen()
    parent = lab.run("exit 1", arrayProperties={"size": 2})
    told = lab.hear(queue)
    moves = defaultdict(list)
    for event in told:
        moves[event["detail"]["jobId"]].append(event["detail"]["status"])
    children = [f"{parent['jobId']}:{index}" for index in range(2)]
    assert moves == {
        parent["jobId"]: ["PENDING", "FAILED"],
        **{child: ["RUNNABLE", "STARTING", "RUNNING", "FAILED"] for child in children},
    }
    assert {(event["source"], event["detail-type"]) for event in told} == {
        ("aws.batch", "Batch Job State Change")
    }
    assert {event["resources"][0] for event in told} == {event["detail"]["jobArn"] for event in told}
