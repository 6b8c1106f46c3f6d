"""Where the credentials have been that a rotation replaced, made or logged in with: nowhere but in their secrets."""

from __future__ import annotations

import json

import pytest
from tidegate.domain.outcome import Outcome

from tests.e2e.rotating_system import Rotating, Shared
from tests.e2e.support import SampleCloud
from tests.e2e.test_migrations import everything, found, heard

pytestmark = pytest.mark.emulator


def test_no_credential_of_a_rotation_is_anywhere_but_in_its_secret(cloud: SampleCloud) -> None:
    """After rotations that succeed, one whose canary cannot start, those that are refused a login, an adoption, and one
    that somebody else puts an end to: in no history of an execution, no log stream, no event or notice, no item of a
    table, no task or its definition.

    Red where `_expect_login` (rotating_logins.py) says with what it was refused.
    """
    with heard(cloud) as queue:
        wanted, failed = set[str](), []
        shop, database = Rotating.of_database(cloud, "secretive")
        for _ in range(2):
            assert shop.rotated().outcome is Outcome.ROTATED
        with shop.only_with(shop.version, "api"):
            failed.append(shop.rotated())
        wanted |= credentials(shop, database)
        # The right user with a wrong password, then a database that is none: the server's own words name it.
        value = shop.value()
        for wrong in (
            {"password": f"wrong{database.passwords[value['username']]}"},
            {"dbname": "gone"},
        ):
            shop.written_by_hand({**value, **wrong})
            shop.until(lambda: shop.lock.free, "a free lock")
            failed.append(shop.rotated())
            wanted |= credentials(shop, database)
        other, strings = Rotating.of_database(cloud, "discreet", url=True)
        assert other.rotated().outcome is Outcome.ROTATED
        admin = f"{strings.name}/production/admin"
        value = {**strings.credential(strings.admin), "password": f"wrong{strings.passwords[strings.admin]}"}
        cloud.client("secretsmanager").put_secret_value(SecretId=admin, SecretString=json.dumps(value))
        failed.append(other.rotated())
        wanted |= credentials(other, strings) | {value["password"]}
        single, own = Rotating.of_database(cloud, "single", adopted=False)
        planned = cloud.command.run("--local", "secrets", "adopt", *single.place, single.secret, "--json")
        assert planned.document["statements"], planned.output
        assert single.done(adopt="apply", statements=planned.document["hash"])["outcome"] == "Succeeded"
        assert single.rotated().outcome is Outcome.ROTATED
        wanted |= credentials(single, own)
        token = Rotating.of_token(cloud, "signed")
        assert token.rotated().outcome is Outcome.ROTATED
        wanted |= {key for text in token.values() for key in json.loads(text)["keys"]}
        kept = everything(cloud, queue)
    assert [one.outcome for one in failed] == [Outcome.FAILED_CLEAN] * 4, [one.explanation for one in failed]
    assert len(wanted) >= 15
    assert set(kept) == {"execution", "log", "event", "item", "task", "definition"}
    for done in failed:
        assert any(done.id in text for text in kept["event"]), "its notices are among them"
        assert any(done.id in text for text in kept["log"]), "and its log lines"
    assert found(kept, wanted) == []
    assert not any(one in planned.output for one in wanted)


def credentials(shop: Rotating, database: Shared) -> set[str]:
    """Every password that the secret has ever held, the administrator's, the server's, and where it all logs in."""
    access = database.access
    passwords = set(database.passwords.values()) | {access.password}
    for text in shop.values():
        value = json.loads(text)
        url = value.get("url", "")
        passwords.add(
            value["password"] if not url else url.partition("//")[2].partition("@")[0].partition(":")[2]
        )
    return passwords | {f"{access.host}:{access.port}/{database.name}", f"@{access.host}:{access.port}"}
