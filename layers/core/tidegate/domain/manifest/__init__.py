"""The manifest of a system, `tidegate.yaml`: what people write, what is refused, what the rest of the code reads."""

from tidegate.domain.manifest.environment import Bake, Environment, Guard
from tidegate.domain.manifest.model import EnvironmentView, Manifest, ResolvedService
from tidegate.domain.manifest.parts import Database, Image, Migrations, Secret, Service, Smoke
from tidegate.domain.manifest.problems import ManifestError, Problem
from tidegate.domain.manifest.reading import from_json, parse_manifest, to_json
from tidegate.domain.manifest.support import load_manifest, require_supported

__all__ = [
    "Bake",
    "Database",
    "Environment",
    "EnvironmentView",
    "Guard",
    "Image",
    "Manifest",
    "ManifestError",
    "Migrations",
    "Problem",
    "ResolvedService",
    "Secret",
    "Service",
    "Smoke",
    "from_json",
    "load_manifest",
    "parse_manifest",
    "require_supported",
    "to_json",
]
