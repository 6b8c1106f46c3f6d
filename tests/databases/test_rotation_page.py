"""The two users of docs/rotation.md, as an administrator that is no superuser makes them on real servers."""

from __future__ import annotations

import re
from pathlib import Path

from pg8000.native import literal
from tidegate.adapters.postgres_logins import PostgresLogins
from tidegate.domain.credentials import Credential

from tests.support.postgres import HOST, PASSWORD, Server

PAGE = (Path(__file__).parents[2] / "docs" / "rotation.md").read_text()


def test_the_users_can_be_rotated(server: Server) -> None:
    found = re.search(r"<!-- test: users -->\n```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    database = server.new_database()
    prefix, admin = f"{database}_orders", f"{database}_admin"
    with server.session(database) as root:
        root.run(f"CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD {literal(PASSWORD)}")
    with server.session(database, admin) as session:
        for statement in found[1].replace("orders_", f"{prefix}_").splitlines():
            session.run(statement)
    first, second = f"{prefix}_a", f"{prefix}_b"
    credential = Credential("postgres", HOST, server.port, database, admin, PASSWORD)
    login = PostgresLogins().log_in(credential, "off", 0)
    try:
        assert list(login.lacking(second, first)) == []
        assert list(login.lacking(first, second)) == []
        assert list(login.adoption(first, second)) == []
        login.set_password(second, "new")
        login.disable(first)
    finally:
        login.close()


def test_what_adoption_shows_of_a_new_database(server: Server) -> None:
    found = re.search(r"<!-- test: new -->\n```sql\n(.*?)^…$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    database = server.new_database()
    credential = Credential("postgres", HOST, server.port, database, "postgres", PASSWORD)
    login = PostgresLogins().log_in(credential, "off", 0)
    try:
        statements = login.adoption(f"{database}_a", f"{database}_b")
    finally:
        login.close()
    shown = [statement.replace(database, "orders") for statement in statements]
    assert found[1].splitlines() == shown[: len(found[1].splitlines())]
