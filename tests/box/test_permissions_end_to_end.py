"""IAM that refuses: callers, jobs, machines and rules may do what their policies say."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudknot.testing import Box
from tests.box import cloud

pytestmark = pytest.mark.aws_box(executor="process")

WHO_AM_I = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
READ_A_BRAIN = """
import boto3
print(boto3.client('s3').get_object(Bucket='brains', Key='sub-01')['Body'].read())
"""
# On machines of EC2 a job knows its region only when its definition says it.
IN_REGION = [{"name": "AWS_DEFAULT_REGION", "value": "us-east-1"}]


def refusal(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value)


def as_user(box: Box, service: str, *statements: tuple[Any, Any]) -> Any:
    session = box.user("ada", cloud.policy(*statements))
    return session.client(service, endpoint_url=box.endpoint)


def run_python(box: Box, code: str, **container: Any) -> dict[str, Any]:
    cloud.make_queue(box)
    return cloud.finish(
        box,
        cloud.submit(
            box,
            cloud.make_definition(
                box, "python", "-c", code, container={"environment": IN_REGION, **container}
            ),
        ),
    )


class TestACaller:
    def test_may_do_what_is_allowed_and_nothing_else(self, aws_box: Box) -> None:
        batch = as_user(aws_box, "batch", ("batch:Describe*", "*"))
        assert batch.describe_jobs(jobs=["x"])["jobs"] == []
        cloud.make_queue(aws_box)
        definition = cloud.make_definition(aws_box, "true")
        said = refusal(batch.submit_job, jobName="x", jobQueue="queue", jobDefinition=definition)
        assert "AccessDeniedException" in said
        assert (
            "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: batch:SubmitJob" in said
        )
        assert "because no identity-based policy allows the batch:SubmitJob action" in said

    def test_may_submit_only_to_the_queue_that_is_named(self, aws_box: Box) -> None:
        cloud.make_queue(aws_box)
        cloud.make_queue(aws_box, "other")
        definition = cloud.make_definition(aws_box, "true")
        batch = as_user(
            aws_box,
            "batch",
            (
                "batch:SubmitJob",
                [
                    "arn:aws:batch:us-east-1:123456789012:job-queue/queue",
                    "arn:aws:batch:us-east-1:123456789012:job-definition/*",
                ],
            ),
        )
        batch.submit_job(jobName="x", jobQueue="queue", jobDefinition=definition)
        said = refusal(batch.submit_job, jobName="x", jobQueue="other", jobDefinition=definition)
        assert "job-queue/other" in said

    def test_must_be_allowed_to_hand_over_a_role(self, aws_box: Box) -> None:
        role = cloud.make_role(aws_box, "reader")
        batch = as_user(aws_box, "batch", ("batch:*", "*"))
        container = {
            "image": "x",
            "jobRoleArn": role,
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "128"},
            ],
        }
        asked = {"jobDefinitionName": "x", "type": "container", "containerProperties": container}
        assert "iam:PassRole" in refusal(batch.register_job_definition, **asked)
        batch = as_user(aws_box, "batch", ("batch:*", "*"), ("iam:PassRole", role))
        assert batch.register_job_definition(**asked)["revision"] == 1

    def test_a_denial_goes_before_what_is_allowed(self, aws_box: Box) -> None:
        allow = cloud.policy(("s3:*", "*"))
        deny = {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"},
        }
        s3 = aws_box.user("ada", allow, deny).client("s3", endpoint_url=aws_box.endpoint)
        s3.create_bucket(Bucket="brains")
        assert "explicit deny" in refusal(s3.delete_bucket, Bucket="brains")

    def test_takes_a_role_that_wants_an_external_id_only_with_that(self, aws_box: Box) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:user/box"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "lab"}},
        }
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        role = aws_box.client("iam").create_role(RoleName="lent", AssumeRolePolicyDocument=trust)["Role"]
        sts = aws_box.client("sts")
        asked = {"RoleArn": role["Arn"], "RoleSessionName": "ada"}
        assert "sts:AssumeRole" in refusal(sts.assume_role, **asked)
        assert "sts:AssumeRole" in refusal(sts.assume_role, **asked, ExternalId="other")
        assert "Credentials" in sts.assume_role(**asked, ExternalId="lab")

    def test_what_was_asked_of_iam_is_in_the_journal(self, aws_box: Box) -> None:
        before = len(aws_box.calls())
        s3 = as_user(aws_box, "s3", ("s3:CreateBucket", "*"))
        s3.create_bucket(Bucket="brains")
        refusal(s3.put_object, Bucket="brains", Key="sub-01", Body=b"x")
        made, refused = [call for call in aws_box.calls(after=before) if call.principal.endswith("/ada")]
        assert (made.operation, made.status, made.error) == ("CreateBucket", 200, "")
        assert made.actions == (("s3:CreateBucket", "arn:aws:s3:::brains"),)
        assert (refused.operation, refused.status, refused.error) == ("PutObject", 403, "AccessDenied")
        assert refused.actions == (("s3:PutObject", "arn:aws:s3:::brains/sub-01"),)


class TestAJob:
    def test_has_its_roles_credentials(self, aws_box: Box) -> None:
        box = aws_box
        role = cloud.make_role(box, "reader", work=cloud.policy(("s3:GetObject", "arn:aws:s3:::brains/*")))
        box.client("s3").create_bucket(Bucket="brains")
        box.client("s3").put_object(Bucket="brains", Key="sub-01", Body=b"a brain")
        job = run_python(box, f"{WHO_AM_I}\n{READ_A_BRAIN}", jobRoleArn=role)
        assert job["status"] == "SUCCEEDED", cloud.log_of(box, job)
        identity, brain = cloud.log_of(box, job)
        task = job["container"]["taskArn"].rpartition("/")[2]
        assert identity == f"arn:aws:sts::123456789012:assumed-role/reader/{task}"
        assert brain == "b'a brain'"

    def test_may_not_do_what_its_role_may_not(self, aws_box: Box) -> None:
        role = cloud.make_role(aws_box, "reader")
        job = run_python(aws_box, READ_A_BRAIN, jobRoleArn=role)
        assert job["status"] == "FAILED"
        assert any("s3:GetObject" in line for line in cloud.log_of(aws_box, job))

    def test_without_a_role_has_no_credentials(self, aws_box: Box) -> None:
        job = run_python(aws_box, WHO_AM_I)
        assert job["status"] == "FAILED"
        assert "NoCredentialsError" in cloud.log_of(aws_box, job)[-1]

    def test_with_a_role_that_does_not_trust_tasks_does_not_start(self, aws_box: Box) -> None:
        role = cloud.make_role(aws_box, "reader", "lambda.amazonaws.com")
        job = run_python(aws_box, WHO_AM_I, jobRoleArn=role)
        assert job["status"] == "FAILED"
        assert job["statusReason"].startswith(f"ECS was unable to assume the role '{role}'")


class TestSecrets:
    def definition(self, box: Box, **policies: Any) -> dict[str, Any]:
        secret = box.client("secretsmanager").create_secret(Name="key", SecretString='{"token": "a-b-c"}')[
            "ARN"
        ]
        box.client("ssm").put_parameter(Name="/lab/site", Value="paris", Type="SecureString")
        return {
            "executionRoleArn": cloud.make_role(box, "execution", **policies),
            "secrets": [
                {"name": "WHOLE", "valueFrom": secret},
                {"name": "TOKEN", "valueFrom": f"{secret}:token::"},
                {"name": "SITE", "valueFrom": "/lab/site"},
            ],
        }

    def test_are_in_the_environment_and_nowhere_else(self, aws_box: Box) -> None:
        reads = cloud.policy(("secretsmanager:GetSecretValue", "*"), ("ssm:GetParameters", "*"))
        code = "import os; print(os.environ['WHOLE'], os.environ['TOKEN'], os.environ['SITE'])"
        job = run_python(aws_box, code, **self.definition(aws_box, reads=reads))
        assert cloud.log_of(aws_box, job) == ['{"token": "a-b-c"} a-b-c paris']
        assert "a-b-c" not in json.dumps(job, default=str)

    def test_that_the_execution_role_may_not_read_stop_the_start(self, aws_box: Box) -> None:
        job = run_python(aws_box, "pass", **self.definition(aws_box))
        assert job["status"] == "FAILED"
        assert "secretsmanager:GetSecretValue" in json.dumps(job, default=str)
        assert "exitCode" not in job["container"]


def send_events(box: Box, queue_policy: dict[str, Any] | None = None, **rule: Any) -> str:
    sqs, events = box.client("sqs"), box.client("events")
    url: str = sqs.create_queue(QueueName="news")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    if queue_policy is not None:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(queue_policy)})
    pattern = {"source": ["aws.batch"], "detail-type": ["Batch Job State Change"]}
    events.put_rule(Name="batch", EventPattern=json.dumps(pattern), **rule)
    events.put_targets(Rule="batch", Targets=[{"Id": "news", "Arn": arn}])
    return url


def received(box: Box, url: str) -> list[dict[str, Any]]:
    sqs, found = box.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


EVENTBRIDGE_MAY_SEND = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/batch"}},
    },
}


class TestEvents:
    def test_of_a_job_come_in_order_to_a_queue_that_takes_them(self, aws_box: Box) -> None:
        url = send_events(aws_box, EVENTBRIDGE_MAY_SEND)
        job = run_python(aws_box, "pass")
        events = received(aws_box, url)
        assert {event["detail"]["jobId"] for event in events} == {job["jobId"]}
        states = [event["detail"]["status"] for event in events]
        assert states[-4:] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
        assert events[-1]["resources"] == [job["jobArn"]]

    def test_do_not_come_to_a_queue_whose_policy_does_not_name_the_rule(self, aws_box: Box) -> None:
        url = send_events(aws_box)
        run_python(aws_box, "pass")
        assert received(aws_box, url) == []

    def test_do_not_come_through_a_disabled_rule(self, aws_box: Box) -> None:
        url = send_events(aws_box, EVENTBRIDGE_MAY_SEND, State="DISABLED")
        run_python(aws_box, "pass")
        assert received(aws_box, url) == []
