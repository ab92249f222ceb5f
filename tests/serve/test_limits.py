"""What a client may not do: it gets an answer, never a 500, and nobody waits for it."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import psutil
import pytest
from serving import connect, post, serving

from exported import exported

JSON = {"content-type": "application/json"}


def send(running, content, headers=JSON, path="/predict"):
    return httpx.post(running.url + path, content=content, headers=headers, timeout=30)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"inputs": "a", "inputs": "b"}', "'inputs' stands twice"),
        (b'{"inputs": "a", "parameters": {"top_k": 1, "top_k": 2}}', "'top_k' stands twice"),
        (b'{"inputs": "\xff"}', "not UTF-8"),
        (b'{"inputs": "a"', "not JSON"),
        (b"", "required"),
        (b"null", "dictionary"),
        (b'"text"', "dictionary"),
        (b'{"inputs": NaN}', "NaN"),
        (b'{"inputs": "a", "parameters": {"top_k": Infinity}}', "Infinity"),
        (b'{"inputs": "a", "parameters": {"top_k": 1e999}}', "top_k"),
        (b'{"inputs": "a", "parameters": {"top_k": ' + b"9" * 5000 + b"}}", ""),
        (b'{"inputs": "a", "parameters": {"top_k": 99999999999999999999}}', "top_k"),
        (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
        (b'{"inputs": "\\ud800"}', "surrogate"),
        (b'{"inputs": "a", "model": "\\udfff"}', "surrogate"),
        (b'{"inputs": 1}', "inputs"),
        (b'{"inputs": true, "truncate": "yes"}', "truncate"),
    ],
)
def test_a_body_that_cannot_be_understood_is_refused(server, content, told):
    answer = send(server, content)
    assert answer.status_code == 422 and told in answer.json()["error"], answer.text


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json5"])
def test_what_is_no_json_is_not_read(server, kind):
    answer = send(server, b'{"inputs": "a"}', {"content-type": kind} if kind else {})
    assert answer.status_code == 415 and "application/json" in answer.json()["error"]


@pytest.mark.parametrize(
    "text", ["a\u0000b", "\u0000", "", " ", "\ufeffa", "a" * 5000, "\U0001f600" * 100, "\u202e\u0300"]
)
def test_odd_texts_are_answered(server, text):
    for body in (
        {"inputs": text},
        {"inputs": text, "model": "token_classification"},
        {"inputs": text, "model": "embedding"},
    ):
        assert post(server, "/", body).status_code == 200


def test_a_text_of_ten_megabytes_is_refused_with_and_without_its_length(server):
    content = json.dumps({"inputs": "a" * 10_000_000}).encode()
    assert send(server, content).status_code == 413
    chunks = (content[start : start + 65536] for start in range(0, len(content), 65536))
    assert send(server, chunks).status_code == 413
    assert post(server, "/predict", {"inputs": "a"}).status_code == 200


def test_request_ids_are_the_clients_own_where_they_are_sane(server):
    def asked(given):
        return httpx.get(server.url + "/live", headers={"x-request-id": given}).headers["x-request-id"]

    assert asked("my-request.1") == "my-request.1"
    assert asked("a b") != "a b" and asked("x" * 200) != "x" * 200 and asked("é".encode("latin-1")) != "é"
    headers = httpx.get(server.url + "/").headers
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def trickle(running, first, rest):
    """Send a byte every tenth of a second until the server answers or closes; what it said, and after how long."""
    started = time.monotonic()
    with connect(running) as connection:
        connection.sendall(first)
        connection.settimeout(0.1)
        for number in range(200):
            try:
                said = connection.recv(4096)
                return said, time.monotonic() - started
            except TimeoutError:
                connection.sendall(rest[number % len(rest) :][:1])
            except OSError:
                return b"", time.monotonic() - started
    raise AssertionError("the server waits for ever")


def test_slow_clients_are_cut_off_while_others_are_answered():
    settings = {"header_timeout": 0.5, "receive_timeout": 0.7, "keep_alive": 1.0}
    with serving({"model": exported("classification")}, **settings) as running, ThreadPoolExecutor(20) as threads:
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
        whole = head + b"content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        silent = threads.submit(trickle, running, b"", b"\r")
        heads = [threads.submit(trickle, running, head, b"x-a: b") for _ in range(5)]
        bodies = [threads.submit(trickle, running, whole, b'{"inputs": "aaa') for _ in range(5)]
        for _ in range(10):
            assert post(running, "/predict", {"inputs": "a"}).status_code == 200
        for asked in (silent, *heads):
            said, seconds = asked.result()
            assert said == b"" and seconds < 2
        for asked in bodies:
            said, seconds = asked.result()
            assert said.startswith(b"HTTP/1.1 408") and b"connection: close" in said and seconds < 3


LONG = "a " * 99_000
"""Whose tokens take some megabytes to tell."""


def ask_for_tokens(connection, text):
    """Ask, and come back when the answer begins."""
    body = json.dumps({"inputs": text}).encode()
    head = f"POST /tokenize HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    connection.recv(1, socket.MSG_PEEK)


def test_a_client_that_does_not_read_its_answers_is_cut_off():
    with serving({"model": exported("classification")}, max_requests=1, keep_alive=1.0) as running:
        with connect(running, holding=65_536) as connection:
            ask_for_tokens(connection, LONG)
            time.sleep(0.2)
            ask_for_tokens(connection, "a")  # whose answer has to wait behind the first
            time.sleep(0.2)
            assert post(running, "/predict", {"inputs": "a"}).status_code == 429
            end = time.monotonic() + 10
            while post(running, "/predict", {"inputs": "a"}).status_code == 429:
                assert time.monotonic() < end, "the place of its request is held for ever"
                time.sleep(0.1)
            held = psutil.Process(running.process.pid).net_connections()
            assert connection.getsockname() not in [each.raddr for each in held]
        assert "Traceback" not in running.log.read_text()


def test_a_client_that_reads_slowly_gets_its_whole_answer():
    with serving({"model": exported("classification")}, keep_alive=1.0) as running:
        with connect(running, holding=65_536) as connection:
            started, got = time.monotonic(), b""
            ask_for_tokens(connection, LONG)
            while not got.endswith(b"]]"):
                got += connection.recv(1_000_000)
                time.sleep(0.02)
        assert time.monotonic() > started + 1.5
        assert len(json.loads(got.partition(b"\r\n\r\n")[2])[0]) > 99_000


def test_a_head_that_is_too_large_is_cut_off(server):
    with connect(server) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\nhost: x\r\n" + b"x-a: " + b"b" * 70_000 + b"\r\n\r\n")
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""


def test_too_many_requests_at_once_are_refused():
    with serving({"model": exported("classification")}, max_requests=1, receive_timeout=5.0) as running:
        with connect(running) as connection:
            head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
            connection.sendall(head)
            time.sleep(0.3)
            answer = post(running, "/predict", {"inputs": "a"})
            assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
            assert httpx.get(running.url + "/live").status_code == 200
        time.sleep(0.3)
        assert post(running, "/predict", {"inputs": "a"}).status_code == 200


KEYED = {"api_key": ["secret-one"], "cors_origin": ["https://page.example"]}


@pytest.fixture(scope="module")
def keyed():
    with serving({"model": exported("classification")}, env={"POCKETBERT_API_KEYS": "two, three"}, **KEYED) as running:
        yield running


@pytest.mark.parametrize("key", ["secret-one", "two", "three"])
def test_a_right_key_passes(keyed, key):
    headers = {"authorization": f"Bearer {key}"}
    assert post(keyed, "/predict", {"inputs": "a"}, headers=headers).status_code == 200
    assert httpx.get(keyed.url + "/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer secret", "Bearer twoX", "Basic two", "two", "Bearer é"])
def test_a_wrong_key_does_not(keyed, given):
    headers = {} if given is None else {"authorization": given.encode("latin-1")}
    for path in ("/predict", "/", "/v1/embeddings", "/tokenize"):
        answer = httpx.post(keyed.url + path, json={"inputs": "a"}, headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer" and "error" in answer.json()
    for path in ("/models", "/v1/models", "/info", "/metrics", "/openapi.json"):
        assert httpx.get(keyed.url + path, headers=headers).status_code == 401
        assert httpx.head(keyed.url + path, headers=headers).status_code == 401


def test_health_and_page_need_no_key(keyed):
    for path in ("/live", "/ready", "/health", "/"):
        assert httpx.get(keyed.url + path).status_code == 200


def test_pages_of_other_origins_may_ask_with_a_key(keyed):
    origin = {"origin": "https://page.example"}
    asks = {
        **origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    preflight = httpx.options(keyed.url + "/predict", headers=asks)
    assert preflight.status_code == 200 and preflight.headers["access-control-allow-origin"] == origin["origin"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    refused = post(keyed, "/predict", {"inputs": "a"}, headers=origin)
    assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == origin["origin"]
    invalid = post(keyed, "/predict", {}, headers={**origin, "authorization": "Bearer two"})
    assert invalid.status_code == 422 and invalid.headers["access-control-allow-origin"] == origin["origin"]
    other = httpx.options(keyed.url + "/predict", headers={**asks, "origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
