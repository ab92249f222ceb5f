"""Traces reach the collector that the environment names."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from serving import post, serving

from exported import exported

pytest.importorskip("opentelemetry.sdk", reason="the extra `telemetry` is not installed")


def test_requests_are_traced():
    seen = threading.Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if b"/predict" in body and b"secret" not in body:
                seen.set()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        address = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with serving({"model": exported("classification")}, env=address, telemetry=True) as running:
            assert post(running, "/predict", {"inputs": "secret"}).status_code == 200
            assert seen.wait(10)
        collector.shutdown()
