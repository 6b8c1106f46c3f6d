"""An image that is asked for by tag or digest and is not there is an error.

AWS: DescribeImages raises ImageNotFoundException for an imageId that the repository does not have (ECR API,
DescribeImages).
MiniStack: leaves it out of the answer, so that `--query 'imageDetails[0].imageDigest'` of a build prints None.
Mended by looking first.
"""

from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import ecr

from tidegate_local.seam import expect, graft


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    find = expect(ecr, "_find_image", signature="(repo_name, image_id)")

    def describe(data: dict[str, Any]) -> Any:
        name = data.get("repositoryName", "")
        for wanted in data.get("imageIds") or []:
            if name in ecr._repositories and find(name, wanted) is None:
                return error_response_json("ImageNotFoundException", _message(name, wanted), 400)
        return original(data)

    original = graft(
        ecr,
        "_describe_images",
        describe,
        signature="(data)",
        shows="match = _find_image(name, iid)\n if match:",
    )


def _message(name: str, wanted: dict[str, str]) -> str:
    shown = ", ".join(f"{key}:'{wanted.get(key, 'null')}'" for key in ("imageDigest", "imageTag"))
    return (
        f"The image with imageId {{{shown}}} does not exist within the repository with name '{name}' in the registry "
        f"with id '{ecr._registry_id()}'"
    )
