"""The tests' settings on MariaDB, found through MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_USER, MYSQL_PWD and MYSQL_DATABASE."""

import os

import pymysql

from tests.settings import *  # noqa: F403 - all of them, on another database

# Django asks for mysqlclient, which needs the server's headers to be built; PyMySQL replaces it under its name.
pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()
# Each connection would read the certificates of the system, which takes 50 ms of processor time.
pymysql.connections.SSL_ENABLED = False

MARIADB = {
    "ENGINE": "django.db.backends.mysql",
    "HOST": os.environ.get("MYSQL_HOST", "127.0.0.1"),
    "PORT": os.environ.get("MYSQL_TCP_PORT", "3306"),
    "USER": os.environ.get("MYSQL_USER", "root"),
    "PASSWORD": os.environ.get("MYSQL_PWD", ""),
    "NAME": os.environ.get("MYSQL_DATABASE", "test"),
}
DATABASES = {"default": MARIADB}
