"""What the batch commands of the tests work on: rows that count how often they were done, and keys of every kind."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class Item(models.Model):
    count = models.IntegerField(default=0)
    is_done = models.BooleanField(default=False)
    value = models.CharField(max_length=20, default="1")

    def __str__(self) -> str:
        return f"item {self.pk}"


class Ledger(models.Model):
    """One row for each time that an item was done."""

    item_key = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.item_key


class Keyed(models.Model):
    """What the models below have in common."""

    count = models.IntegerField(default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


class WithNumber(Keyed):
    id = models.BigIntegerField(primary_key=True)


class WithUUID(Keyed):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class WithText(Keyed):
    id = models.CharField(max_length=40, primary_key=True)


class WithMoment(Keyed):
    id = models.DateTimeField(primary_key=True, default=timezone.now)


class WithDecimal(Keyed):
    id = models.DecimalField(primary_key=True, max_digits=12, decimal_places=6)


class WithPair(Keyed):
    pk = models.CompositePrimaryKey("tenant", "number")
    tenant = models.CharField(max_length=10)
    number = models.IntegerField()


class WithParent(WithNumber):
    """Its primary key is a link to its parent's row."""

    label = models.CharField(max_length=10, blank=True)


class WithColumns(Keyed):
    """Has columns that can order the rows, and others that cannot."""

    seen_at = models.DateTimeField(default=timezone.now)
    rank = models.IntegerField(null=True)
    parent = models.ForeignKey(Item, on_delete=models.CASCADE, null=True)


KEYED = (WithNumber, WithUUID, WithText, WithMoment, WithDecimal, WithPair, WithParent, WithColumns)


from tests.batchapp import purged  # noqa: E402, F401 - they are models of this app too
