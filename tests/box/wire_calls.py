"""Calls of boto3, and what is to be read of each."""

from typing import Any, NamedTuple

ARN = "arn:aws:batch:eu-west-1:123456789012:job-queue/q"


class Call(NamedTuple):
    """A call of boto3, and what is to be read of it."""

    service: str
    method: str
    arguments: dict[str, Any]
    operation: str
    protocol: str
    params: dict[str, Any]


CALLS = [
    Call(
        "batch",
        "submit_job",
        {"jobName": "a", "jobQueue": "q", "jobDefinition": "d:3"},
        "SubmitJob",
        "rest-json",
        {"jobName": "a", "jobQueue": "q", "jobDefinition": "d:3"},
    ),
    Call("batch", "describe_jobs", {"jobs": ["1"]}, "DescribeJobs", "rest-json", {"jobs": ["1"]}),
    Call(
        "batch",
        "tag_resource",
        {"resourceArn": ARN, "tags": {"k": "v"}},
        "TagResource",
        "rest-json",
        {"resourceArn": ARN, "tags": {"k": "v"}},
    ),
    Call(
        "batch",
        "list_tags_for_resource",
        {"resourceArn": ARN},
        "ListTagsForResource",
        "rest-json",
        {"resourceArn": ARN},
    ),
    Call(
        "ecr",
        "create_repository",
        {"repositoryName": "a/b"},
        "CreateRepository",
        "json",
        {"repositoryName": "a/b"},
    ),
    Call(
        "iam", "get_role", {"RoleName": "r"}, "GetRole", "query", {"RoleName": "r", "Version": "2010-05-08"}
    ),
    Call(
        "iam",
        "tag_role",
        {"RoleName": "r", "Tags": [{"Key": "k", "Value": "v"}]},
        "TagRole",
        "query",
        {"Tags.member.1.Key": "k"},
    ),
    Call("sts", "get_caller_identity", {}, "GetCallerIdentity", "query", {}),
    Call(
        "logs",
        "get_log_events",
        {"logGroupName": "g", "logStreamName": "s"},
        "GetLogEvents",
        "json",
        {"logGroupName": "g"},
    ),
    Call(
        "sqs",
        "send_message",
        {"QueueUrl": "http://x/1/q", "MessageBody": "b"},
        "SendMessage",
        "json",
        {"QueueUrl": "http://x/1/q"},
    ),
    Call("events", "put_rule", {"Name": "r"}, "PutRule", "json", {"Name": "r"}),
    Call("ec2", "describe_vpcs", {"VpcIds": ["vpc-1"]}, "DescribeVpcs", "ec2", {"VpcId.1": "vpc-1"}),
    Call("ecs", "describe_clusters", {"clusters": ["c"]}, "DescribeClusters", "json", {"clusters": ["c"]}),
    Call("cloudformation", "delete_stack", {"StackName": "s"}, "DeleteStack", "query", {"StackName": "s"}),
    Call(
        "secretsmanager", "get_secret_value", {"SecretId": "x"}, "GetSecretValue", "json", {"SecretId": "x"}
    ),
    Call("ssm", "get_parameter", {"Name": "/p"}, "GetParameter", "json", {"Name": "/p"}),
    Call("kms", "describe_key", {"KeyId": "k"}, "DescribeKey", "json", {"KeyId": "k"}),
    Call("pricing", "describe_services", {}, "DescribeServices", "json", {}),
    Call("service-quotas", "list_services", {}, "ListServices", "json", {}),
    Call(
        "budgets",
        "describe_budgets",
        {"AccountId": "1" * 12},
        "DescribeBudgets",
        "json",
        {"AccountId": "1" * 12},
    ),
    Call(
        "resourcegroupstaggingapi",
        "get_resources",
        {"TagFilters": [{"Key": "k"}]},
        "GetResources",
        "json",
        {"TagFilters": [{"Key": "k"}]},
    ),
    Call("s3", "list_buckets", {}, "ListBuckets", "rest-xml", {}),
    Call("s3", "head_bucket", {"Bucket": "bucket"}, "HeadBucket", "rest-xml", {"Bucket": "bucket"}),
    Call("s3", "create_bucket", {"Bucket": "bucket"}, "CreateBucket", "rest-xml", {"Bucket": "bucket"}),
    Call("s3", "delete_bucket", {"Bucket": "bucket"}, "DeleteBucket", "rest-xml", {"Bucket": "bucket"}),
    Call(
        "s3",
        "get_bucket_lifecycle_configuration",
        {"Bucket": "bucket"},
        "GetBucketLifecycleConfiguration",
        "rest-xml",
        {},
    ),
    Call("s3", "get_bucket_location", {"Bucket": "bucket"}, "GetBucketLocation", "rest-xml", {}),
    Call(
        "s3",
        "put_bucket_tagging",
        {"Bucket": "bucket", "Tagging": {"TagSet": []}},
        "PutBucketTagging",
        "rest-xml",
        {},
    ),
    Call(
        "s3",
        "put_public_access_block",
        {"Bucket": "bucket", "PublicAccessBlockConfiguration": {}},
        "PutPublicAccessBlock",
        "rest-xml",
        {},
    ),
    Call(
        "s3",
        "list_objects_v2",
        {"Bucket": "bucket", "Prefix": "a/b ", "Delimiter": "/"},
        "ListObjectsV2",
        "rest-xml",
        {"Bucket": "bucket", "Prefix": "a/b ", "Delimiter": "/"},
    ),
    Call(
        "s3", "list_objects", {"Bucket": "bucket", "Prefix": "a"}, "ListObjects", "rest-xml", {"Prefix": "a"}
    ),
    Call("s3", "list_object_versions", {"Bucket": "bucket"}, "ListObjectVersions", "rest-xml", {}),
    Call(
        "s3",
        "get_object",
        {"Bucket": "bucket", "Key": "a/b c/é"},
        "GetObject",
        "rest-xml",
        {"Bucket": "bucket", "Key": "a/b c/é"},
    ),
    Call(
        "s3",
        "head_object",
        {"Bucket": "bucket", "Key": "k", "VersionId": "v"},
        "HeadObject",
        "rest-xml",
        {"Key": "k", "VersionId": "v"},
    ),
    Call(
        "s3",
        "put_object",
        {"Bucket": "bucket", "Key": "k", "Body": b"x", "Tagging": "a=b"},
        "PutObject",
        "rest-xml",
        {"Key": "k", "Tagging": "a=b"},
    ),
    Call(
        "s3",
        "copy_object",
        {"Bucket": "bucket", "Key": "k", "CopySource": {"Bucket": "o", "Key": "p q"}},
        "CopyObject",
        "rest-xml",
        {"CopySource": "o/p%20q"},
    ),
    Call("s3", "delete_object", {"Bucket": "bucket", "Key": "k"}, "DeleteObject", "rest-xml", {"Key": "k"}),
    Call(
        "s3",
        "delete_objects",
        {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "a&b"}, {"Key": "c"}]}},
        "DeleteObjects",
        "rest-xml",
        {"Delete": {"Objects": [{"Key": "a&b"}, {"Key": "c"}]}},
    ),
    Call(
        "s3",
        "create_multipart_upload",
        {"Bucket": "bucket", "Key": "k"},
        "CreateMultipartUpload",
        "rest-xml",
        {},
    ),
    Call(
        "s3",
        "upload_part",
        {"Bucket": "bucket", "Key": "k", "UploadId": "u", "PartNumber": 2},
        "UploadPart",
        "rest-xml",
        {"UploadId": "u"},
    ),
    Call(
        "s3",
        "upload_part_copy",
        {"Bucket": "bucket", "Key": "k", "UploadId": "u", "PartNumber": 2, "CopySource": "o/p"},
        "UploadPartCopy",
        "rest-xml",
        {"CopySource": "o/p"},
    ),
    Call(
        "s3",
        "complete_multipart_upload",
        {"Bucket": "bucket", "Key": "k", "UploadId": "u"},
        "CompleteMultipartUpload",
        "rest-xml",
        {"UploadId": "u"},
    ),
    Call(
        "s3",
        "abort_multipart_upload",
        {"Bucket": "bucket", "Key": "k", "UploadId": "u"},
        "AbortMultipartUpload",
        "rest-xml",
        {},
    ),
    Call("s3", "list_parts", {"Bucket": "bucket", "Key": "k", "UploadId": "u"}, "ListParts", "rest-xml", {}),
    Call("s3", "get_object_tagging", {"Bucket": "bucket", "Key": "k"}, "GetObjectTagging", "rest-xml", {}),
    Call(
        "s3",
        "get_object_attributes",
        {"Bucket": "bucket", "Key": "k", "ObjectAttributes": ["ETag"]},
        "GetObjectAttributes",
        "rest-xml",
        {},
    ),
]
