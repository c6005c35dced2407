"""The page answers to names of its own machine only, asked by plain requests."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest

pytest.importorskip("gradio", reason="the demo page needs agnet_vision[demo]")

from agnet_vision.demo.page import POLICY


def ask(address: str, host: str) -> tuple[int, str | None]:
    """Ask for the page under a name, and return status and content policy."""
    request = urllib.request.Request(address, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["content-security-policy"]
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "localhost:7860", "[::1]:7860"])
def test_value_own_names_are_answered(address: str, host: str) -> None:
    assert ask(address, host) == (200, POLICY)
    assert ask(address, socket.gethostname())[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "[x"])
def test_value_foreign_names_are_refused(address: str, host: str) -> None:
    assert ask(address, host) == (400, None)


def test_value_forged_paths_are_refused(address: str) -> None:
    """The page opens only files that it was given."""
    with urllib.request.urlopen(f"{address}config", timeout=30) as answer:
        page = json.loads(answer.read())
    look = next(d for d in page["dependencies"] if len(d["inputs"]) == 5)
    forged = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    name = next(c["props"]["value"] for c in page["components"] if c["type"] == "dropdown")
    data = [forged, name, "keypoints: sift", 4, "light"]
    body = json.dumps({"data": data, "fn_index": look["id"], "session_hash": "forged"}).encode()
    prefix = page.get("api_prefix", "")
    request = urllib.request.Request(
        f"{address.rstrip('/')}{prefix}/queue/join",
        data=body,
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()
    stream = f"{address.rstrip('/')}{prefix}/queue/data?session_hash=forged"
    with urllib.request.urlopen(stream, timeout=60) as answer:
        said = answer.read().decode()
    assert '"success":false' in said
    assert "root:" not in said
