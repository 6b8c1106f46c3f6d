"""Where the database is: in the environment, where ECS puts the keys of the secret.

Host, port, user and password are not named here: libpq reads PGHOST, PGPORT, PGUSER and PGPASSWORD by itself, and of
Tidegate PGAPPNAME and PGOPTIONS (lock_timeout, statement_timeout). So leave "options" out of OPTIONS.
"""

import os

DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ.get("PGDATABASE", "orders")}
}
INSTALLED_APPS = ["orders"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["*"]
# Signs nothing here. A system with sessions takes it from a secret, as the password.
SECRET_KEY = os.environ.get("SECRET_KEY", "nothing is signed")
USE_TZ = True
