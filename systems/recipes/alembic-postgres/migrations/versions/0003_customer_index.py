"""Expand: an index, without blocking those who write"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # CONCURRENTLY is not for transactions: this block has none.
    with op.get_context().autocommit_block():
        # A run that failed leaves an invalid index, which IF NOT EXISTS would take for the one that is wanted.
        op.drop_index("orders_customer", if_exists=True, postgresql_concurrently=True)
        op.create_index("orders_customer", "orders", ["customer"], postgresql_concurrently=True)
