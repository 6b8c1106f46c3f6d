"""infrastructure/storage.yaml: who may not, what goes when, what a browser may."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file
from tests.template.policies import as_list

BUCKET, OBJECTS = "<Bucket.Arn>", "<Bucket.Arn>/*"


def storage(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/storage.yaml", **({"BucketName": "acme-uploads"} | parameters))


def rules(**parameters: str) -> dict[str, dict[str, Any]]:
    listed = storage(**parameters)["Bucket"]["LifecycleConfiguration"]["Rules"]
    assert {one["Status"] for one in listed} == {"Enabled"}
    return {one["Id"]: one for one in listed}


def test_nothing_of_it_is_public() -> None:
    own = storage()["Bucket"]
    assert own["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert own["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_it_is_encrypted() -> None:
    [rule] = storage()["Bucket"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def test_nobody_reads_or_writes_without_tls_or_with_an_old_one() -> None:
    policy = storage().one("AWS::S3::BucketPolicy")
    conditions = []
    for statement in policy["PolicyDocument"]["Statement"]:
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Resource"] == [BUCKET, OBJECTS]
        conditions.append(statement["Condition"])
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
    assert {"NumericLessThan": {"s3:TlsVersion": "1.2"}} in conditions
    assert policy["Bucket"] == "acme-uploads"


@pytest.mark.parametrize(
    ("given", "status"),
    [({}, "Enabled"), ({"Versioning": "true"}, "Enabled"), ({"Versioning": "false"}, "Suspended")],
)
def test_versions_are_kept_unless_somebody_says_no(given: dict[str, str], status: str) -> None:
    assert storage(**given)["Bucket"]["VersioningConfiguration"] == {"Status": status}


def test_uploads_that_never_ended_go_after_a_week_and_nothing_else_by_itself() -> None:
    found = rules()
    assert set(found) == {"abort-uploads"}
    assert found["abort-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


@pytest.mark.parametrize(
    ("given", "transitions"),
    [
        ({"InfrequentAccessAfterDays": "90"}, [("STANDARD_IA", "90")]),
        ({"GlacierAfterDays": "365"}, [("GLACIER", "365")]),
        (
            {"InfrequentAccessAfterDays": "90", "GlacierAfterDays": "365"},
            [("STANDARD_IA", "90"), ("GLACIER", "365")],
        ),
    ],
)
def test_an_object_moves_when_it_is_said(given: dict[str, str], transitions: list[tuple[str, str]]) -> None:
    found = rules(**given)
    assert set(found) == {"abort-uploads", "move"}
    moved = [(one["StorageClass"], one["TransitionInDays"]) for one in found["move"]["Transitions"]]
    assert moved == transitions


def test_an_object_and_its_versions_expire_when_it_is_said() -> None:
    found = rules(ExpireAfterDays="7", NoncurrentExpireAfterDays="30")
    assert set(found) == {"abort-uploads", "expire", "forget-versions"}
    assert found["expire"]["ExpirationInDays"] == "7"
    assert found["forget-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": "30"}


@pytest.mark.parametrize("days", ["7", "29", "-1", "ninety"])
def test_a_class_that_s3_takes_from_thirty_days_on_is_not_given_earlier(days: str) -> None:
    with pytest.raises(RenderError, match="30 to 9999"):
        storage(InfrequentAccessAfterDays=days)


def test_pages_of_the_origins_that_are_named_may_use_it() -> None:
    given = {"CorsOrigins": "https://a.example.com,https://b.example.com", "CorsMethods": "GET,PUT"}
    [rule] = storage(**given)["Bucket"]["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == ["https://a.example.com", "https://b.example.com"]
    assert (rule["AllowedMethods"], rule["MaxAge"]) == (["GET", "PUT"], "3000")
    # A signed upload has headers of its own, and one in parts reads the ETag of each.
    assert (rule["AllowedHeaders"], rule["ExposedHeaders"]) == (["*"], ["ETag"])


def test_without_origins_no_page_may() -> None:
    assert "CorsConfiguration" not in storage()["Bucket"]


def test_access_is_logged_under_the_buckets_own_name() -> None:
    own = storage(AccessLogBucket="acme-logs")["Bucket"]
    assert own["LoggingConfiguration"] == {
        "DestinationBucketName": "acme-logs",
        "LogFilePrefix": "acme-uploads/",
    }
    assert "LoggingConfiguration" not in storage()["Bucket"]


READS = {"s3:ListBucket", "s3:GetObject"}
WRITES = {"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}


@pytest.mark.parametrize(("policy", "actions"), [("ReadPolicy", READS), ("ReadWritePolicy", READS | WRITES)])
def test_a_policy_is_about_this_bucket_and_deletes_no_version(policy: str, actions: set[str]) -> None:
    statements = storage()[policy]["PolicyDocument"]["Statement"]
    allowed = {(action, one["Resource"]) for one in statements for action in as_list(one["Action"])}
    assert allowed == {(action, BUCKET if action == "s3:ListBucket" else OBJECTS) for action in actions}
    assert {one["Effect"] for one in statements} == {"Allow"}


def test_it_does_not_go_with_the_stack() -> None:
    resource = storage().resources["Bucket"]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
