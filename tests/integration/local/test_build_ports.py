"""The ports of builds on the embedded cloud: CodeCommit over real git, and tags in ECR as the functions put them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from tidegate.adapters.codecommit import CodeCommitSources
from tidegate.adapters.ecr import MANIFESTS, EcrImages
from tidegate_local.codecommit.repositories import path_of

from tests.integration.local.pushing_repository import WorkTree
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}"


class TestSources:
    @pytest.fixture
    def sources(self, cloud: Cloud) -> CodeCommitSources:
        return CodeCommitSources(lambda: cloud.client("codecommit"))

    @pytest.fixture
    def tree(self, cloud: Cloud, name: str, tmp_path: Path) -> WorkTree:
        cloud.client("codecommit").create_repository(repositoryName=name)
        made = WorkTree.make(tmp_path / "work")
        made.git("remote", "add", "local", str(path_of(cloud.state_dir, name)))
        return made

    def test_a_tree_is_what_git_says(self, sources: CodeCommitSources, tree: WorkTree, name: str) -> None:
        commit = tree.commit(
            {"README.md": "1", "apps/api/Dockerfile": "FROM scratch", "apps/api/src/a b.py": ""}
        )
        tree.git("push", "--quiet", "local", "main")
        repository = f"codecommit:{name}"
        assert sources.tree(repository, commit, ".") == tree.git("rev-parse", f"{commit}^{{tree}}")
        for folder in ("apps", "apps/api", "apps/api/src"):
            wanted = tree.git("rev-parse", f"{commit}:{folder}")
            assert sources.tree(repository, commit, folder) == wanted
            assert sources.tree(repository, commit, f"./{folder}/") == wanted
        for missing in ("README.md", "apps/web", "apps/web/src", "apps/api/Dockerfile", "../x"):
            assert sources.tree(repository, commit, missing) is None
        assert sources.tree(repository, "0" * 40, ".") is None
        assert sources.tree("codecommit:no-such", commit, ".") is None
        assert sources.tree("codecommit:no such!", commit, ".") is None

    def test_changes_are_old_paths_and_new(
        self, sources: CodeCommitSources, tree: WorkTree, name: str
    ) -> None:
        before = tree.commit({"kept": "1", "changed": "1", "gone": "1", "old/name": "the same content\n" * 9})
        moved = {"old/name": None, "new/name": "the same content\n" * 9}
        after = tree.commit({"changed": "2", "gone": None, "come/ä b": "1", **moved})
        tree.git("push", "--quiet", "local", "main")
        repository = f"codecommit:{name}"
        changed = {"changed", "gone", "come/ä b", "old/name", "new/name"}
        assert set(sources.changes(repository, before, after) or ()) == changed
        assert set(sources.changes(repository, after, before) or ()) == changed
        assert sources.changes(repository, after, after) == []
        assert sources.changes(repository, "0" * 40, after) is None
        assert sources.changes(repository, before, "not a commit") is None
        assert sources.changes("codecommit:no-such", before, after) is None

    def test_many_changes_come_by_pages(self, sources: CodeCommitSources, tree: WorkTree, name: str) -> None:
        before = tree.commit({"README.md": "1"})
        after = tree.commit({f"many/{number}": "" for number in range(1000)})
        most = tree.commit({f"more/{number}": "" for number in range(4001)})
        tree.git("push", "--quiet", "local", "main")
        repository = f"codecommit:{name}"
        assert len(sources.changes(repository, before, after) or ()) == 1000
        assert len(sources.changes(repository, after, most) or ()) == 4001
        assert sources.changes(repository, before, most) is None


class TestTags:
    @pytest.fixture
    def ecr(self, cloud: Cloud, name: str) -> Any:
        client = cloud.client("ecr")
        client.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
        return client

    def push(self, ecr: Any, name: str, tag: str) -> str:
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": {"digest": tag}})
        answer = ecr.put_image(
            repositoryName=name, imageManifest=manifest, imageManifestMediaType=MANIFESTS[0], imageTag=tag
        )
        return str(answer["image"]["imageId"]["imageDigest"])

    def test_a_release_tag_is_added_and_never_moved(self, ecr: Any, name: str) -> None:
        images = EcrImages(lambda: ecr)
        first, second = self.push(ecr, name, "tree-1"), self.push(ecr, name, "tree-2")
        assert images.tag(name, first, "c1") == first
        assert images.tag(name, first, "c1") == first
        assert images.tag(name, second, "c1") == first
        assert images.tag(name, second, "c2") == second
        (shown,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": first}])["imageDetails"]
        assert sorted(shown["imageTags"]) == ["c1", "tree-1"]
        assert shown["imageManifestMediaType"] == MANIFESTS[0]
        assert images.tag(name, "sha256:" + "0" * 64, "c3") is None
        assert images.digest(name, "c3") is None
        assert images.tag("no-such", first, "c1") is None
