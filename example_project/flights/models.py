"""Defines airlines, airports, planes and flights, and the results of the commands."""

from __future__ import annotations

from django.db import models


class Airline(models.Model):
    code = models.CharField(max_length=3, primary_key=True)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Airport(models.Model):
    code = models.CharField(max_length=4, primary_key=True)
    name = models.CharField(max_length=100)
    latitude = models.FloatField()
    longitude = models.FloatField()
    altitude_feet = models.IntegerField()
    time_zone = models.CharField(max_length=50, blank=True)

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Plane(models.Model):
    tail_number = models.CharField(max_length=6, primary_key=True)
    year = models.PositiveSmallIntegerField(null=True)
    manufacturer = models.CharField(max_length=50)
    model = models.CharField(max_length=50)
    seats = models.PositiveSmallIntegerField()

    def __str__(self) -> str:
        return self.tail_number


class DelayClass(models.TextChoices):
    ON_TIME = "on_time", "on time"
    LATE = "late", "late"
    VERY_LATE = "very_late", "very late"
    CANCELLED = "cancelled", "cancelled"


class Flight(models.Model):
    """Holds a flight, with codes instead of foreign keys: the data name airports and planes that no table has."""

    scheduled_at = models.DateTimeField()
    day = models.DateField(db_index=True)
    carrier = models.CharField(max_length=3)
    number = models.PositiveIntegerField()
    tail_number = models.CharField(max_length=6, blank=True)
    origin = models.CharField(max_length=4)
    destination = models.CharField(max_length=4)
    departure_delay_minutes = models.SmallIntegerField(null=True, help_text="Empty when the flight was cancelled.")
    arrival_delay_minutes = models.SmallIntegerField(null=True)
    air_time_minutes = models.SmallIntegerField(null=True)
    distance_miles = models.PositiveSmallIntegerField()
    delay_class = models.CharField(max_length=10, choices=DelayClass.choices, blank=True, db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["scheduled_at", "carrier", "number", "origin"], name="one_flight"),
        )

    def __str__(self) -> str:
        return f"{self.carrier} {self.number} {self.origin}-{self.destination} {self.day}"


class Compensation(models.Model):
    """Holds the compensation for a flight, at most one for each."""

    flight = models.OneToOneField(Flight, on_delete=models.CASCADE)
    amount_cents = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.flight}: {self.amount_cents / 100:.2f}"


class SearchEntry(models.Model):
    """Holds the search words of a flight."""

    flight = models.OneToOneField(Flight, on_delete=models.CASCADE, primary_key=True)
    words = models.TextField()

    def __str__(self) -> str:
        return self.words
