"""Expand: a column that the release before does not know, and does not miss"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # With a constant default PostgreSQL adds it without writing a row.
    op.add_column("orders", sa.Column("delivery", sa.Text, nullable=False, server_default="post"))
