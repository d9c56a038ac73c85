"""Tables that test commands write to."""

from __future__ import annotations

from django.db import models


class Mark(models.Model):
    """What an effect leaves, once for each time."""

    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Row(models.Model):
    """Is a row that a batch command counts, once if nothing goes wrong."""

    count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.count}"


class Node(models.Model):
    """A row of a tree, which goes with the row above it."""

    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.pk)
