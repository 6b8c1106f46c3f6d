"""Expand: a column that the release before does not know, and does not miss

`db_default` is what lets it: with `default` alone Django drops the database's default after it has filled the rows,
and the release before, which still inserts, fails.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("orders", "0001_orders"),)
    operations = (
        migrations.AddField("order", "delivery", models.TextField(default="post", db_default="post")),
    )
