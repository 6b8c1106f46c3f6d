from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.steps import webhook

from tests.support.fakes import World

SECRET, OTHER_SECRET = "the secret of acme/shop", "the secret of acme/other"
AFTER, BEFORE, ZEROS = "a" * 40, "b" * 40, "0" * 40
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def commit(id_: str = AFTER, *paths: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "added": [], "removed": [], "modified": list(paths or ("a.py",)), **more}


def push(**more: Any) -> dict[str, Any]:
    return {
        "ref": "refs/heads/main",
        "before": BEFORE,
        "after": AFTER,
        "created": False,
        "deleted": False,
        "forced": False,
        "compare": "https://github.com/acme/shop/compare/bbbbbbbbbbbb...aaaaaaaaaaaa",
        "commits": [commit()],
        "repository": {"full_name": "acme/shop"},
        "sender": {"login": "ada"},
        **more,
    }


@dataclass(frozen=True)
class Delivery:
    """A request as GitHub makes it, and as the function URL hands it over."""

    payload: Any = field(default_factory=push)
    raw: bytes | None = None
    secret: str = SECRET
    method: str = "POST"
    encoded: bool = False
    headers: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps(self.payload).encode() if self.raw is None else self.raw

    def event(self) -> dict[str, Any]:
        digest = hmac.new(self.secret.encode(), self.body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(self.body)),
            "x-github-event": "push",
            "x-github-delivery": GUID,
            "x-hub-signature-256": f"sha256={digest}",
            **self.headers,
        }
        return {
            "version": "2.0",
            "headers": {name: value for name, value in headers.items() if value is not None},
            "requestContext": {"http": {"method": self.method}},
            "body": base64.b64encode(self.body).decode() if self.encoded else self.body.decode(),
            "isBase64Encoded": self.encoded,
        }


@pytest.fixture
def world() -> World:
    world = World()
    world.webhook_secrets.secrets = {"acme/shop": SECRET, "acme/other": OTHER_SECRET}
    return world


def answered(world: World, delivery: Delivery | Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    event = delivery.event() if isinstance(delivery, Delivery) else delivery
    answer = webhook.run(event, world.ports)
    assert answer.keys() == {"statusCode", "headers", "body"}
    assert answer["headers"]["content-type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"])


def put(world: World) -> list[Mapping[str, Any]]:
    return world.bus.of("GitHub Push")


def test_githubs_own_example_of_a_signature() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secrets = {"acme/shop": "It's a Secret to Everybody", "acme/other": "another one"}
    assert webhook._signers(secrets, b"Hello, World!", digest) == {"acme/shop"}


@pytest.mark.parametrize("encoded", [False, True])
def test_a_push_is_put_on_the_bus(world: World, encoded: bool) -> None:
    status, said = answered(world, Delivery(encoded=encoded))
    assert (status, said) == (202, {"did": "accepted", "delivery": GUID})
    assert world.bus.sources == ["tidegate.github"]
    assert put(world) == [
        {
            "repository": "acme/shop",
            "ref": "refs/heads/main",
            "before": BEFORE,
            "commit": AFTER,
            "forced": False,
            "changed": ["a.py"],
            "actor": "ada",
            "url": "https://github.com/acme/shop/compare/bbbbbbbbbbbb...aaaaaaaaaaaa",
            "delivery": GUID,
        }
    ]
    assert world.executions.started == []


def test_a_commit_of_sha256_is_one_as_well(world: World) -> None:
    long = push(after="a" * 64, before="b" * 64, commits=[commit("a" * 64)])
    assert answered(world, Delivery(long))[0] == 202
    assert put(world)[0]["commit"] == "a" * 64


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-github-delivery": "00000000-cc78-11e3-81ab-4c9367dc0958"}, {"x-github-delivery": GUID.upper()}],
)
def test_a_replay_puts_nothing(world: World, headers: dict[str, str]) -> None:
    answered(world, Delivery())
    world.clock.advance(days=80)
    assert answered(world, Delivery(headers=headers)) == (200, {"did": "nothing", "why": "duplicate"})
    assert len(put(world)) == 1


def test_a_delivery_id_is_good_for_one_body(world: World) -> None:
    answered(world, Delivery())
    assert answered(world, Delivery(push(after="c" * 40)))[1]["why"] == "duplicate"
    assert len(put(world)) == 1


@pytest.mark.parametrize("method", ["get", "transact"])
def test_without_the_ledger_nothing_is_put(world: World, method: str) -> None:
    world.store.fails(method)
    with pytest.raises(TransientError):
        webhook.run(Delivery().event(), world.ports)
    assert put(world) == []
    assert answered(world, Delivery())[0] == 202


def test_a_delivery_that_failed_is_done_by_its_redelivery(world: World) -> None:
    world.bus.fails("emit")
    with pytest.raises(TransientError):
        webhook.run(Delivery().event(), world.ports)
    assert answered(world, Delivery())[0] == 202
    assert answered(world, Delivery())[1]["why"] == "duplicate"
    assert len(put(world)) == 1


def test_only_marks_of_its_own_are_written(world: World) -> None:
    """The role may write no others (`dynamodb:LeadingKeys`)."""
    answered(world, Delivery())
    assert {pk.split("-")[0] for pk, _ in world.store.items} == {"SEEN#webhook"}


def test_a_secret_that_was_rotated_works_at_once(world: World) -> None:
    world.webhook_secrets.newer = {"acme/shop": "a newer secret of acme/shop"}
    assert answered(world, Delivery(secret="a newer secret of acme/shop"))[0] == 202
    assert answered(world, Delivery(push(after="c" * 40), secret=SECRET))[0] == 401


def test_a_good_signature_asks_for_no_second_look(world: World) -> None:
    answered(world, Delivery())
    assert world.webhook_secrets.called("reread") == 0


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha1=" + "a" * 40,
        "a" * 64,
        "sha256=" + "a" * 63,
        "sha256=" + "A" * 64,
        "sha256=" + "a" * 64,
    ],
)
def test_a_bad_signature_is_told_nothing(world: World, signature: str | None) -> None:
    said = answered(world, Delivery(headers={"x-hub-signature-256": signature}))
    assert said == (401, {"error": "no valid signature"})
    assert put(world) == []


def test_every_bit_of_the_signature_counts(world: World) -> None:
    event = Delivery().event()
    good = int(event["headers"]["x-hub-signature-256"].removeprefix("sha256="), 16)
    for bit in range(256):
        event["headers"]["x-hub-signature-256"] = f"sha256={good ^ (1 << bit):064x}"
        assert answered(world, event)[0] == 401
    assert put(world) == []


def test_nothing_is_parsed_before_it_is_verified(world: World) -> None:
    assert answered(world, Delivery(raw=b"[" * 200_000, secret="a guess"))[0] == 401
    assert world.metrics.total("WebhookRefused", reason="signature") == 1


@pytest.mark.parametrize(
    ("delivery", "status"),
    [
        (Delivery(method="GET"), 405),
        (Delivery(raw=b"x" * (webhook.MOST_BYTES + 1)), 413),
        (Delivery(raw=b"x" * (webhook.MOST_BYTES + 1), encoded=True), 413),
        (Delivery(raw=("é" * (webhook.MOST_BYTES // 2 + 1)).encode(), headers={"content-length": None}), 413),
        (Delivery(headers={"content-length": str(webhook.MOST_BYTES + 1)}), 413),
        (Delivery(headers={"content-length": "-1"}), 400),
        (Delivery(headers={"content-type": "application/x-www-form-urlencoded"}), 415),
        (Delivery(headers={"content-type": None}), 415),
        (Delivery(headers={"content-type": "application/json, text/plain"}), 415),
        (Delivery(push(repository={"full_name": "acme/unknown"})), 403),
        (Delivery(push(repository={"full_name": "acme/other"})), 403),
        (Delivery(push(repository={"full_name": "ACME/shop"})), 403),
        (Delivery(push(repository=None)), 403),
        (Delivery(secret=OTHER_SECRET), 403),
        (Delivery([push()]), 400),
        (Delivery(raw=b"[" * 200_000), 400),
        (Delivery(raw=b'{"a": 1, "a": 2}'), 400),
        (Delivery(raw=b'{"a": NaN}'), 400),
        (Delivery(raw=b'{"a": ' + b"1" * 5000 + b"}"), 400),
        (Delivery(headers={"x-github-delivery": None}), 400),
        (Delivery(headers={"x-github-delivery": "72d3162e"}), 400),
        (Delivery(push(ref=7)), 400),
        (Delivery(push(ref="refs/heads/")), 400),
        (Delivery(push(ref="refs/heads/../main")), 400),
        (Delivery(push(ref="refs/heads/ma\nin")), 400),
        (Delivery(push(ref="refs/heads/\ud800")), 400),
        (Delivery(push(after="A" * 40)), 400),
        (Delivery(push(after=AFTER[1:])), 400),
        (Delivery(push(before="b" * 64)), 400),
        (Delivery(push(before=None)), 400),
        (Delivery(push(before=ZEROS, created=True, after=f"{AFTER}a")), 400),
        (Delivery(push(forced="false")), 400),
        (Delivery(push(created=None)), 400),
    ],
    ids=lambda value: "" if isinstance(value, Delivery) else str(value),
)
def test_what_is_refused(world: World, delivery: Delivery, status: int) -> None:
    said = answered(world, delivery)
    assert (said[0], list(said[1])) == (status, ["error"])
    assert put(world) == []
    assert world.store.items == {}
    assert world.metrics.total("WebhookRefused") == 1


@pytest.mark.parametrize(
    ("delivery", "status", "why"),
    [
        (Delivery(headers={"x-github-event": "ping"}), 200, "ping"),
        (Delivery(headers={"x-github-event": "pull_request"}), 202, "only the event push is of use"),
        (Delivery(headers={"x-github-event": None}), 202, "only the event push is of use"),
        (Delivery(push(ref="refs/tags/v1")), 202, "not a branch"),
        (Delivery(push(after=ZEROS, deleted=True)), 202, "the branch was deleted"),
    ],
)
def test_what_is_of_no_use(world: World, delivery: Delivery, status: int, why: str) -> None:
    assert answered(world, delivery) == (status, {"did": "nothing", "why": why})
    assert put(world) == []
    assert world.store.items == {}


@pytest.mark.parametrize("body", [None, 7, "\ud800", "%%%"])
def test_a_body_that_is_none(world: World, body: object) -> None:
    event = {**Delivery(headers={"content-length": None}).event(), "body": body, "isBase64Encoded": True}
    assert answered(world, event)[0] == 400
    assert answered(world, {**event, "isBase64Encoded": "no"})[0] == 400
    assert put(world) == []


@pytest.mark.parametrize("event", [{}, {"requestContext": None}, {"requestContext": {"http": "POST"}}])
def test_what_is_no_request(world: World, event: dict[str, Any]) -> None:
    assert answered(world, event)[0] == 405


def test_headers_that_are_none(world: World) -> None:
    assert answered(world, {**Delivery().event(), "headers": None})[0] == 401


def changed(world: World, **more: Any) -> Any:
    assert answered(world, Delivery(push(**more)))[0] == 202
    return put(world)[0]["changed"]


def test_what_changed_is_all_that_the_commits_touched(world: World) -> None:
    first = commit("c" * 40, "b.py", added=["z.py"], removed=["docs/é.md"], distinct=False)
    assert changed(world, commits=[first, commit(AFTER, "a.py", "b.py")]) == [
        "a.py",
        "b.py",
        "docs/é.md",
        "z.py",
    ]


def test_a_push_of_nothing_changed_nothing(world: World) -> None:
    assert changed(world, before=AFTER, commits=[]) == []


@pytest.mark.parametrize(
    "more",
    [
        {"created": True, "before": ZEROS},
        {"before": ZEROS},
        {"forced": True},
        {"commits": []},
        {"commits": None},
        {"commits": [commit("c" * 40)] * 2047 + [commit()]},
        {"commits": [commit("c" * 40)]},
        {"commits": [commit(), "nothing"]},
        {"commits": [7, commit()]},
        # A commit that is too large to be looked through in time has empty lists.
        {"commits": [commit("c" * 40, modified=[]), commit()]},
        {"commits": [commit(AFTER, removed=None)]},
        {"commits": [commit(AFTER, f"a{chr(0xD800)}.py")]},
        {"commits": [commit(AFTER, "a\ufffd.py")]},
        {"commits": [commit(AFTER, "a\x00.py")]},
        {"commits": [commit(AFTER, "a" * 4097)]},
        {"commits": [commit(AFTER, *[f"{number}" for number in range(3001)])]},
        {"commits": [commit(AFTER, *[f"{number:060}" for number in range(2000)])]},
    ],
    ids=str,
)
def test_what_is_not_sure_to_be_complete_is_not_told(world: World, more: dict[str, Any]) -> None:
    assert changed(world, **more) is None


@pytest.mark.parametrize("login", [None, 7, "", "a" * 101, "<!channel>", "\ud800"])
def test_a_name_that_github_would_not_give_is_left_out(world: World, login: object) -> None:
    answered(world, Delivery(push(sender={"login": login}, compare=f"javascript:{login}")))
    assert (put(world)[0]["actor"], put(world)[0]["url"]) == (None, None)


def test_a_bot_may_push(world: World) -> None:
    answered(world, Delivery(push(sender={"login": "dependabot[bot]"})))
    assert put(world)[0]["actor"] == "dependabot[bot]"


def test_what_is_wrong_here_is_not_answered_as_if_it_were_wrong_there(world: World) -> None:
    world.webhook_secrets.fails("get", OutsideError("denied"))
    with pytest.raises(OutsideError):
        webhook.run(Delivery().event(), world.ports)


def test_the_largest_body_is_taken(world: World) -> None:
    payload = push(padding="")
    padding = "x" * (webhook.MOST_BYTES - len(json.dumps(payload).encode()))
    delivery = Delivery({**payload, "padding": padding})
    assert len(delivery.body) == webhook.MOST_BYTES
    assert answered(world, delivery)[0] == 202
    again = replace(delivery, encoded=True, headers={"x-github-delivery": GUID.replace("7", "1")})
    assert answered(world, again)[1]["why"] == "duplicate"
