"""Contract: for a release of its own, once none that runs or that you may go back to reads the column"""

from alembic import op
from guards import has_column

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if has_column("orders", "note"):
        op.execute("ALTER TABLE orders DROP COLUMN note, ALGORITHM=INSTANT")
