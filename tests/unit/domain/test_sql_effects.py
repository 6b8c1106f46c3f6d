"""What older code would break on, statement by statement."""

from __future__ import annotations

import pytest
from tidegate.domain.sql_effects import contracts
from tidegate.domain.sql_statements import split

EXPAND = """
CREATE TABLE t (a int NOT NULL)
CREATE INDEX CONCURRENTLY i ON orders (a)
CREATE OR REPLACE VIEW v AS SELECT 1
CREATE EXTENSION IF NOT EXISTS pg_trgm
ALTER TABLE orders ADD COLUMN total int
ALTER TABLE orders ADD COLUMN total int NOT NULL DEFAULT 0
ALTER TABLE orders ADD total bigserial NOT NULL
ALTER TABLE orders ADD total bigint GENERATED ALWAYS AS IDENTITY NOT NULL
ALTER TABLE orders ALTER total DROP NOT NULL
ALTER TABLE orders ALTER total SET DEFAULT 1
ALTER TABLE orders ALTER COLUMN total SET STATISTICS 500
ALTER TABLE orders VALIDATE CONSTRAINT c
ALTER TABLE orders DROP CONSTRAINT IF EXISTS c
ALTER TABLE orders ATTACH PARTITION p FOR VALUES IN (1)
ALTER TABLE orders SET (fillfactor = 70)
ALTER TABLE orders ENABLE TRIGGER x
ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad' BEFORE 'glad'
ALTER INDEX i RENAME TO j
ALTER SEQUENCE s RESTART WITH 1
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app
ALTER DOMAIN d DROP CONSTRAINT c
DROP INDEX CONCURRENTLY IF EXISTS i
UPDATE orders SET total = 0
INSERT INTO orders SELECT 1
WITH a AS (SELECT 1) UPDATE orders SET total = 0
GRANT SELECT ON orders TO app
COMMENT ON TABLE orders IS 'DROP TABLE orders'
SET lock_timeout = '1s'
(SELECT 1)
""".strip().splitlines()

CONTRACT = {
    "ALTER TABLE orders DROP COLUMN total": "drops column orders.total",
    "ALTER TABLE IF EXISTS ONLY public.orders DROP total CASCADE": "drops column public.orders.total",
    'ALTER TABLE "Orders" DROP COLUMN IF EXISTS "Total"': 'drops column "Orders"."Total"',
    "ALTER TABLE orders RENAME COLUMN total TO sum": "renames column orders.total",
    "ALTER TABLE orders RENAME total TO sum": "renames column orders.total",
    "ALTER TABLE orders RENAME TO orders_old": "renames table orders to orders_old",
    "ALTER TABLE orders RENAME CONSTRAINT a TO b": "renames constraint a of orders",
    "ALTER TABLE orders ALTER COLUMN total TYPE bigint": "changes the type of orders.total",
    "ALTER TABLE orders ALTER total SET DATA TYPE bigint": "changes the type of orders.total",
    "ALTER TABLE orders ALTER total SET NOT NULL": "makes orders.total NOT NULL",
    "ALTER TABLE orders ALTER total DROP DEFAULT": "drops the default of orders.total",
    "ALTER TABLE orders ADD COLUMN total int NOT NULL": "adds column orders.total NOT NULL without a default",
    "ALTER TABLE orders ADD UNIQUE (total)": "adds a constraint to orders (unique)",
    "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID": "adds a constraint to orders (check)",
    "ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES b": "adds a constraint to orders (foreign key)",
    "ALTER TABLE orders ADD CONSTRAINT c NOT NULL total": "adds a constraint to orders (NOT NULL)",
    "ALTER TABLE orders SET SCHEMA other": "moves table orders to another schema",
    "ALTER TABLE orders OWNER TO other": "gives table orders to another role",
    "ALTER TABLE orders ENABLE ROW LEVEL SECURITY": "hides rows of orders (row level security)",
    "ALTER TABLE orders DETACH PARTITION p": "takes orders apart from its other parts",
    "ALTER TABLE orders FROBNICATE": "changes table orders in a way that is not known here",
    "ALTER TABLE orders ALTER total FROBNICATE": "changes orders.total in a way that is not known here",
    "ALTER VIEW v RENAME COLUMN a TO b": "renames column v.a",
    "ALTER TYPE mood RENAME VALUE 'a' TO 'b'": "renames a value of type mood",
    "ALTER TYPE address DROP ATTRIBUTE street": "changes type address",
    "ALTER DOMAIN d SET NOT NULL": "makes d NOT NULL",
    "ALTER DOMAIN d ADD CHECK (value > 0)": "adds a constraint to d (check)",
    "ALTER FUNCTION f(int, text) RENAME TO g": "renames function f to g",
    "DROP TABLE orders, lines CASCADE": "drops table orders, lines",
    "DROP MATERIALIZED VIEW IF EXISTS v": "drops view v",
    "DROP FUNCTION f(int, int)": "drops function f",
    "DROP SCHEMA shop CASCADE": "drops schema shop",
    "DROP TYPE mood": "drops type mood",
    "DROP SEQUENCE s": "drops sequence s",
    "TRUNCATE TABLE ONLY orders, lines": "empties orders, lines",
    "DELETE FROM orders WHERE total = 0": "deletes rows of orders",
    "WITH a AS (DELETE FROM orders RETURNING *) INSERT INTO b SELECT * FROM a": "deletes rows",
    "MERGE INTO a USING b ON c WHEN MATCHED THEN DELETE": "deletes rows",
    "REVOKE ALL ON orders FROM app": "takes privileges away",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON orders (total)": "allows no duplicates in orders (unique index)",
    "DO $$ BEGIN DROP TABLE orders; END $$": "runs DO, whose effect cannot be read",
    "CALL clean_up()": "runs CALL, whose effect cannot be read",
    "FROBNICATE orders": "runs FROBNICATE, whose effect cannot be read",
}


@pytest.mark.parametrize("statement", EXPAND)
def test_what_expands(statement: str) -> None:
    assert contracts(split(statement + ";")) == ()


@pytest.mark.parametrize("statement", CONTRACT)
def test_what_contracts(statement: str) -> None:
    assert contracts(split(statement + ";")) == (CONTRACT[statement],)
    assert contracts(split(statement.lower())) == (contracts(split(statement.lower() + " ;")))


def test_each_action_counts() -> None:
    script = (
        "ALTER TABLE orders ADD a int, DROP b, ALTER c TYPE numeric(9, 2), ALTER d SET NOT NULL; DROP TABLE x"
    )
    assert contracts(split(script)) == (
        "drops column orders.b",
        "changes the type of orders.c",
        "makes orders.d NOT NULL",
        "drops table x",
    )


def test_a_table_of_the_same_script_is_nobodys_yet() -> None:
    made = "CREATE UNLOGGED TABLE n (id int); ALTER TABLE n ADD UNIQUE (id); DELETE FROM n; TRUNCATE n; "
    assert contracts(split(made + "CREATE UNIQUE INDEX ON n (id); DROP TABLE n")) == ()
    # It may have been there before.
    there = "CREATE TABLE IF NOT EXISTS n (id int); DROP TABLE n"
    assert contracts(split(there)) == ("drops table n",)
    assert contracts(split("DROP TABLE n; CREATE TABLE n (id int)")) == ("drops table n",)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER",
        "DROP",
        "ALTER TABLE",
        "DELETE",
        "TRUNCATE",
        "CREATE UNIQUE INDEX",
        "ALTER TABLE t ADD",
        "ALTER TABLE t RENAME",
        "ALTER TABLE t ALTER",
        "ALTER FUNCTION f(",
    ],
)
def test_what_is_no_sql_does_no_harm(statement: str) -> None:
    """The server refuses it; the plan must say so and not fail."""
    contracts(split(statement))
