"""What can go wrong, split by what the caller should do about it.

TidegateError
├── TransientError          try again: the same call may work in a moment
│   └── ConflictError       somebody wrote first: read again, decide again
├── RefusalError            stop: nothing has changed, the reason is for a person
│   ├── SupersededError     a later release took its place
│   ├── BadInputError       a field of the request is wrong
│   ├── BadManifestError    the manifest is wrong (see domain.manifest)
│   └── NotFoundError       what was named does not exist
├── LostLockError           stop at once: another run owns the environment now
├── AbortedError            stop and undo: a person took the deployment back
└── OutsideError            page: AWS said no, and asking again will not help

A refusal that a state machine expects travels as data (an outcome), not as an exception; these classes
carry it inside the process. `TransientError` is named in the Retry of every Task.
"""

from __future__ import annotations


class TidegateError(Exception):
    """Base of all errors that Tidegate raises on purpose.

    `code` is stable and made for programs, `message` is for a person, `field` names the part of the request
    that is wrong (dotted path), `hint` says how to mend it.
    """

    code = "error"

    def __init__(
        self, message: str, *, field: str | None = None, hint: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint
        if code is not None:
            self.code = code


class TransientError(TidegateError):
    """Throttling, a time-out, a service that is away for a moment."""

    code = "transient"


class ConflictError(TransientError):
    """A conditional write lost against another writer."""

    code = "conflict"


class RefusalError(TidegateError):
    """A gate said no; nothing was changed."""

    code = "refused"


class SupersededError(RefusalError):
    """A later release took the place of this one."""

    code = "superseded"


class BadInputError(RefusalError):
    """A field of a request, an event or a command is missing or wrong."""

    code = "bad_input"


class BadManifestError(RefusalError):
    """The manifest cannot be used."""

    code = "bad_manifest"


class NotFoundError(RefusalError):
    """A system, environment, release, deployment, image or service that does not exist."""

    code = "not_found"


class LostLockError(TidegateError):
    """The fence moved on: this run no longer owns the environment and must not change anything."""

    code = "lost_lock"


class AbortedError(TidegateError):
    """A person asked that the deployment is taken back: it must not succeed any more."""

    code = "aborted"


class OutsideError(TidegateError):
    """AWS refused for a reason that a retry does not mend (permissions, quotas, an invalid request)."""

    code = "outside"
