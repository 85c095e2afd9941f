"""`make api-document`, with the official server played by one on loopback."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "cloud.json").write_text(
        json.dumps({"openapi": "3.1.2", "paths": {"/servers": {}, "/servers/{id}": {}, "/volumes": {}}})
    )
    (served / "page.json").write_text("<html>moved</html>")
    (served / "other.json").write_text('{"paths": {"/volumes": {}}}')
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(address: str, target: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "tools" / "api_document.py"), str(target), "--address", address]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def test_the_part_that_the_lab_serves_is_kept(address: str, tmp_path: Path) -> None:
    target = tmp_path / "lab" / "document.json"
    assert fetch(f"{address}/cloud.json", target).returncode == 0
    assert json.loads(target.read_text()) == {
        "openapi": "3.1.2",
        "paths": {"/servers": {}, "/servers/{id}": {}},
    }
    assert [path.name for path in target.parent.iterdir()] == ["document.json"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.json", "no answer from"),
        ("page.json", "is not an OpenAPI"),
        ("other.json", "is not an OpenAPI"),
    ],
)
def test_another_answer_is_refused_and_the_file_stays(
    address: str, tmp_path: Path, name: str, said: str
) -> None:
    target = tmp_path / "document.json"
    target.write_text("before")
    done = fetch(f"{address}/{name}", target)
    assert done.returncode == 1
    assert said in done.stderr
    assert f"{address}/{name}" in done.stderr
    assert target.read_text() == "before"


def test_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    done = fetch("http://127.0.0.1:9/cloud.json", tmp_path / "document.json")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no answer from http://127.0.0.1:9/cloud.json" in done.stderr
