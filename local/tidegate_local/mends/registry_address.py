"""With a Docker engine, a repository's address is one that the engine can push to and pull from.

AWS: `repositoryUri` is `<account>.dkr.ecr.<region>.amazonaws.com/<name>`, and GetAuthorizationToken's
`proxyEndpoint` is the registry to log in to (ECR API, Repository and AuthorizationData).
MiniStack: says the same, but its registry (HTTP API V2) is at its own port, where that name does not lead.
Mended by saying where it is: `127.0.0.1:<port>/<name>`. Docker takes plain HTTP from a registry on loopback.
"""

import json
from typing import Any

from ministack.core.responses import json_response
from ministack.services import ecr

from tidegate_local.seam import graft


def install(registry: str) -> None:
    """`registry` is `127.0.0.1:<port>`. Raises `MendDoesNotFitError`."""

    def token(data: dict[str, Any]) -> Any:
        answer = json.loads(original(data)[2])
        for entry in answer["authorizationData"]:
            entry["proxyEndpoint"] = f"http://{registry}"
        return json_response(answer)

    graft(ecr, "_repo_uri", lambda name: f"{registry}/{name}", signature="(name)", shows=".dkr.ecr.")
    original = graft(ecr, "_get_authorization_token", token, signature="(data)", shows='"proxyEndpoint"')
