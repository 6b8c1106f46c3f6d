"""Expand: a column and an index that the release before does not know, and does not miss

Each statement of DDL commits by itself. If the second one fails, the first one stays, and Alembic runs both again: so
each asks first whether it has been done.

tidegate: expand ALGORITHM and LOCK say how the table is changed, not what
"""

from alembic import op
from guards import lacks_column, lacks_index

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # With the algorithm named the server refuses what it could do only by a copy of the table that blocks writers.
    if lacks_column("orders", "delivery"):
        op.execute(
            "ALTER TABLE orders ADD COLUMN delivery VARCHAR(20) NOT NULL DEFAULT 'post', ALGORITHM=INSTANT"
        )
    if lacks_index("orders", "orders_customer"):
        op.execute("ALTER TABLE orders ADD INDEX orders_customer (customer), ALGORITHM=INPLACE, LOCK=NONE")
