"""Stores effects that a repetition would double."""

from __future__ import annotations

from django.db import models


class Item(models.Model):
    hits = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.hits}"


class Effect(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name
