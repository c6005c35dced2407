from __future__ import annotations

import hashlib
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agnet_vision.data.prepare.download import download
from agnet_vision.data.sources.card import RemoteFile
from agnet_vision.errors import DatasetError, DatasetNotFoundError

CONTENT = bytes(range(256)) * 2_000
MD5 = hashlib.md5(CONTENT).hexdigest()


BAD_HEADERS = {
    "bad-length": ("Content-Length", "many"),
    "bad-location": ("Location", "http://["),
    "file-location": ("Location", "file:///etc/passwd"),
    "login": ("Content-Type", "text/html"),
}


class Source(BaseHTTPRequestHandler):
    """A distributor whose mood is the first part of the address."""

    requests: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        mood = self.path.split("/")[1]
        asked = self.headers.get("Range")
        self.requests.append((mood, asked))
        if mood == "gone":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and mood != "norange" else 0
        content = CONTENT if mood != "wrong" else CONTENT[::-1]
        if mood in BAD_HEADERS:
            self.send_response(302 if "location" in mood else 200)
            self.send_header(*BAD_HEADERS[mood])
            self.end_headers()
            self.wfile.write(b"<html>log in</html>")
            return
        if asked and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked and mood != "norange" else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if mood == "slow":
            time.sleep(3)
        if mood == "truncated":  # ends the connection after 200,000 bytes, every time
            self.wfile.write(content[start : start + 200_000])
            return
        self.wfile.write(content[start:])

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def source() -> Iterator[str]:
    Source.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Source)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def remote(*urls: str, md5: str | None = MD5) -> RemoteFile:
    return RemoteFile("a.bin", urls, md5)


def get(file: RemoteFile, folder: Path, timeout_s: float = 5.0) -> Path:
    return download(file, folder, timeout_s=timeout_s, show_progress=False)


def test_value(tmp_path: Path, source: str) -> None:
    path = get(remote(f"{source}/ok"), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "a.bin"
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_resume(tmp_path: Path, source: str) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:300_000])
    assert get(remote(f"{source}/ok"), tmp_path).read_bytes() == CONTENT
    assert Source.requests == [("ok", "bytes=300000-")]


@pytest.mark.parametrize(
    ("mood", "part"),
    [
        ("ok", CONTENT),  # complete
        ("ok", CONTENT + b"more"),  # too long
        ("ok", b"x" * 1000),  # of another version
        ("norange", b"x" * 1000),
    ],
)
def test_any_part_ends_as_the_published_file(
    tmp_path: Path, source: str, mood: str, part: bytes
) -> None:
    (tmp_path / "a.bin.part").write_bytes(part)
    assert get(remote(f"{source}/{mood}"), tmp_path).read_bytes() == CONTENT


def test_truncated_connections_are_continued(tmp_path: Path, source: str) -> None:
    assert get(remote(f"{source}/truncated"), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in Source.requests] == ["bytes=0-", "bytes=200000-", "bytes=400000-"]


def test_mirrors_in_order(tmp_path: Path, source: str) -> None:
    assert (
        get(remote(f"{source}/gone", f"{source}/wrong", f"{source}/ok"), tmp_path).read_bytes()
        == CONTENT
    )
    assert [mood for mood, _ in Source.requests] == ["gone"] * 3 + ["wrong"] * 3 + ["ok"]


def test_raises_wrong_checksum(tmp_path: Path, source: str) -> None:
    with pytest.raises(DatasetNotFoundError, match=f"instead of {MD5}"):
        get(remote(f"{source}/wrong"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_raises_404_with_a_way_out(tmp_path: Path, source: str) -> None:
    with pytest.raises(DatasetNotFoundError) as error:
        get(remote(f"{source}/gone"), tmp_path)
    assert str(error.value).count("HTTP Error 404") == 1
    assert f"save it as {tmp_path / 'a.bin'}" in str(error.value)


def test_raises_slow(tmp_path: Path, source: str) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"timed out|in time"):
        get(remote(f"{source}/slow"), tmp_path, timeout_s=0.1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk at hand")
def test_a_full_disk_is_not_the_mirror_s_fault(tmp_path: Path, source: str) -> None:
    (tmp_path / "a.bin.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        get(remote(f"{source}/ok", f"{source}/norange"), tmp_path)
    assert [mood for mood, _ in Source.requests] == ["ok"]


def test_raises_offline(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"Connection refused[^$]*save it as"):
        get(remote("http://127.0.0.1:9/a.bin"), tmp_path)


def test_file_already_there_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert get(remote("http://127.0.0.1:9/a.bin"), tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.bin").write_bytes(b"another")
    with pytest.raises(DatasetError, match="is not the published file"):
        get(remote("http://127.0.0.1:9/a.bin"), tmp_path)
    with pytest.raises(DatasetError, match="neither a zip nor a tar archive"):
        get(remote("http://127.0.0.1:9/a.bin", md5=None), tmp_path)
    with zipfile.ZipFile(tmp_path / "a.bin", "w") as zipped:
        zipped.writestr("a.txt", "x")
    assert get(remote("http://127.0.0.1:9/a.bin", md5=None), tmp_path).exists()


@pytest.mark.parametrize("mood", BAD_HEADERS)
def test_bad_answers_are_one_line_and_nothing_is_kept(
    tmp_path: Path, source: str, mood: str
) -> None:
    with pytest.raises(DatasetNotFoundError) as raised:
        get(remote(f"{source}/{mood}", md5=None), tmp_path)
    assert len(str(raised.value).splitlines()) <= 3
    assert list(tmp_path.iterdir()) == []
