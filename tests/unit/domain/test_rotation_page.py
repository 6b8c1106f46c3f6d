"""The manifest in docs/rotation.md is taken, and the links of the pages about rotations lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tidegate.domain.manifest import parse_manifest

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "rotation.md").read_text()
REST = {
    "system": "orders",
    "images": {"app": {"repository": "orders"}},
    "services": {"api": {"image": "app"}},
    "environments": {"production": {"region": "eu-west-1", "cluster": "orders"}},
}


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_manifest_is_taken() -> None:
    found = re.search(r"<!-- test: manifest -->\n```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    secrets = parse_manifest(REST | yaml.safe_load(found[1])).for_environment("production").secrets
    assert [(name, secret.kind, secret.strategy) for name, secret in secrets.items()] == [
        ("orders/production/database", "postgres", "alternating"),
        ("orders/production/reports", "postgres", "alternating"),
        ("orders/production/signing", "token", "regenerate"),
    ]


@pytest.mark.parametrize(
    "page", [DOCS / "rotation.md", *sorted((DOCS / "decisions").glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(((?!https?:)[^)]+)\)", page.read_text())
    for link in links:
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
