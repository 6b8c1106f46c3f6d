"""Expand: an index, without blocking those who write"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY is not for transactions
    dependencies = (("orders", "0002_delivery"),)
    operations = (
        # A run that failed leaves an invalid index, over whose name the next one would fail.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS orders_customer", migrations.RunSQL.noop),
        AddIndexConcurrently("order", models.Index(fields=["customer"], name="orders_customer")),
    )
