"""The table as this release reads it."""

from django.db import models


class Order(models.Model):
    customer = models.TextField()
    note = models.TextField(null=True)
    delivery = models.TextField(default="post", db_default="post")

    class Meta:
        db_table = "orders"
        indexes = (models.Index(fields=["customer"], name="orders_customer"),)
