"""A bucket that is not empty stays when its stack goes.

AWS: "You can only delete empty buckets. Deletion fails for buckets that have contents" (CloudFormation template
reference, AWS::S3::Bucket): the stack ends in DELETE_FAILED. MiniStack: the bucket goes with what is in it.
Mended by S3's own answer.
"""

import re
from typing import Any

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from tidegate_local.seam import expect, expect_attributes, graft

KIND = "AWS::S3::Bucket"


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    expect_attributes(s3, "_buckets")
    refuse = expect(s3, "_delete_bucket", signature="(name: str)")

    def delete(physical_id: str, _props: dict[str, Any]) -> None:
        if physical_id not in s3._buckets:
            return
        status, _, body = refuse(physical_id)
        if status >= 400:
            told = re.search(rb"<Message>(.*?)</Message>", body)
            raise ValueError(told.group(1).decode() if told else body.decode())

    graft(provisioners, "_s3_delete", delete, signature="(physical_id, props)")
    provisioners._RESOURCE_HANDLERS[KIND]["delete"] = delete
