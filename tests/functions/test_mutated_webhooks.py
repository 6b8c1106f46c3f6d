"""A thousand requests that GitHub did not make, through the function's own handler: none of them starts anything.

Seeded, so that a failure can be repeated. After each round a delivery that is as it should be is accepted: what refuses
everything would pass otherwise.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import io
import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aws_lambda_powertools.logging import Logger
from tidegate.runtime.handler import handler
from tidegate.steps import webhook

from tests.functions.scene import CANARY, WEBHOOK_SECRETS, event
from tests.support.fakes import World

REQUESTS = 1000
REPOSITORY, OTHER = WEBHOOK_SECRETS
SEED = 20261121


@cache
def sample() -> dict[str, Any]:
    return event("webhook/push")


@dataclass
class Request:
    """What is on the wire; `sign` makes it one of GitHub's."""

    payload: Any
    raw: bytes
    headers: dict[str, Any]
    method: str = "POST"
    body: Any = None
    encoded: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        return str(self.headers["x-hub-signature-256"])

    def sign(self, secret: str = WEBHOOK_SECRETS[REPOSITORY]) -> Request:
        self.headers["x-hub-signature-256"] = f"sha256={digest(secret, self.raw)}"
        self.headers["content-length"] = str(len(self.raw))
        return self

    def said(self, **changes: Any) -> Request:
        """Another payload, signed as GitHub would sign it."""
        return self.sent(json.dumps({**self.payload, **changes}).encode())

    def sent(self, raw: bytes) -> Request:
        self.raw = raw
        return self.sign()

    def with_(self, **headers: Any) -> Request:
        for name, value in headers.items():
            self.headers[name.replace("_", "-")] = value
        return self

    def without(self, name: str) -> Request:
        del self.headers[name]
        return self

    def event(self) -> dict[str, Any]:
        """As the function URL hands it over: text where it is UTF-8, else base64."""
        found = copy.deepcopy(sample())
        try:
            text, encoded = self.raw.decode(), False
        except UnicodeDecodeError:
            text, encoded = base64.b64encode(self.raw).decode(), True
        found["headers"] = self.headers
        found["requestContext"]["http"]["method"] = self.method
        found["body"] = text if self.body is None else self.body
        found["isBase64Encoded"] = encoded if self.encoded is None else self.encoded
        return {**found, **self.more}


def digest(secret: str, raw: bytes, algorithm: Any = hashlib.sha256) -> str:
    return hmac.new(secret.encode(), raw, algorithm).hexdigest()


def good(rng: random.Random) -> Request:
    """A push of a commit that nobody has pushed yet."""
    payload = json.loads(sample()["body"])
    payload["after"] = payload["commits"][-1]["id"] = f"{rng.getrandbits(160):040x}"
    raw = json.dumps(payload).encode()
    headers = {**sample()["headers"], "x-github-delivery": str(UUID(int=rng.getrandbits(128)))}
    return Request(payload, raw, headers).sign()


Mutation = Callable[[random.Random, Request, list[Request]], Request]
MUTATIONS: dict[str, tuple[Mutation, set[int]]] = {}


def answers(*statuses: int) -> Callable[[Mutation], Mutation]:
    def add(mutation: Mutation) -> Mutation:
        MUTATIONS[mutation.__name__] = (mutation, set(statuses))
        return mutation

    return add


# --- the signature


@answers(401)
def a_bit_of_the_signature(rng: random.Random, request: Request, _: list[Request]) -> Request:
    at = rng.randrange(7, 71)
    flipped = format(int(request.signature[at], 16) ^ (1 << rng.randrange(4)), "x")
    return request.with_(x_hub_signature_256=request.signature[:at] + flipped + request.signature[at + 1 :])


@answers(401)
def a_short_signature(rng: random.Random, request: Request, _: list[Request]) -> Request:
    return request.with_(x_hub_signature_256=request.signature[: rng.randrange(71)])


@answers(401)
def a_signature_in_capitals(rng: random.Random, request: Request, _: list[Request]) -> Request:
    head, tail = request.signature[:7], request.signature[7:]
    return request.with_(x_hub_signature_256=rng.choice([head + tail.upper(), head.upper() + tail]))


@answers(401)
def another_algorithm(rng: random.Random, request: Request, _: list[Request]) -> Request:
    secret = WEBHOOK_SECRETS[REPOSITORY]
    name = rng.choice(["sha1", "md5", "sha512", "sha384", "sha3_256", "blake2s"])
    said = rng.choice([name, "sha256", ""])
    return request.with_(x_hub_signature_256=f"{said}={digest(secret, request.raw, name)}")


@answers(401)
def another_key(rng: random.Random, request: Request, _: list[Request]) -> Request:
    secret = WEBHOOK_SECRETS[REPOSITORY]
    keys = ["", "null", "undefined", REPOSITORY, secret[:-1], secret + "\n", secret[::-1], secret.upper()]
    return request.sign(rng.choice([*keys, rng.randbytes(16).hex()]))


@answers(401)
def no_signature(rng: random.Random, request: Request, _: list[Request]) -> Request:
    if rng.random() < 0.5:
        return request.without("x-hub-signature-256")
    return request.with_(x_hub_signature_256=rng.choice(["", "sha256=", "none", None, 0, True, ["sha256="]]))


@answers(401)
def a_signature_with_something_around_it(rng: random.Random, request: Request, _: list[Request]) -> Request:
    given = request.signature
    around = [f" {given}", f"{given}\n", f"{given}\x00", f"{given},{given}", f"{given};", f"\ufeff{given}"]
    wide = given[:7] + "".join(chr(ord(x) + 0xFEE0) if x.isdigit() else x for x in given[7:])
    return request.with_(x_hub_signature_256=rng.choice([*around, wide, f"{given}\u200b", f"{given}00"]))


@answers(401)
def the_signature_under_another_name(rng: random.Random, request: Request, _: list[Request]) -> Request:
    name = rng.choice(["x-hub-signature", "x-hub-signature-512", "authorization", "x-hub\u2010signature-256"])
    request.headers[name] = request.headers.pop("x-hub-signature-256")
    return request


@answers(401)
def headers_in_a_case_that_lambda_does_not_give(
    rng: random.Random, request: Request, _: list[Request]
) -> Request:
    """Two headers that differ by case only could be told one thing and do another."""
    request.headers = {name.title(): value for name, value in request.headers.items()}
    return request


# --- the body


@answers(401)
def a_byte_of_the_body(rng: random.Random, request: Request, _: list[Request]) -> Request:
    raw = bytearray(request.raw)
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    request.raw = bytes(raw)
    return request


@answers(401)
def something_before_or_after_the_body(rng: random.Random, request: Request, _: list[Request]) -> Request:
    more = rng.choice([b" ", b"\n", b"\x00", b"\xef\xbb\xbf", b"{}", b"\r\n"])
    request.raw = rng.choice([more + request.raw, request.raw + more])
    return request


@answers(401)
def a_part_of_the_body(rng: random.Random, request: Request, _: list[Request]) -> Request:
    request.raw = request.raw[: rng.randrange(len(request.raw))]
    return request


@answers(401)
def the_same_json_in_other_bytes(rng: random.Random, request: Request, _: list[Request]) -> Request:
    form: dict[str, Any] = rng.choice(
        [{"separators": (",", ":")}, {"indent": 1}, {"sort_keys": True}, {"ensure_ascii": False}]
    )
    request.raw = json.dumps(request.payload, **form).encode()
    return request


@answers(401)
def another_commit_under_the_old_signature(rng: random.Random, request: Request, _: list[Request]) -> Request:
    changed = {**request.payload, "after": f"{rng.getrandbits(160):040x}"}
    request.raw = json.dumps(changed).encode()
    return request


# --- the encoding


@answers(400, 401)
def the_wrong_flag(rng: random.Random, request: Request, _: list[Request]) -> Request:
    if rng.random() < 0.5:
        request.encoded = True
    else:
        request.body, request.encoded = base64.b64encode(request.raw).decode(), False
    return request


@answers(400)
def a_flag_that_is_none(rng: random.Random, request: Request, _: list[Request]) -> Request:
    request.encoded = rng.choice(["false", "true", 0, 1, [], "base64"])
    return request


@answers(400)
def base64_that_is_not_strict(rng: random.Random, request: Request, _: list[Request]) -> Request:
    text = base64.b64encode(request.raw + b"x" * (-len(request.raw) % 3 + 1)).decode()
    bad = [f"{text}\n", f" {text}", text.rstrip("="), text[:9] + "-" + text[9:], f"{text}=", f"{text}é"]
    request.body, request.encoded = rng.choice(bad), True
    return request


@answers(401)
def encoded_twice(rng: random.Random, request: Request, _: list[Request]) -> Request:
    twice = base64.b64encode(base64.b64encode(request.raw))
    request.body, request.encoded = twice.decode(), True
    return request


@answers(400, 401)
def a_body_that_is_none(rng: random.Random, request: Request, _: list[Request]) -> Request:
    request.more = {"body": rng.choice([None, 7, {}, ["{}"], "", "\ud800"])}
    return request


# --- replays


@answers(200)
def a_replay(rng: random.Random, request: Request, taken: list[Request]) -> Request:
    return copy.deepcopy(rng.choice(taken))


@answers(200)
def a_replay_under_another_id(rng: random.Random, request: Request, taken: list[Request]) -> Request:
    return copy.deepcopy(rng.choice(taken)).with_(x_github_delivery=str(UUID(int=rng.getrandbits(128))))


@answers(200)
def a_replay_under_its_id_in_capitals(rng: random.Random, request: Request, taken: list[Request]) -> Request:
    again = copy.deepcopy(rng.choice(taken))
    return again.with_(x_github_delivery=again.headers["x-github-delivery"].upper())


@answers(200)
def a_replay_in_base64(rng: random.Random, request: Request, taken: list[Request]) -> Request:
    again = copy.deepcopy(rng.choice(taken)).with_(x_github_delivery=str(UUID(int=rng.getrandbits(128))))
    again.body, again.encoded = base64.b64encode(again.raw).decode(), True
    return again


@answers(200)
def another_push_under_an_old_id(rng: random.Random, request: Request, taken: list[Request]) -> Request:
    old = rng.choice(taken).headers["x-github-delivery"]
    return request.with_(x_github_delivery=rng.choice([old, old.upper()]))


@answers(400)
def an_id_that_is_none(rng: random.Random, request: Request, _: list[Request]) -> Request:
    if rng.random() < 0.3:
        return request.without("x-github-delivery")
    given = request.headers["x-github-delivery"]
    bad = ["", given[:-1], f"{given}0", f"{{{given}}}", given.replace("-", ""), f"{given}\n", f"{given} "]
    return request.with_(x_github_delivery=rng.choice([*bad, "SEEN#x", None, 7, "\uff11" + given[1:]]))


# --- the size


@answers(413)
def more_than_is_taken(rng: random.Random, request: Request, _: list[Request]) -> Request:
    padded = json.dumps({**request.payload, "padding": "x" * webhook.MOST_BYTES}).encode()
    request.sent(padded)
    if rng.random() < 0.5:
        request.body, request.encoded = base64.b64encode(padded).decode(), True
    return request if rng.random() < 0.5 else request.without("content-length")


@answers(413)
def a_length_that_is_too_long(rng: random.Random, request: Request, _: list[Request]) -> Request:
    return request.with_(content_length=str(webhook.MOST_BYTES + rng.randrange(1, 10**9)))


@answers(400)
def a_length_that_is_none(rng: random.Random, request: Request, _: list[Request]) -> Request:
    return request.with_(content_length=rng.choice(["", "-1", "1e3", "0x10", "\u0661", "9" * 21, "1,1", 7]))


# --- whose it is


@answers(403)
def another_repository(rng: random.Random, request: Request, _: list[Request]) -> Request:
    names = [OTHER, "acme/unknown", "evil/shop", "shop", "", "acme/", "/shop", f"{REPOSITORY}/../../{OTHER}"]
    return request.said(repository={**request.payload["repository"], "full_name": rng.choice(names)})


@answers(403)
def a_repository_that_is_none(rng: random.Random, request: Request, _: list[Request]) -> Request:
    bad = [None, 7, [], {}, REPOSITORY, {"full_name": None}, {"full_name": [REPOSITORY]}, {"full_name": {}}]
    return request.said(repository=rng.choice(bad))


@answers(403)
def another_repositorys_secret(rng: random.Random, request: Request, _: list[Request]) -> Request:
    return request.sign(WEBHOOK_SECRETS[OTHER])


@answers(403)
def a_name_that_looks_the_same(rng: random.Random, request: Request, _: list[Request]) -> Request:
    alike = ["\u0430cme/shop", "acme\u2215shop", "acme/shop\u200b", "ACME/shop", "acme/\u017fhop"]
    alike += ["acme/shop ", "acme/shop\n", "acme/shop\x00", "\ufeffacme/shop", "acme/sho\u0440", "acme//shop"]
    alike += ["acme/shop\ud800", "\uff41cme/shop", "./acme/shop", "acme/shop.git"]
    return request.said(repository={**request.payload["repository"], "full_name": rng.choice(alike)})


# --- what it is


@answers(415)
def another_content_type(rng: random.Random, request: Request, _: list[Request]) -> Request:
    if rng.random() < 0.2:
        return request.without("content-type")
    types = ["application/x-www-form-urlencoded", "text/json", "application/json, text/plain", "application/"]
    return request.with_(content_type=rng.choice([*types, "", "application/jsonp", None, "*/*"]))


@answers(400)
def json_that_bursts(rng: random.Random, request: Request, _: list[Request]) -> Request:
    depth = rng.choice([50_000, 200_000, 500_000])
    text = request.raw.decode()[:-1]
    bursts = ["[" * depth, '{"a":' * depth, text + ', "x": ' + "[" * depth + "]" * depth + "}"]
    bursts += [text + ', "x": ' + "9" * 5_000 + "}"]
    return request.sent(rng.choice(bursts).encode()[: webhook.MOST_BYTES])


@answers(400)
def a_key_that_comes_twice(rng: random.Random, request: Request, _: list[Request]) -> Request:
    text = request.raw.decode()
    twice = rng.choice(
        ['"ref": "refs/heads/main"', f'"after": "{"c" * 40}"', '"repository": {"full_name": "acme/shop"}']
    )
    return request.sent(
        rng.choice([text[:-1] + f", {twice}}}", text.replace("{", f"{{{twice}, ", 1)]).encode()
    )


@answers(400)
def what_is_no_json(rng: random.Random, request: Request, _: list[Request]) -> Request:
    raw = request.raw
    bad = [
        b"",
        b"null",
        b"[]",
        b'"push"',
        b"7",
        raw[:-1],
        b"\xef\xbb\xbf" + raw,
        raw.decode().encode("utf-16"),
    ]
    bad += [raw + b"}", raw.replace(b'"', b"'"), raw[:-1] + b', "x": NaN}', raw[:-1] + b', "x": "\xff"}']
    return request.sent(rng.choice(bad))


@answers(200, 202)
def another_event(rng: random.Random, request: Request, _: list[Request]) -> Request:
    if rng.random() < 0.1:
        return request.without("x-github-event")
    kinds = ["ping", "Push", "push ", "pull_request", "create", "delete", "", "push,push", None, "p\u00fcsh"]
    return request.with_(x_github_event=rng.choice(kinds))


@answers(202)
def a_ref_that_is_no_branch(rng: random.Random, request: Request, _: list[Request]) -> Request:
    refs = ["refs/tags/v1", "refs/tags/refs/heads/main", "main", "", "refs/pull/1/head", "REFS/HEADS/main"]
    return request.said(ref=rng.choice(refs))


@answers(202)
def a_branch_that_is_deleted(rng: random.Random, request: Request, _: list[Request]) -> Request:
    return request.said(**rng.choice([{"deleted": True}, {"after": "0" * 40}]))


@answers(400)
def a_branch_that_cannot_be(rng: random.Random, request: Request, _: list[Request]) -> Request:
    names = [
        "",
        "a b",
        "a..b",
        "a\nb",
        "a\x00",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "a@{1}",
        "a//b",
    ]
    names += ["x" * 201, "m\u0430in", "main\u200b", "main\ud800", "a.lock", "\u202emain"]
    return request.said(ref="refs/heads/" + rng.choice(names))


@answers(400)
def a_commit_that_is_none(rng: random.Random, request: Request, _: list[Request]) -> Request:
    name = rng.choice(["after", "before"])
    good_one = request.payload[name]
    bad = [None, 7, [], "", "HEAD", good_one[:-1], good_one + "0", good_one.upper() + "A", "g" * 40]
    bad += [
        "$(id)".ljust(40, "a"),
        "\uff11" * 40,
        good_one + "\n",
        [good_one],
        "a" * 64 if name == "before" else "A" * 40,
    ]
    return request.said(**{name: rng.choice(bad)})


@answers(400)
def a_flag_of_the_payload_that_is_none(rng: random.Random, request: Request, _: list[Request]) -> Request:
    return request.said(
        **{rng.choice(["created", "deleted", "forced"]): rng.choice([None, 0, 1, "false", []])}
    )


@answers(405)
def another_method(rng: random.Random, request: Request, _: list[Request]) -> Request:
    request.method = rng.choice(["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "post", "POST ", ""])
    return request


@answers(401, 405)
def what_is_no_request(rng: random.Random, request: Request, _: list[Request]) -> Request:
    bad: list[dict[str, Any]] = [{"requestContext": None}, {"requestContext": {}}, {"headers": None}]
    request.more = rng.choice([*bad, {"requestContext": {"http": []}}, {"headers": [["x", "y"]]}])
    return request


class Lines(io.StringIO):
    """The log."""


@pytest.fixture
def as_in_lambda() -> Iterator[None]:
    """With Python's own limit of recursion, which libraries of other tests raise."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.fixture
def world(as_in_lambda: None) -> World:
    world = World()
    world.webhook_secrets.secrets = dict(WEBHOOK_SECRETS)
    return world


def schedule() -> Iterator[str]:
    while True:
        yield from MUTATIONS


def test_a_thousand_mutated_requests_start_nothing(world: World) -> None:
    rng = random.Random(SEED)  # noqa: S311 - to be repeated, not to be secret
    log, names = Lines(), schedule()
    handle = handler(webhook.run, world.ports, Logger(service="mutated", stream=log))
    context = SimpleNamespace(aws_request_id="request")
    taken: list[Request] = []
    wrong: list[str] = []
    for number in range(REQUESTS):
        if number % len(MUTATIONS) == 0:
            control = good(rng)
            assert handle(control.event(), context)["statusCode"] == 202
            taken.append(control)
        before = len(world.bus.events)
        assert before == len(taken)
        name = next(names)
        mutation, statuses = MUTATIONS[name]
        given = mutation(rng, good(rng), taken)
        answer = handle(given.event(), context)
        if answer["statusCode"] not in statuses or len(world.bus.events) != before:
            wrong.append(f"{number} {name}: {answer} {given.headers} {given.raw[:200]!r}")
    assert wrong == []
    assert len(taken) == len(world.bus.events) > 20
    assert world.executions.started == []
    assert [detail["commit"] for _, detail in world.bus.events] == [entry.payload["after"] for entry in taken]
    written = log.getvalue()
    assert len(written.splitlines()) == REQUESTS + len(taken)
    for entry in taken:
        for said in (CANARY, entry.signature, entry.headers["x-github-delivery"], entry.payload["after"]):
            assert said not in written


def test_enough_of_each_is_tried() -> None:
    assert REQUESTS / len(MUTATIONS) > 20
