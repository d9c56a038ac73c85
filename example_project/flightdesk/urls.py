"""The URLs of the Flight desk: its admin, and the static files of it."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
    # DEBUG is off, and there is no other server: whoever copies this project lets a web server do it.
    path("static/<path:path>", serve, {"insecure": True}),
]
