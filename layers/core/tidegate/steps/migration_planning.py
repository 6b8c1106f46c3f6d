"""What a release would do to the database. Reads only: the image's files, and what the ledger recorded of the schema.

What the database itself has is asked when the migration runs (`steps.migrate_sql`): this side of the VPC knows it
from the last time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegate.domain.credentials import JSON
from tidegate.domain.errors import NotFoundError, RefusalError
from tidegate.domain.ids import content_hash
from tidegate.domain.manifest import EnvironmentView, Migrations
from tidegate.domain.manifest.fields import ENVIRONMENT
from tidegate.domain.migration import SQL, MigrationPlan, PendingFile, Schema
from tidegate.domain.plan import Plan
from tidegate.domain.release import Standing, release_name
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas
from tidegate.ports import Ports
from tidegate.steps.images import ResolvedImage, migrations_image

DIRECTORY = "/migrations"
_SUFFIX = ".sql"
# What looked at the files when the image was built, e.g. `squawk 2.70.0`.
LINTER_LABEL = "tidegate.migrations.linter"


@dataclass(frozen=True, slots=True)
class Folder:
    """The SQL files of an image: `content` is what the ledger keeps of them, `new` whether it does not yet."""

    repository: str
    digest: str
    directory: str
    content: Mapping[str, Any]
    new: bool

    @property
    def files(self) -> list[Mapping[str, Any]]:
        """`{"name", "checksum", "kind", "reasons", "findings"}` of each, in the order they run."""
        return list(self.content["files"])


def propose_migration(
    ports: Ports, view: EnvironmentView, images: Mapping[str, ResolvedImage], plan: Plan, *, force: bool
) -> tuple[MigrationPlan | None, Folder | None]:
    """What is to run before the first wave, and the files it was made from.

    None where nothing is: no migrations in the manifest, a release from before there were any, or one whose migration
    ran here before (`force` runs it again). Raises RefusalError where the release does not know what the database has.
    """
    wanted, key = view.migrations, migrations_image(view)
    image = None if key is None else images.get(key)
    if wanted is None or key is None or image is None:
        return None, None
    repository = view.images[key].repository
    schemas = Schemas(ports.store, ports.clock)
    schema = schemas.schema(view.system, view.name)
    folder: Folder | None = None
    if wanted.runner == SQL or wanted.directory is not None:
        folder = _folder(ports, schemas, repository, image.digest, wanted.directory or DIRECTORY)
        if wanted.runner == SQL and not folder.files:
            raise RefusalError(
                f"image {key} has no SQL files in {folder.directory}",
                field="migrations.directory",
                hint="copy them there when the image is built, or correct the manifest",
            )
    identity = _identity(wanted, image, folder)
    if schema is not None and identity in schema.done and not force:
        return None, folder
    pending = () if folder is None else _pending(folder, schema, runs=wanted.runner == SQL)
    return _plan(view, wanted, key, image, plan, identity, folder, pending), folder


def _identity(wanted: Migrations, image: ResolvedImage, folder: Folder | None) -> str:
    """What is done, known by its content: the files, or else the image and the command."""
    if wanted.runner == SQL and folder is not None:
        return content_hash({"files": {file["name"]: file["checksum"] for file in folder.files}})
    return content_hash({"digest": image.digest, "command": list(wanted.command)})


def _folder(ports: Ports, schemas: Schemas, repository: str, digest: str, directory: str) -> Folder:
    known = schemas.folder(repository, digest, directory)
    if known is not None:
        return Folder(repository, digest, directory, known, new=False)
    # SQL is taken apart only where there is any.
    from tidegate.domain.migration_files import read_files  # noqa: PLC0415
    from tidegate.domain.migration_lint import lint_of  # noqa: PLC0415

    read = ports.images.folder(repository, digest, directory, _SUFFIX)
    if read is None:
        raise NotFoundError(
            f"repository {repository} has no {digest}",
            field="migrations.image",
            hint="push it again; a lifecycle rule may have expired it",
        )
    findings: dict[str, list[dict[str, Any]]] = {}
    for finding in lint_of(read.labels) or ():
        findings.setdefault(finding.file, []).append(finding.to_json())
    content = {
        "files": [
            {
                "name": file.name,
                "checksum": file.checksum,
                "kind": file.kind,
                "reasons": list(file.reasons),
                "findings": findings.get(file.name, []),
            }
            for file in read_files(read.files)
        ],
        "linter": _linter(read.labels.get(LINTER_LABEL), findings.get("", [])),
    }
    return Folder(repository, digest, directory, content, new=True)


def _linter(label: str | None, of_no_file: list[dict[str, Any]]) -> str | None:
    """Who looked; findings that the label had no room for are of no file that could tell of them."""
    return None if label is None else "; ".join([label, *(finding["message"] for finding in of_no_file)])


def _pending(folder: Folder, schema: Schema | None, *, runs: bool) -> tuple[PendingFile, ...]:
    from tidegate.domain.migration_files import compare  # noqa: PLC0415 -- as above

    files = [(file["name"], file["checksum"]) for file in folder.files]
    compared = compare(files, {} if schema is None else schema.files)
    if compared.refusal is not None and runs:
        raise RefusalError(compared.refusal, field="migrations", hint=compared.hint)
    names = set(compared.pending)
    return tuple(
        PendingFile(
            file["name"], file["checksum"], file["kind"], tuple(file["reasons"]), tuple(file["findings"])
        )
        for file in folder.files
        if file["name"] in names
    )


def _plan(
    view: EnvironmentView,
    wanted: Migrations,
    key: str,
    image: ResolvedImage,
    plan: Plan,
    identity: str,
    folder: Folder | None,
    pending: tuple[PendingFile, ...],
) -> MigrationPlan:
    service = None if wanted.service is None or wanted.runner == SQL else plan.service(wanted.service)
    database = view.database
    secret = None if wanted.secret is None else wanted.secret.replace(ENVIRONMENT, view.name)
    rotated = None if secret is None else view.secrets.get(secret)
    return MigrationPlan(
        runner=wanted.runner,
        key=identity,
        image=key,
        repository=view.images[key].repository,
        digest=image.digest,
        image_uri=image.uri,
        timeout=_seconds(wanted.timeout),
        lock_timeout=_seconds(wanted.lock_timeout),
        statement_timeout=_seconds(wanted.statement_timeout or wanted.timeout),
        transaction_age=_seconds(wanted.transaction_age),
        snapshot=wanted.snapshot == "before",
        service=None if service is None else service.key,
        ecs_service="" if service is None else service.service,
        base="" if service is None else service.base,
        container="" if service is None else service.container,
        command=wanted.command,
        verify=wanted.verify,
        directory=None if folder is None else folder.directory,
        secret=secret,
        secret_format=JSON if rotated is None else rotated.form,
        tls=wanted.tls,
        function=view.settings.runner or "",
        database=None if database is None else database.model_dump(exclude_none=True),
        pending=pending,
        linter=None if folder is None else folder.content.get("linter"),
    )


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def refuse_step_back(
    ports: Ports, view: EnvironmentView, standing: Standing | None, *, force: bool, field: str
) -> None:
    """Raises RefusalError where what an older release needs was taken out of the database since it last ran here."""
    schema = Schemas(ports.store, ports.clock).schema(view.system, view.name)
    if schema is None or standing is None or force:
        return
    current = Ledger(ports.store, ports.clock).current(view.system, view.name)
    if current is not None and current.release == standing.release:
        # It runs, and ran when the step was taken.
        return
    steps = schema.taken_away_since(standing.at)
    if not steps:
        return
    said = ", ".join(f"{step.name} ({release_name(step.release)})" for step in steps[-3:])
    more = f" and {len(steps) - 3} before" if len(steps) > 3 else ""
    raise RefusalError(
        f"{release_name(standing.release)} ran here before {said}{more}, which cannot be undone:"
        " its code may need what was taken out of the database",
        field=field,
        hint="release a mend instead; if you know that the old code works with this schema, add --force",
    )
