"""Which files of a folder an image shows, as a container of it would; on made-up layers, lowest first."""

from __future__ import annotations

import gzip
import json
import sys
import types

import pytest
from tidegate.adapters import image_layers
from tidegate.adapters.image_layers import Blob, chosen, files, labels, manifest, parse
from tidegate.domain.errors import OutsideError, RefusalError, TransientError

from tests.integration.adapters.layering import (
    Blobs,
    Entry,
    digest_of,
    image_of,
    index_of,
    layer,
    tar,
)

DIRECTORY = "/db/migrations"
IN = "db/migrations"


def read(*layers: list[Entry] | bytes, directory: str = DIRECTORY) -> tuple[dict[str, bytes], int]:
    """The files, and how many layers were opened."""
    blobs = Blobs()
    given = [blobs.add(one if isinstance(one, bytes) else layer(*one)) for one in layers]
    return files(given, directory, ".sql", blobs.open), len(blobs.opened)


def shown(*layers: list[Entry] | bytes) -> dict[str, bytes]:
    return read(*layers)[0]


def test_the_files_of_the_folder_itself_are_read() -> None:
    entries: list[Entry] = [
        ("db/", None),
        (f"{IN}/2_b.sql", "b"),
        (f"{IN}/1_a.sql", "a"),
        (f"{IN}/README.md", "r"),
        (f"{IN}/more/3_c.sql", "c"),
        ("db/4_d.sql", "d"),
        ("other/migrations/5_e.sql", "e"),
        (f"x/{IN}/6_f.sql", "f"),
    ]
    assert list(shown(entries).items()) == [("1_a.sql", b"a"), ("2_b.sql", b"b")]


@pytest.mark.parametrize("path", ["./db/migrations/1.sql", "/db/migrations/1.sql", "db//migrations/./1.sql"])
def test_a_path_is_the_same_however_it_is_written(path: str) -> None:
    assert shown([(path, "1")]) == {"1.sql": b"1"}


@pytest.mark.parametrize("directory", ["/db/migrations/", "db/migrations", "/db/./x/../migrations"])
def test_so_is_the_folder(directory: str) -> None:
    assert read([(f"{IN}/1.sql", "1")], directory=directory)[0] == {"1.sql": b"1"}


def test_the_root_is_a_folder_too() -> None:
    assert read([("1.sql", "1"), ("a/2.sql", "2")], directory="/")[0] == {"1.sql": b"1"}


def test_the_topmost_layer_wins() -> None:
    lower: list[Entry] = [(f"{IN}/1.sql", "old"), (f"{IN}/2.sql", "2")]
    assert shown(lower, [(f"{IN}/1.sql", "new")]) == {"1.sql": b"new", "2.sql": b"2"}


def test_of_a_name_twice_in_a_layer_the_last_counts() -> None:
    assert shown([(f"{IN}/1.sql", "first"), (f"{IN}/1.sql", "second")]) == {"1.sql": b"second"}


def test_a_whiteout_hides_what_is_below_but_not_what_is_above_or_beside() -> None:
    lower: list[Entry] = [(f"{IN}/1.sql", "1"), (f"{IN}/2.sql", "2"), (f"{IN}/3.sql", "3")]
    middle: list[Entry] = [(f"{IN}/3.sql", "made again"), (f"{IN}/.wh.3.sql", ""), (f"{IN}/.wh.1.sql", "")]
    assert shown(lower, middle) == {"2.sql": b"2", "3.sql": b"made again"}
    assert shown(lower, middle, [(f"{IN}/1.sql", "back")])["1.sql"] == b"back"


def test_a_folder_in_the_place_of_a_file_hides_it() -> None:
    assert shown([(f"{IN}/1.sql", "1")], [(f"{IN}/1.sql/", None), (f"{IN}/1.sql/x", "x")]) == {}


@pytest.mark.parametrize(
    "hiding",
    [
        [(f"{IN}/.wh..wh..opq", "")],
        [("db/.wh..wh..opq", "")],
        [(".wh..wh..opq", "")],
        [("db/.wh.migrations", "")],
        [(".wh.db", "")],
        [(IN, "a file")],
        [("db", "a file")],
    ],
)
def test_what_hides_the_folder_s_lower_layers_ends_the_reading(hiding: list[Entry]) -> None:
    below: list[Entry] = [(f"{IN}/0.sql", "0")]
    # Beside a file in the folder's place nothing can be in the folder.
    kept: list[Entry] = [(f"{IN}/1.sql", "1")] if ".wh." in hiding[0][0] else []
    found, opened = read(below, [*kept, *hiding], [(f"{IN}/2.sql", "2")])
    assert found == {"2.sql": b"2", **({"1.sql": b"1"} if kept else {})}
    assert opened == 2


@pytest.mark.parametrize(
    "not_hiding",
    [[("other/.wh..wh..opq", "")], [(f"{IN}/sub/.wh..wh..opq", "")], [("db/.wh.other", "")], [("db/", None)]],
)
def test_what_hides_something_else_does_not(not_hiding: list[Entry]) -> None:
    found, opened = read([(f"{IN}/0.sql", "0")], not_hiding)
    assert (found, opened) == ({"0.sql": b"0"}, 2)


def test_an_image_without_the_folder_has_no_files() -> None:
    assert shown([("app", "x")], tar(("app2", "y"))) == {}
    assert shown() == {}


class TestLinks:
    @pytest.mark.parametrize(
        "entries",
        [
            [(f"{IN}/1.sql", "-> /etc/passwd")],
            [(f"{IN}/1.sql", "=> etc/secret.sql")],
            [("db", "-> /srv/db")],
            [(IN, "-> ../elsewhere")],
        ],
    )
    def test_one_is_not_followed(self, entries: list[Entry]) -> None:
        with pytest.raises(RefusalError, match="links are not followed") as raised:
            shown([("etc/secret.sql", "secret"), *entries])
        assert raised.value.hint

    def test_one_that_is_hidden_does_not_matter(self) -> None:
        assert shown([(f"{IN}/1.sql", "-> x")], [(f"{IN}/1.sql", "1")]) == {"1.sql": b"1"}
        replaced, opened = read([("x", "")], [("db", "-> /srv/db")], [("db/", None), (f"{IN}/1.sql", "1")])
        assert (replaced, opened) == ({"1.sql": b"1"}, 2)

    def test_a_hard_link_within_the_folder_is_the_file(self) -> None:
        assert shown([(f"{IN}/1.sql", "1"), (f"{IN}/2.sql", f"=> {IN}/1.sql")])["2.sql"] == b"1"

    def test_a_path_out_of_the_image_is_no_path(self) -> None:
        assert shown([("../db/migrations/1.sql", "1"), (f"{IN}/x/../2.sql", "2")]) == {}


class TestLimits:
    def test_a_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_layers, "FILE_BYTES", 10)
        assert shown([(f"{IN}/1.sql", "0123456789"), ("big.sql", "0" * 99)])
        with pytest.raises(RefusalError, match=r"/db/migrations/1\.sql has 11 bytes"):
            shown([(f"{IN}/1.sql", "0123456789a")])
        assert shown([(f"{IN}/1.sql", "0123456789a")], [(f"{IN}/1.sql", "1")]) == {"1.sql": b"1"}

    @pytest.mark.parametrize(("name", "limit"), [("FOLDER_FILES", 2), ("FOLDER_BYTES", 2)])
    def test_the_folder_over_all_layers(self, monkeypatch: pytest.MonkeyPatch, name: str, limit: int) -> None:
        monkeypatch.setattr(image_layers, name, limit)
        two: list[Entry] = [(f"{IN}/1.sql", "1"), (f"{IN}/2.sql", "2")]
        assert len(shown(two, [(f"{IN}/2.sql", "2")])) == 2
        with pytest.raises(RefusalError) as raised:
            shown(two, [(f"{IN}/3.sql", "3")])
        assert "small image of their own" in (raised.value.hint or "")

    def test_the_layers_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is not downloaded does not count."""
        top: list[Entry] = [(f"{IN}/1.sql", "1"), (f"{IN}/.wh..wh..opq", "")]
        monkeypatch.setattr(image_layers, "COMPRESSED_BYTES", len(layer(*top)))
        assert shown([("base", "x")], top)
        with pytest.raises(RefusalError) as raised:
            shown(top, [("above", "x")])
        assert "small image of their own" in (raised.value.hint or "")

    def test_a_layer_that_unpacks_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_layers, "UNPACKED_BYTES", 100_000)
        with pytest.raises(RefusalError, match="unpacked"):
            shown([("zeros", b"\0" * 200_000)])


class TestPacking:
    def test_a_layer_may_be_unpacked_or_of_several_members(self) -> None:
        plain = tar((f"{IN}/1.sql", "1"))
        assert shown(plain) == {"1.sql": b"1"}
        assert shown(gzip.compress(plain[:700]) + gzip.compress(plain[700:])) == {"1.sql": b"1"}

    def test_zstd_without_a_runtime_that_has_it_names_the_mend(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "compression.zstd", None)
        with pytest.raises(OutsideError, match="zstd") as raised:
            shown(b"\x28\xb5\x2f\xfd and more")
        assert "compression=gzip" in (raised.value.hint or "")

    def test_zstd_with_a_runtime_that_has_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stand-in for Python 3.14's module, which reads the same bytes as gzip would behind zstd's four."""

        def unpacking(source: image_layers.Readable) -> gzip.GzipFile:
            source.read(4)
            return gzip.GzipFile(fileobj=source)  # type: ignore[call-overload,no-any-return]

        zstd = types.ModuleType("compression.zstd")
        zstd.ZstdFile = unpacking  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "compression", types.ModuleType("compression"))
        monkeypatch.setitem(sys.modules, "compression.zstd", zstd)
        assert shown(b"\x28\xb5\x2f\xfd" + layer((f"{IN}/1.sql", "1"))) == {"1.sql": b"1"}

    @pytest.mark.parametrize("content", [b"no tar at all", gzip.compress(b"no tar"), b"\x1f\x8bno gzip", b""])
    def test_a_layer_that_is_none(self, content: bytes) -> None:
        with pytest.raises(OutsideError, match="cannot be read"):
            shown(content)


@pytest.mark.parametrize("cut", [slice(0, 40), slice(0, 0), slice(0, -1)])
def test_a_download_that_broke_off_is_asked_for_again(cut: slice) -> None:
    blobs = Blobs()
    blob = blobs.add(layer((f"{IN}/1.sql", "1")))
    blobs.contents[blob.digest] = blobs.contents[blob.digest][cut]
    with pytest.raises(TransientError):
        files([blob], DIRECTORY, ".sql", blobs.open)


def test_bytes_that_the_digest_does_not_name_are_not_taken() -> None:
    """Guards `_Checked.finish`, also behind the end of the tar."""
    blobs = Blobs()
    blob = blobs.add(layer((f"{IN}/1.sql", "1")))
    blobs.contents[blob.digest] = layer((f"{IN}/1.sql", "2"))
    for size in (blob.size, len(blobs.contents[blob.digest])):
        with pytest.raises(TransientError):
            files([Blob(blob.digest, size)], DIRECTORY, ".sql", blobs.open)
    plain = blobs.add(tar((f"{IN}/1.sql", "1")) + b"behind the end")
    blobs.contents[plain.digest] = blobs.contents[plain.digest].replace(b"behind", b"BEHIND")
    with pytest.raises(TransientError):
        files([plain], DIRECTORY, ".sql", blobs.open)


class TestManifests:
    def test_an_index_is_of_its_first_image_for_linux(self) -> None:
        blobs = Blobs()
        wanted = image_of(blobs.add, layer(("a", "b")))
        index = index_of(
            ("{}", {"platform": {"os": "windows", "architecture": "amd64"}}),
            (
                "[]",
                {
                    "platform": {"os": "linux", "architecture": "unknown"},
                    "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
                },
            ),
            ("[1]", {"platform": {"os": "unknown", "architecture": "unknown"}}),
            (wanted, {"platform": {"os": "linux", "architecture": "arm64"}}),
            ("[2]", {"platform": {"os": "linux", "architecture": "amd64"}}),
        )
        assert chosen(json.loads(index)) == digest_of(wanted.encode())
        assert chosen(json.loads(wanted)) is None
        assert chosen(json.loads(index_of((wanted, {})))) == digest_of(wanted.encode())
        with pytest.raises(OutsideError):
            chosen({"manifests": []})

    @pytest.mark.parametrize(
        "text",
        [
            '{"layers": [{"digest": "sha256:1"}]}',
            '{"layers": [{"digest": "sha256:1", "size": "x"}]}',
            '{"fsLayers": []}',
        ],
    )
    def test_one_of_another_form(self, text: str) -> None:
        with pytest.raises(OutsideError):
            manifest(parse(text, digest_of(text.encode())))

    @pytest.mark.parametrize("text", ["no json", "[]"])
    def test_no_manifest(self, text: str) -> None:
        with pytest.raises(OutsideError):
            parse(text, digest_of(text.encode()))

    def test_one_that_the_digest_does_not_name(self) -> None:
        with pytest.raises(OutsideError, match="something else"):
            parse("{}", digest_of(b"{ }"))


class TestLabels:
    @pytest.mark.parametrize(
        ("config", "found"),
        [
            ({"config": {"Labels": {"a": "1", "b": 2}}}, {"a": "1", "b": "2"}),
            ({"config": {"Labels": None}}, {}),
            ({"config": None}, {}),
            ({}, {}),
            ([], {}),
            ({"config": {"Labels": ["a"]}}, {}),
        ],
    )
    def test_they_are_those_of_the_configuration(self, config: object, found: dict[str, str]) -> None:
        blobs = Blobs()
        assert labels(blobs.add(json.dumps(config).encode()), blobs.open) == found

    def test_without_a_configuration_there_are_none(self) -> None:
        assert labels(None, Blobs().open) == {}

    def test_a_configuration_that_is_none_of_ours(self) -> None:
        blobs = Blobs()
        blob = blobs.add(b'{"config": {"Labels": {"a": "1"}}}')
        blobs.contents[blob.digest] = b'{"config": {"Labels": {"a": "2"}}}'
        with pytest.raises(TransientError):
            labels(blob, blobs.open)
        with pytest.raises(OutsideError):
            labels(Blob("sha256:1", image_layers.DOCUMENT_BYTES + 1), blobs.open)
