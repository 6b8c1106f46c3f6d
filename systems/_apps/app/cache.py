"""Redis in front of the database: what it has not, or cannot tell, is asked there."""

from __future__ import annotations

from collections.abc import Callable

import redis

KEPT_SECONDS = 5
ANSWER_SECONDS = 0.5
"""A cache that is slower than that is none; the database answers."""


class Cache:
    """`url` as redis-py reads it: `redis://` or `rediss://` (TLS), empty for none; the password may stand beside."""

    def __init__(self, url: str, password: str = "") -> None:
        self._redis = (
            redis.Redis.from_url(
                url,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                decode_responses=True,
                **({"password": password} if password else {}),
            )
            if url
            else None
        )

    def state(self) -> str:
        """`none`, `ok` or `unreachable`."""
        if self._redis is None:
            return "none"
        try:
            self._redis.ping()
        except (redis.RedisError, OSError):
            return "unreachable"
        return "ok"

    def get(self, key: str, ask: Callable[[], str]) -> str:
        """What is kept under the key, else what `ask` says, which is kept from then on."""
        if self._redis is None:
            return ask()
        try:
            known = self._redis.get(key)
        except (redis.RedisError, OSError):
            return ask()
        if known is not None:
            return str(known)
        said = ask()
        try:
            self._redis.set(key, said, ex=KEPT_SECONDS)
        except (redis.RedisError, OSError):
            return said
        return said

    def forget(self, key: str) -> None:
        if self._redis is None:
            return
        try:
            self._redis.delete(key)
        except (redis.RedisError, OSError):
            return  # it is forgotten by itself after KEPT_SECONDS
