"""Files from web addresses over real HTTP: bounded, public addresses alone."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filemaker import picture

from tinyllm_magic import errors
from tinyllm_magic.attachments import fetching
from tinyllm_magic.attachments.fetching import fetch, is_public


@pytest.fixture
def serve():
    """``serve({path: (status, headers, body)})``: the address of a server that answers so."""
    servers = []

    def start(answers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, body = answers[self.path]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def loopback_is_public(monkeypatch):
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1"]
)
def test_an_address_of_this_machine_or_network_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_nor_is_one_in_disguise(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111"])
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


def test_a_file_is_fetched_with_its_name(serve, loopback_is_public):
    found = fetch(serve({"/a%20b.png?v=1": (200, {}, picture())}) + "/a%20b.png?v=1")

    assert (found.data, found.name) == (picture(), "a b.png")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_is_fetched_from_this_machine(serve, host):
    url = serve({"/a.png": (200, {}, picture())}).replace("127.0.0.1", host)

    with pytest.raises(errors.PromptError, match="no public address"):
        fetch(f"{url}/a.png")


def test_a_redirect_is_followed(serve, loopback_is_public):
    url = serve({"/a": (302, {"Location": "/b.png"}, b""), "/b.png": (200, {}, picture())})

    assert fetch(f"{url}/a").data == picture()


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("http://127.0.0.2/a.png", "no public address"),
        ("http://[::1]/a.png", "no public address|cannot be fetched"),
        ("file:///etc/passwd", "no http or https address"),
        ("/a", "more than 5 redirects"),
    ],
)
def test_a_redirect_that_leads_elsewhere_is_refused(location, says, serve, loopback_is_public):
    with pytest.raises(errors.PromptError, match=says):
        fetch(serve({"/a": (302, {"Location": location}, b"")}) + "/a")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((404, {}, b"no"), "the server answers 404"),
        ((200, {"Content-Length": "100"}, b"short"), "ended before|IncompleteRead"),
        ((200, {}, b"a" * 3000), "larger than"),
    ],
    ids=["missing", "cut", "large"],
)
def test_what_is_no_whole_file_is_refused(answer, says, serve, loopback_is_public, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_BYTES", 2000)
    monkeypatch.setattr(fetching, "PATIENCE", 3.0)
    with pytest.raises(errors.PromptError, match=says):
        fetch(serve({"/a": answer}) + "/a")
