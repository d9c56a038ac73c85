"""Writes a site map of all routes that are flown."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from flights.models import Flight

NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


class Command(BaseCommand):
    help = "Write a site map with a page for each route."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="The file to write; default: sitemap.xml in the var folder.")
        parser.add_argument("--base-url", default="https://flights.example.com")

    def handle(self, *args: Any, **options: Any) -> None:
        output = options["output"] or Path(settings.VAR_DIR) / "sitemap.xml"
        routes = Flight.objects.order_by("origin", "destination").values_list("origin", "destination").distinct()
        root = ElementTree.Element("urlset", xmlns=NAMESPACE)
        for origin, destination in routes:
            location = ElementTree.SubElement(ElementTree.SubElement(root, "url"), "loc")
            location.text = f"{options['base_url']}/routes/{origin}-{destination}/"
        _write(root, output)
        self.stdout.write(f"{len(root)} routes written to {output.name}")


def _write(root: ElementTree.Element, output: Path) -> None:
    # Whole or not at all: a reader never sees half a file.
    temporary = output.with_suffix(".tmp")
    try:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)
        temporary.replace(output)
    except OSError as error:
        raise CommandError(f"{output}: cannot be written: {error.strerror}") from error
