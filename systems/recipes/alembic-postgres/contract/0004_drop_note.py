"""Contract: for a release of its own, once none that runs or that you may go back to reads the column"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.drop_column("orders", "note")
