"""The box's ECR: moto's API and the registry behind one door."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from cloudknot.testing.ecr.tokens import VALID_S, Caller
from tests.box.ecr_rig import CONFIG, KEY, LAYER, REGION, Cloud, a_cloud
from tests.box.registry_rig import (
    ACCOUNT,
    OCI_IMAGE,
    OCI_INDEX,
    SCHEMA_2,
    digest_of,
    image_manifest,
    index_manifest,
    refusal_of,
    serving,
)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with a_cloud(tmp_path / "registry") as cloud:
        yield cloud


@pytest.fixture
def ecr(cloud: Cloud) -> Any:
    return cloud.with_repository()


def code_of(call: Callable[[], object]) -> tuple[str, str]:
    """Return the code and the words of a refusal by the API."""
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_repositorys_address_is_the_boxs(cloud: Cloud) -> None:
    ecr = cloud.client()
    made = ecr.create_repository(repositoryName="team/image")["repository"]
    assert made["repositoryUri"] == f"localhost:{cloud.port}/team/image"
    (found,) = ecr.describe_repositories()["repositories"]
    assert found["repositoryUri"] == made["repositoryUri"]


def test_a_stacks_repository_has_the_boxs_address_and_goes_with_its_images_when_it_shall(
    cloud: Cloud,
) -> None:
    stacks = cloud.client("cloudformation")
    template = {
        "Resources": {
            "Images": {
                "Type": "AWS::ECR::Repository",
                "Properties": {"RepositoryName": "stacked", "EmptyOnDelete": True},
            }
        },
        "Outputs": {"Uri": {"Value": {"Fn::GetAtt": ["Images", "RepositoryUri"]}}},
    }
    stacks.create_stack(StackName="s", TemplateBody=json.dumps(template))
    (stack,) = stacks.describe_stacks(StackName="s")["Stacks"]
    assert stack["Outputs"][0]["OutputValue"] == f"localhost:{cloud.port}/stacked"
    cloud.push_image(LAYER, tag="1", password=cloud.password(), repository="stacked")
    stacks.delete_stack(StackName="s")
    assert cloud.client().describe_repositories()["repositories"] == []
    assert cloud.blobs() == set()


def test_a_token_is_new_each_time_and_good_for_twelve_hours(cloud: Cloud) -> None:
    ecr = cloud.client()
    first, second = (ecr.get_authorization_token()["authorizationData"][0] for _ in range(2))
    assert first["authorizationToken"] != second["authorizationToken"]
    assert first["proxyEndpoint"] == f"http://localhost:{cloud.port}"
    assert first["expiresAt"].timestamp() == pytest.approx(cloud.now + 12 * 3600, abs=1)


def test_a_token_is_bound_to_who_asked_for_it_and_to_its_region(cloud: Cloud, ecr: Any) -> None:
    password, elsewhere = cloud.password(), cloud.password("eu-west-1")
    assert cloud.http("GET", "/v2/box/tags/list", password).status_code == 200
    assert cloud.asked == [
        (Caller(access_key=KEY), "ecr:ListImages", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/box")
    ]
    assert refusal_of(cloud.http("GET", "/v2/box/tags/list", elsewhere))[1] == "NAME_UNKNOWN"


def test_a_token_that_has_expired_opens_nothing(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    cloud.now += VALID_S - 1
    assert cloud.http("GET", "/v2/", password).status_code == 200
    cloud.now += 1
    assert refusal_of(cloud.http("GET", "/v2/", password)) == (
        403,
        "DENIED",
        "Your authorization token has expired. Reauthenticate and try again.",
    )
    assert cloud.http("GET", "/v2/", cloud.password()).status_code == 200


def test_what_a_token_allows_is_what_its_owners_policies_allow_now(tmp_path: Path) -> None:
    with a_cloud(tmp_path, is_by_policies=True) as cloud:
        cloud.client().create_repository(repositoryName="box")
        iam = cloud.client("iam")
        iam.create_user(UserName="ann")
        key = iam.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"]
        cloud.key = key
        password = cloud.password()
        path = "/v2/box/tags/list"
        arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/box"
        assert refusal_of(cloud.http("GET", path, password)) == (
            403,
            "DENIED",
            f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: ecr:ListImages on resource:"
            f" {arn} because no identity-based policy allows the ecr:ListImages action",
        )
        allowed = {"Effect": "Allow", "Action": "ecr:ListImages", "Resource": arn}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=document)
        assert cloud.http("GET", path, password).status_code == 200
        iam.delete_user_policy(UserName="ann", PolicyName="p")
        iam.delete_access_key(UserName="ann", AccessKeyId=key)
        iam.delete_user(UserName="ann")
        assert cloud.http("GET", path, password).status_code == 403


def test_what_was_pushed_is_described_as_it_is(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    manifest = cloud.push_image(LAYER, tag="1", password=password)
    cloud.put(manifest, "latest", password)
    (found,) = ecr.describe_images(repositoryName="box")["imageDetails"]
    assert found["imageDigest"] == digest_of(manifest)
    assert sorted(found["imageTags"]) == ["1", "latest"]
    assert found["imageSizeInBytes"] == len(CONFIG) + len(LAYER)
    assert found["imageManifestMediaType"] == SCHEMA_2
    assert found["artifactMediaType"] == "application/vnd.docker.container.image.v1+json"
    assert abs(found["imagePushedAt"].timestamp() - time.time()) < 60
    assert "lastRecordedPullTime" not in found
    listed = ecr.list_images(repositoryName="box")["imageIds"]
    assert {(each["imageTag"], each["imageDigest"]) for each in listed} == {
        ("1", digest_of(manifest)),
        ("latest", digest_of(manifest)),
    }
    layers = ecr.batch_check_layer_availability(repositoryName="box", layerDigests=[digest_of(LAYER)])
    assert layers["layers"][0]["layerSize"] == len(LAYER)


def test_a_pull_is_recorded(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    cloud.push_image(LAYER, tag="1", password=password)
    cloud.http("GET", "/v2/box/manifests/1", password)
    (found,) = ecr.describe_images(repositoryName="box")["imageDetails"]
    assert abs(found["lastRecordedPullTime"].timestamp() - time.time()) < 60


def test_a_pushed_manifest_is_got_as_it_was_pushed_under_the_tag_asked_for(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    manifest = cloud.push_image(LAYER, tag="1", password=password)
    cloud.put(manifest, "latest", password)
    asked = [{"imageTag": "1"}, {"imageDigest": digest_of(manifest)}, {"imageTag": "none"}]
    got = ecr.batch_get_image(repositoryName="box", imageIds=asked)
    assert [each["imageManifest"].encode() for each in got["images"]] == [manifest, manifest]
    assert got["images"][0]["imageId"] == {"imageTag": "1", "imageDigest": digest_of(manifest)}
    assert got["images"][0]["imageManifestMediaType"] == SCHEMA_2
    assert got["failures"][0]["failureCode"] == "ImageNotFound"


def test_a_tag_moves_and_the_image_that_had_it_stays_without(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    old = cloud.push_image(LAYER, tag="1", password=password)
    new = cloud.push_image(b"new", tag="1", password=password)
    details = {
        each["imageDigest"]: each for each in ecr.describe_images(repositoryName="box")["imageDetails"]
    }
    assert details[digest_of(new)]["imageTags"] == ["1"]
    assert "imageTags" not in details[digest_of(old)]
    assert cloud.http("GET", "/v2/box/manifests/1", password).data == new
    assert cloud.http("GET", f"/v2/box/manifests/{digest_of(old)}", password).data == old
    untagged = ecr.list_images(repositoryName="box", filter={"tagStatus": "UNTAGGED"})["imageIds"]
    assert untagged == [{"imageDigest": digest_of(old)}]


def test_an_image_is_tagged_again_through_the_api(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    manifest = cloud.push_image(LAYER, tag="1", password=password)
    put = ecr.put_image(repositoryName="box", imageManifest=manifest.decode(), imageTag="2")["image"]
    assert put["imageId"] == {"imageTag": "2", "imageDigest": digest_of(manifest)}
    assert cloud.http("GET", "/v2/box/manifests/2", password).data == manifest
    code, _ = code_of(
        lambda: ecr.put_image(repositoryName="box", imageManifest=manifest.decode(), imageTag="2")
    )
    assert code == "ImageAlreadyExistsException"


def test_an_image_can_be_pushed_through_the_api_alone_and_pulled(cloud: Cloud, ecr: Any) -> None:
    for blob in (CONFIG, LAYER):
        upload = ecr.initiate_layer_upload(repositoryName="box")["uploadId"]
        ecr.upload_layer_part(
            repositoryName="box",
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(blob) - 1,
            layerPartBlob=blob,
        )
        ecr.complete_layer_upload(repositoryName="box", uploadId=upload, layerDigests=[digest_of(blob)])
    ecr.put_image(repositoryName="box", imageManifest=image_manifest(CONFIG, LAYER).decode(), imageTag="1")
    password = cloud.password()
    assert cloud.http("GET", "/v2/box/manifests/1", password).status_code == 200
    assert cloud.http("GET", f"/v2/box/blobs/{digest_of(LAYER)}", password).data == LAYER


def test_the_api_refuses_what_the_registry_refuses(cloud: Cloud, ecr: Any) -> None:
    manifest = image_manifest(CONFIG, LAYER).decode()

    def put(**more: str) -> tuple[str, str]:
        return code_of(lambda: ecr.put_image(**{"repositoryName": "box", "imageManifest": manifest, **more}))

    code, words = put(imageTag="1")
    assert code == "LayersNotFoundException"
    assert digest_of(LAYER) in words
    assert put(imageManifest=index_manifest(b"x").decode())[0] == "ReferencedImagesNotFoundException"
    assert put(imageManifest="no")[0] == "InvalidParameterException"
    cloud.push_image(LAYER, tag="1", password=cloud.password())
    assert put(imageTag="2", imageDigest=digest_of(b"x"))[0] == "ImageDigestDoesNotMatchException"
    assert put(repositoryName="none")[0] == "RepositoryNotFoundException"


def test_an_immutable_tag_stays_whichever_way_it_is_pushed(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    cloud.push_image(LAYER, tag="1", password=password)
    ecr.put_image_tag_mutability(repositoryName="box", imageTagMutability="IMMUTABLE")
    other = image_manifest(CONFIG)
    words = (
        "The image tag '1' already exists in the 'box' repository and cannot be overwritten because the"
        " repository is immutable."
    )
    response = cloud.http("PUT", "/v2/box/manifests/1", password, data=other, content_type=SCHEMA_2)
    assert refusal_of(response) == (400, "TAG_INVALID", words)
    put = code_of(lambda: ecr.put_image(repositoryName="box", imageManifest=other.decode(), imageTag="1"))
    assert put == ("ImageTagAlreadyExistsException", words)
    cloud.put(other, "2", password)


def test_a_deleted_image_goes_with_the_layers_that_no_other_has(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    first = cloud.push_image(LAYER, b"one", tag="1", password=password)
    second = cloud.push_image(LAYER, b"two", tag="2", password=password)
    cloud.push(b"on its way", password)
    deleted = ecr.batch_delete_image(repositoryName="box", imageIds=[{"imageTag": "1"}])
    assert deleted["imageIds"] == [{"imageTag": "1", "imageDigest": digest_of(first)}]
    assert cloud.http("GET", f"/v2/box/manifests/{digest_of(first)}", password).status_code == 404
    assert cloud.blobs() == {digest_of(blob) for blob in (CONFIG, LAYER, b"two", b"on its way")}
    assert cloud.http("GET", "/v2/box/manifests/2", password).data == second
    gone = ecr.batch_check_layer_availability(repositoryName="box", layerDigests=[digest_of(b"one")])
    assert gone["failures"][0]["failureCode"] == "MissingLayerDigest"


def test_an_image_with_two_tags_is_only_untagged_by_one(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    manifest = cloud.push_image(LAYER, tag="1", password=password)
    cloud.put(manifest, "2", password)
    ecr.batch_delete_image(repositoryName="box", imageIds=[{"imageTag": "1"}])
    assert cloud.http("GET", "/v2/box/manifests/1", password).status_code == 404
    assert cloud.http("GET", "/v2/box/manifests/2", password).data == manifest
    ecr.batch_delete_image(repositoryName="box", imageIds=[{"imageDigest": digest_of(manifest)}])
    assert cloud.blobs() == set()


def test_an_image_without_a_tag_is_named_when_it_is_deleted(cloud: Cloud, ecr: Any) -> None:
    manifest = cloud.push_image(
        LAYER, tag=digest_of(image_manifest(CONFIG, LAYER)), password=cloud.password()
    )
    asked = [{"imageDigest": digest_of(manifest)}]
    assert ecr.batch_delete_image(repositoryName="box", imageIds=asked)["imageIds"] == asked


def test_an_image_that_an_index_needs_cannot_be_deleted(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    inner = cloud.push_image(LAYER, tag="inner", password=password, media_type=OCI_IMAGE)
    index = index_manifest(inner)
    cloud.put(index, "all", password, media_type=OCI_INDEX)
    asked = [{"imageDigest": digest_of(inner)}]
    refused = ecr.batch_delete_image(repositoryName="box", imageIds=asked)
    assert refused["failures"][0]["failureCode"] == "ImageReferencedByManifestList"
    assert cloud.http("DELETE", f"/v2/box/manifests/{digest_of(inner)}", password).status_code == 403
    (size,) = {
        each["imageSizeInBytes"]
        for each in ecr.describe_images(repositoryName="box", imageIds=[{"imageTag": "all"}])["imageDetails"]
    }
    assert size == len(CONFIG) + len(LAYER)
    ecr.batch_delete_image(repositoryName="box", imageIds=[{"imageTag": "all"}])
    assert ecr.batch_delete_image(repositoryName="box", imageIds=asked)["failures"] == []


def test_what_is_deleted_in_the_registry_is_gone_for_the_api(cloud: Cloud, ecr: Any) -> None:
    password = cloud.password()
    cloud.push_image(LAYER, tag="1", password=password)
    assert cloud.http("DELETE", "/v2/box/manifests/1", password).status_code == 202
    assert ecr.list_images(repositoryName="box")["imageIds"] == []
    assert cloud.blobs() == set()


def test_a_repository_goes_with_its_bytes_but_not_with_those_of_others(cloud: Cloud, ecr: Any) -> None:
    ecr.create_repository(repositoryName="other")
    password = cloud.password()
    cloud.push_image(LAYER, b"mine", tag="1", password=password)
    manifest = cloud.push_image(LAYER, tag="1", password=password, repository="other")
    assert code_of(lambda: ecr.delete_repository(repositoryName="box"))[0] == "RepositoryNotEmptyException"
    ecr.delete_repository(repositoryName="box", force=True)
    assert cloud.blobs() == {digest_of(CONFIG), digest_of(LAYER)}
    assert cloud.http("GET", "/v2/other/manifests/1", password).data == manifest
    assert refusal_of(cloud.http("GET", "/v2/box/manifests/1", password))[1] == "NAME_UNKNOWN"


def test_layers_are_mounted_where_the_account_has_turned_that_on(cloud: Cloud, ecr: Any) -> None:
    ecr.create_repository(repositoryName="other")
    password = cloud.password()
    cloud.push(LAYER, password)
    path = f"/v2/other/blobs/uploads/?mount={digest_of(LAYER)}&from=box"
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"
    assert cloud.http("POST", path, password).status_code == 202
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert cloud.http("POST", path, password).status_code == 201
    ecr.delete_repository(repositoryName="box", force=True)
    assert cloud.http("GET", f"/v2/other/blobs/{digest_of(LAYER)}", password).data == LAYER


def test_a_reset_forgets_images_and_bytes(cloud: Cloud, ecr: Any) -> None:
    from moto.moto_api._internal.models import moto_api_backend

    password = cloud.password()
    cloud.push_image(LAYER, tag="1", password=password)
    moto_api_backend.reset()
    assert cloud.blobs() == set()
    cloud.installed.clear()
    assert cloud.http("GET", "/v2/", password).status_code == 400
    made = ecr.create_repository(repositoryName="box")["repository"]
    assert made["repositoryUri"] == f"localhost:{cloud.port}/box"


def test_moto_is_as_it_was_when_the_box_has_gone(tmp_path: Path) -> None:
    with a_cloud(tmp_path) as cloud:
        cloud.client().create_repository(repositoryName="box")
    moto = DomainDispatcherApplication(create_backend_app)
    with serving(lambda port: moto) as port:
        client = boto3.client(
            "ecr",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key="secret",
        )
        assert client.describe_repositories()["repositories"] == []
        made = client.create_repository(repositoryName="box")["repository"]
        assert made["repositoryUri"].endswith(".amazonaws.com/box")
        client.delete_repository(repositoryName="box")
        token = client.get_authorization_token()["authorizationData"][0]
        assert token["proxyEndpoint"].endswith(".amazonaws.com")
