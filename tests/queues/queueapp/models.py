"""Stores effects that a repetition would double."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Item(models.Model):
    hits = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.hits}"


class Effect(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class LeasedTask(models.Model):
    """Stores a task, which a worker takes when no lease of another worker is running."""

    path = models.CharField(max_length=200)
    arguments = models.JSONField()
    queue = models.CharField(max_length=100)
    leased_until = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.path} {self.arguments}"
