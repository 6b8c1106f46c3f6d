"""Orders"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("customer", sa.String(200), nullable=False),
        sa.Column("note", sa.Text),
        if_not_exists=True,
    )
