"""GET /health: the version, and how many orders there are."""

from pathlib import Path

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.urls import path
from orders.models import Order

VERSION = Path(__file__).with_name("version").read_text().strip()


def health(_: HttpRequest) -> JsonResponse:
    try:
        return JsonResponse({"version": VERSION, "orders": Order.objects.count()})
    except DatabaseError as error:
        return JsonResponse({"version": VERSION, "error": type(error).__name__}, status=503)


urlpatterns = [path("health", health)]
