"""Defines what belongs to a parcel in each way that Django knows: rows that a purge of parcels takes along, or not."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Remark(models.Model):
    """Is a row about any other one, whose key it holds as text."""

    kind = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    about_id = models.CharField(max_length=40)
    about = GenericForeignKey("kind", "about_id")

    class Meta:
        app_label = "batchapp"

    def __str__(self) -> str:
        return f"remark {self.pk}"


class Parcel(models.Model):
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True)
    age = models.IntegerField()
    remarks = GenericRelation(Remark, content_type_field="kind", object_id_field="about_id")

    class Meta:
        app_label = "batchapp"

    def __str__(self) -> str:
        return f"parcel {self.pk}"


class HeavyParcel(Parcel):
    weight = models.IntegerField(default=0)

    class Meta:
        app_label = "batchapp"

    def __str__(self) -> str:
        return f"heavy parcel {self.pk}"


class Tag(models.Model):
    """Belongs to two parcels, and is deleted with either; a third one is forgotten."""

    first = models.ForeignKey(Parcel, on_delete=models.CASCADE, related_name="+")
    second = models.ForeignKey(Parcel, on_delete=models.CASCADE, related_name="+", null=True)
    third = models.ForeignKey(Parcel, on_delete=models.SET_NULL, related_name="+", null=True)

    class Meta:
        app_label = "batchapp"

    def __str__(self) -> str:
        return f"tag {self.pk}"


class Stamp(models.Model):
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE)
    heavy = models.ForeignKey(HeavyParcel, on_delete=models.CASCADE, null=True)

    class Meta:
        app_label = "batchapp"

    def __str__(self) -> str:
        return f"stamp {self.pk}"


class Truck(models.Model):
    parcels = models.ManyToManyField(Parcel)

    class Meta:
        app_label = "batchapp"

    def __str__(self) -> str:
        return f"truck {self.pk}"


class Seal(models.Model):
    protected = models.ForeignKey(Parcel, on_delete=models.PROTECT, null=True, related_name="+")
    restricted = models.ForeignKey(Parcel, on_delete=models.RESTRICT, null=True, related_name="+")
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, null=True)

    class Meta:
        app_label = "batchapp"

    def __str__(self) -> str:
        return f"seal {self.pk}"


# In the order in which their tables can be created.
PURGED = (Remark, Parcel, HeavyParcel, Tag, Stamp, Truck, Seal)
