"""The application over HTTP, by the standard library's server: put gunicorn or uvicorn in its place."""

import os
from wsgiref.simple_server import make_server

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
make_server("", 80, get_wsgi_application()).serve_forever()
