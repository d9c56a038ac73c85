"""The test project's addresses: the admin, where the journal will be read."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
