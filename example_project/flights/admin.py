"""Registers the tables of the Flight desk in the admin."""

from __future__ import annotations

from django.contrib import admin

from flights.models import Airline, Airport, Compensation, Flight, Plane

admin.site.register([Airline, Airport, Plane])


@admin.register(Compensation)
class CompensationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # ModelAdmin takes no parameter at run time
    list_select_related = ("flight",)
    # A list to choose from would hold every flight.
    raw_id_fields = ("flight",)


@admin.register(Flight)
class FlightAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # ModelAdmin takes no parameter at run time
    list_display = ("day", "carrier", "number", "origin", "destination", "departure_delay_minutes", "delay_class")
    list_filter = ("delay_class", "origin", "carrier")
    date_hierarchy = "day"
