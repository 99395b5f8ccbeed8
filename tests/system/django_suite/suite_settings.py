"""Settings of Django's tests: the server and its two schemas are the environment's. As anybody who tests an application on DDM
does, TEST names schemas that the API has made, and the tests run with --keepdb."""

import os

import pymysql

pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()


def _schema(name):
    return {
        "ENGINE": "django.db.backends.mysql", "HOST": os.environ["SUITE_HOST"], "PORT": os.environ["SUITE_PORT"],
        "USER": os.environ["SUITE_USER"], "PASSWORD": os.environ["SUITE_PASSWORD"], "NAME": name,
        "TEST": {"NAME": name, "CHARSET": "utf8mb4"},
    }


DATABASES = {name: _schema(f"django_{name}") for name in ("default", "other")}
SECRET_KEY = "of tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "suite_runner.Runner"
