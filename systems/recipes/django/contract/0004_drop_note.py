"""Contract: for a release of its own, once none that runs or that you may go back to reads the column

The field goes from `models.py` one release before: Django names every field of a model in what it asks.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = (("orders", "0003_customer_index"),)
    operations = (migrations.RemoveField("order", "note"),)
