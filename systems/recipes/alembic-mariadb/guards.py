"""Whether there is something left to do: MySQL and MariaDB keep what a failed migration had done before it failed.

Each is true where `alembic upgrade --sql` only writes the statements down.
"""

import sqlalchemy as sa
from alembic import context, op


def has_column(table: str, column: str) -> bool:
    return context.is_offline_mode() or column in _columns(table)


def lacks_column(table: str, column: str) -> bool:
    return context.is_offline_mode() or column not in _columns(table)


def lacks_index(table: str, index: str) -> bool:
    return context.is_offline_mode() or index not in {
        found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)
    }


def _columns(table: str) -> set[str]:
    return {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}
