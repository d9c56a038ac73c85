"""Routes the URLs of the Flight desk: its admin with its static files."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
    # Serves static files without DEBUG, for the example only: a real project leaves them to its web server.
    path("static/<path:path>", serve, {"insecure": True}),
]
