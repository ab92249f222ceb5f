"""How a server starts, is drained and ends, and how its models are exchanged, while requests come in."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import psutil
import pytest
from serving import post, serving

from exported import exported, manifest_of
from pocketbert.errors import ModelError
from pocketbert.serve.metrics import Metrics
from pocketbert.serve.registry import Registry
from pocketbert.serve.settings import Settings

TEXT = "the cat saw the dog"


class Traffic:
    """Requests without a pause, from some threads."""

    def __init__(self, running, threads=3):
        self.statuses, self.scores, self.errors = [], set(), []
        self._running, self._stop = running, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self):
        with httpx.Client(base_url=self._running.url, timeout=30) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/predict", json={"inputs": TEXT})
                except httpx.HTTPError as error:
                    self.errors.append((time.monotonic(), error))
                    return
                self.statuses.append(answer.status_code)
                self.scores.add(tuple(round(each["score"], 5) for each in answer.json()))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def folder(tmp_path):
    """A model directory that may be changed."""
    return shutil.copytree(exported("classification"), tmp_path / "model")


def touch_manifest(folder, **changes):
    """Write the manifest anew, as an export does at its end."""
    manifest = manifest_of(folder) | changes
    temporary = folder / "manifest.part"
    temporary.write_text(json.dumps(manifest), encoding="utf-8")
    temporary.replace(folder / "manifest.json")


def exchange(folder, other):
    """Replace the files of a directory by those of another, the manifest last."""
    for part in ("onnx", "openvino", "golden"):
        shutil.rmtree(folder / part)
        shutil.copytree(other / part, folder / part)
    for name in ("config.json", "tokenizer.json", "manifest.json"):
        shutil.copyfile(other / name, folder / f"{name}.part")
        (folder / f"{name}.part").replace(folder / name)


def test_a_changed_model_is_exchanged_without_a_lost_request(folder):
    with serving({"model": folder}, reload_seconds=0.2) as running:
        before = post(running, "/info", None) and httpx.get(running.url + "/info").json()["model_type"]
        with Traffic(running) as traffic:
            time.sleep(0.5)
            exchange(folder, exported("multi_label"))
            running.wait_for("reloaded")
            time.sleep(0.5)
        assert not traffic.errors and set(traffic.statuses) == {200} and len(traffic.statuses) > 20
        assert {len(scores) for scores in traffic.scores} == {2, 3}  # two labels before, three after
        assert before != httpx.get(running.url + "/info").json()["model_type"]
        assert running.stop() == 0


def test_a_broken_model_is_refused_and_the_old_one_goes_on(folder):
    with serving({"model": folder}, reload_seconds=0.2) as running:
        with Traffic(running) as traffic:
            for path in (folder / "onnx").iterdir():
                path.write_bytes(b"damaged")
            touch_manifest(folder, notes=["changed"])
            line = running.wait_for("reload refused")
            time.sleep(0.5)
        assert "cannot load" in line["reason"]
        assert not traffic.errors and set(traffic.statuses) == {200}
        assert httpx.get(running.url + "/ready").status_code == 200
        assert len([each for each in running.lines() if each["event"] == "reload refused"]) == 1  # not tried again


def test_sighup_loads_models_anew():
    with serving({"model": exported("classification")}) as running:
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("reloaded")
        assert post(running, "/predict", {"inputs": TEXT}).status_code == 200


def test_sigterm_drains():
    with serving({"model": exported("classification")}, drain_seconds=1.0) as running:
        with Traffic(running) as traffic:
            time.sleep(0.3)
            signalled = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert httpx.get(running.url + "/ready").status_code == 503
            assert httpx.get(running.url + "/live").status_code == 200
            answer = post(running, "/predict", {"inputs": TEXT})
            assert answer.status_code == 200 and answer.headers["connection"] == "close"
            assert running.process.wait(timeout=20) == 0
        # Whoever came while it was drained was answered; who came at its end found nobody.
        assert set(traffic.statuses) == {200}
        assert all(when >= signalled + 1.0 for when, _ in traffic.errors), traffic.errors


def test_requests_that_were_accepted_are_answered_before_the_end():
    with serving({"model": exported("classification")}, receive_timeout=10.0) as running:
        waiting = threading.Thread(target=running.stop)
        slow = httpx.Client(base_url=running.url, timeout=20)

        def body():
            yield b'{"inputs": '
            waiting.start()
            time.sleep(0.8)
            yield b'"the cat"}'

        answer = slow.post("/predict", content=body(), headers={"content-type": "application/json"})
        assert answer.status_code == 200
        waiting.join()
        assert running.process.returncode == 0


def test_workers_end_with_their_server():
    with serving({"model": exported("classification")}) as running:
        workers = psutil.Process(running.process.pid).children()
        running.process.kill()
        running.process.wait()
        assert workers and psutil.wait_procs(workers, timeout=10)[1] == []


def serve_command(*arguments):
    command = [sys.executable, "-m", "pocketbert.cli", "serve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_mistakes_end_with_one_message(tmp_path):
    folder = exported("classification")
    for arguments, told in [
        ([tmp_path / "nowhere"], "no such model directory"),
        ([tmp_path], "holds no exported files"),
        ([folder, folder], "two models are named"),
        ([f"a/b={folder}"], "cannot be the name of a model"),
        ([folder, "--port", "99999"], "port"),
        ([folder, "--host", "192.0.2.1"], "cannot be listened on"),
        ([folder, "--host", "a..b"], "cannot be listened on"),
        ([folder, "--deadline", "soon"], "deadline"),
    ]:
        ended = serve_command(*arguments, *([] if "--port" in arguments else ["--port", "0"]))
        assert ended.returncode == 2 and told in ended.stderr and "Traceback" not in ended.stderr, ended.stderr


def test_of_two_servers_that_start_at_once_on_one_port_one_is_told(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pocketbert.cli", "serve", str(exported("classification")), "--port", str(port)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in range(2)]
    try:
        end = time.monotonic() + 60
        while all(each.poll() is None for each in both):
            assert time.monotonic() < end, "both go on"
            time.sleep(0.05)
        (ended,) = [each for each in both if each.poll() is not None]
        told = ended.stderr.read()
        assert ended.returncode == 2 and "cannot be listened on: " in told and "Traceback" not in told, told
    finally:
        for each in both:
            each.terminate()
            each.wait(timeout=30)
            each.stderr.close()


def damage_tokenizer(folder):
    (folder / "tokenizer_config.json").write_text("[]")
    touch_manifest(folder)


def test_a_directory_that_libraries_stumble_over_ends_the_start(tmp_path):
    folder = shutil.copytree(exported("masked_lm"), tmp_path / "model")
    damage_tokenizer(folder)
    ended = serve_command(folder, "--port", "0")
    assert ended.returncode == 2 and "does not name the mask_token" in ended.stderr, ended.stderr


def test_a_directory_that_is_mended_after_a_refusal_is_loaded(tmp_path):
    folder = shutil.copytree(exported("masked_lm"), tmp_path / "model")
    whole = (folder / "tokenizer_config.json").read_bytes()
    with serving({"model": folder}, reload_seconds=0.2) as running:
        damage_tokenizer(folder)
        assert "mask_token" in running.wait_for("reload refused")["reason"]
        (folder / "tokenizer_config.json").write_bytes(whole)
        touch_manifest(folder, notes=["mended"])
        running.wait_for("reloaded")
        assert running.stop() == 0


def test_whatever_a_library_raises_no_worker_is_left_behind(monkeypatch):
    def stumble(*_):
        raise TypeError("list indices must be integers")

    monkeypatch.setattr("pocketbert.serve.registry.ServedModel.__init__", stumble)
    registry = Registry({"model": exported("classification")}, Settings(), Metrics())
    before = psutil.Process().children()  # among them the servers that other tests share
    with pytest.raises(ModelError, match="cannot be served: TypeError: list indices"):
        asyncio.run(registry.open())
    assert set(psutil.Process().children()) <= set(before)


def test_the_command_tells_where_it_listens_and_imports_no_torch():
    model = f"pocket={exported('classification')}"
    command = [sys.executable, "-X", "importtime", "-m", "pocketbert.cli", "serve", model, "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        imports = process.stderr.read()
        assert process.wait(timeout=20) == 0
    assert lines[0].startswith("pocket  classification, ") and lines[1].startswith("listening on http://127.0.0.1:")
    assert "fastapi" in imports
    assert not {"torch", "transformers"} & {line.rpartition("|")[2].strip() for line in imports.splitlines()}


def test_a_browser_export_is_served_where_no_keys_are_asked_for(folder):
    (folder / "browser").mkdir()
    (folder / "browser" / "index.html").write_text("<p>in the browser")
    with serving({"model": folder}) as running:
        (card,) = httpx.get(running.url + "/models").json()
        assert card["browser"] == "/models/model/browser/"
        assert httpx.get(running.url + card["browser"]).text == "<p>in the browser"
        assert httpx.get(running.url + card["browser"] + "../../../manifest.json").status_code == 404
    with serving({"model": folder}, api_key=["secret"]) as running:
        (card,) = httpx.get(running.url + "/models", headers={"authorization": "Bearer secret"}).json()
        assert card["browser"] is None
        assert httpx.get(running.url + "/models/model/browser/").status_code == 404


def test_a_worker_that_would_load_another_model_is_no_replacement(folder):
    with serving({"model": folder}) as running:
        exchange(folder, exported("multi_label"))
        (worker,) = psutil.Process(running.process.pid).children()
        worker.kill()
        end = time.monotonic() + 20
        while (answer := post(running, "/predict", {"inputs": TEXT})).status_code != 503:
            assert answer.status_code == 200 and time.monotonic() < end  # until the loss is noticed
        assert answer.json()["error_type"] == "Unhealthy" and "retry-after" in answer.headers
        assert httpx.get(running.url + "/ready").status_code == 503
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("reloaded")
        assert len(post(running, "/predict", {"inputs": TEXT}).json()) == 3
        assert httpx.get(running.url + "/ready").status_code == 200
