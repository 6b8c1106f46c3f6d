"""`tidegate local push`: a commit of a repository of this machine goes the whole way, in the embedded cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate_cli.options import Call, with_global_options

app = typer.Typer()


@app.command()
@with_global_options
def push(
    call: Call,
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="The system, as its manifest names it.")],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The root of a git repository with a commit.")
    ],
    branch: Annotated[
        str | None,
        typer.Option(
            "--branch", metavar="B", help="Push to this branch.", show_default="the one checked out"
        ),
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Stop before the push: `git push local main` does the rest.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the build, and what it deploys.")
    ] = True,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="T", help="Follow no longer than this, e.g. 10m.")
    ] = None,
) -> int:
    """Push HEAD of a git repository into the embedded cloud, which builds and releases it.

    Makes what is missing: the system's CodeCommit repository, its CodeBuild projects, the remote `local`. Follows the
    build of the pushed commit and every deployment that it starts; the exit code is theirs: 0 when all went well, 10
    for a build that failed, else that of the deployment.
    """
    # It takes botocore and the manifest's model, for which the other local commands are not to wait.
    from tidegate_cli import local_push  # noqa: PLC0415

    return local_push.run(call, system, folder, branch, prepare=prepare, wait=wait, timeout=timeout)
