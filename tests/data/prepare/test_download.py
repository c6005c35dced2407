from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agnet_vision.data.prepare.archives import download
from agnet_vision.data.sources.card import RemoteFile
from agnet_vision.errors import DatasetError, DatasetNotFoundError

CONTENT = bytes(range(256)) * 2_000
MD5 = hashlib.md5(CONTENT).hexdigest()


BAD_HEADERS = {
    "bad-location": ("Location", "http://["),
    "file-location": ("Location", "file:///etc/passwd"),
    "login": ("Content-Type", "text/html"),
}


class Source(BaseHTTPRequestHandler):
    """A distributor whose mood is the first part of the address."""

    requests: list[str]

    def do_GET(self) -> None:
        mood = self.path.split("/")[1]
        self.requests.append(mood)
        if mood == "gone":
            self.send_error(404)
            return
        self.send_response(302 if "location" in mood else 200)
        if mood in BAD_HEADERS:
            self.send_header(*BAD_HEADERS[mood])
            self.end_headers()
            self.wfile.write(b"<html>log in</html>")
            return

        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if mood == "truncated":  # ends the connection
            self.wfile.write(CONTENT[:200_000])
        else:
            self.wfile.write(CONTENT if mood != "wrong" else CONTENT[::-1])

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


def get(file: RemoteFile, folder: Path) -> Path:
    return download(file, folder, show_progress=False)


def test_value(tmp_path: Path, source: str) -> None:
    folder = tmp_path / "new" / "folder"
    folder.mkdir(parents=True)
    (folder / "a.bin.part").write_bytes(CONTENT + b"left by a killed process")
    path = get(remote(f"{source}/ok"), folder)
    assert path.read_bytes() == CONTENT
    assert list(folder.iterdir()) == [path]


def test_mirrors_in_order(tmp_path: Path, source: str) -> None:
    moods = ["gone", "wrong", "truncated", "ok"]
    urls = [f"{source}/{mood}" for mood in moods]
    assert get(remote(*urls), tmp_path).read_bytes() == CONTENT
    assert Source.requests == moods


@pytest.mark.parametrize(
    ("mood", "md5", "said"),
    [
        ("wrong", MD5, f"instead of {MD5}"),
        ("gone", MD5, "404"),
        ("truncated", MD5, "IncompleteRead"),
        ("login", None, "neither a zip nor a tar archive"),
        ("bad-location", None, "http://"),
        ("file-location", None, "file:///etc/passwd"),
    ],
)
def test_raises_with_a_way_out(
    tmp_path: Path, source: str, mood: str, md5: str | None, said: str
) -> None:
    with pytest.raises(DatasetNotFoundError, match=said) as error:
        get(remote(f"{source}/{mood}", md5=md5), tmp_path)
    assert f"get the file by other means, as {tmp_path / 'a.bin'}" in str(error.value)
    assert len(str(error.value).splitlines()) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk at hand")
def test_a_full_disk_is_not_the_mirror_s_fault(tmp_path: Path, source: str) -> None:
    (tmp_path / "a.bin.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        get(remote(f"{source}/ok", f"{source}/wrong"), tmp_path)
    assert Source.requests == ["ok"]


def test_file_already_there_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert get(remote("http://127.0.0.1:9/a.bin"), tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.bin").write_bytes(b"another")
    with pytest.raises(DatasetError, match="is not the published file"):
        get(remote("http://127.0.0.1:9/a.bin"), tmp_path)
    with zipfile.ZipFile(tmp_path / "a.bin", "w") as zipped:
        zipped.writestr("a.txt", "x")
    assert get(remote("http://127.0.0.1:9/a.bin", md5=None), tmp_path).exists()
