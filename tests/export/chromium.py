"""A headless Chromium that walks through pages of a folder, served on this machine; no other host can be reached."""

import json
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from browsers import find_chromium

SECONDS = 90

WALK = """<!doctype html><meta charset="utf-8"><title>walk</title><body><script type="module">
const rest = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function until(find, what) {
  const end = performance.now() + 40000;
  while (performance.now() < end) {
    const found = find();
    if (found) return found;
    await rest(30);
  }
  throw new Error(`waited for ${what}`);
}

async function take(step) {
  const frame = document.createElement("iframe");
  Object.assign(frame, { width: 800, height: 600, src: step.open });
  document.body.append(frame);
  const find = (selector) => frame.contentDocument?.querySelector(selector);
  try {
    const seen = [(await until(() => find(step.wait), step.wait)).textContent];
    for (const values of step.type ?? []) {
      const fields = frame.contentDocument.querySelectorAll("#fields textarea, #fields input");
      fields.forEach((input, index) => (input.value = values[index]));
      fields[0].dispatchEvent(new Event("input", { bubbles: true }));
      const changed = () => find(step.wait).textContent !== seen.at(-1) && find(step.wait);
      seen.push((await until(changed, values)).textContent);
    }
    return { seen, marks: [...frame.contentDocument.querySelectorAll("mark")].map((mark) => mark.textContent) };
  } catch (error) {
    return { error: `${error} in ${step.open}: ${find("#status")?.textContent}` };
  } finally {
    frame.remove();
  }
}

const results = [];
for (const step of await (await fetch("/steps")).json()) {
  if (step.cut) await fetch("/cut", { method: "POST" });
  results.push(await take(step));
}
await fetch("/report", { method: "POST", body: JSON.stringify(results) });
</script>"""


@dataclass
class Walk:
    """What a walk is, and what came of it."""

    steps: list[dict[str, Any]]
    cut: bool = False
    results: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


class Handler(SimpleHTTPRequestHandler):
    """Serves the folder until the network is cut, and the walk itself."""

    def __init__(self, walk, *arguments, **options):
        self.walk = walk
        super().__init__(*arguments, **options)

    def do_GET(self):
        own = {"/walk": WALK, "/steps": json.dumps(self.walk.steps)}.get(self.path)
        if own is not None:
            self.answer(own.encode(), "text/html; charset=utf-8")
        elif self.walk.cut:
            self.send_error(503)
        else:
            self.walk.asked.append(self.path)
            super().do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/cut":
            self.walk.cut = True
        self.answer(b"", "text/plain")
        if self.path == "/report":
            self.walk.results = json.loads(body)
            self.walk.done.set()

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def take_walk(folder: Path, profile: Path, steps: list[dict[str, Any]]) -> Walk:
    """Open one page after the other.

    Args:
        folder: what is served.
        profile: for Chromium to write to.
        steps: of each page ``open``, its path; ``wait``, the selector of what to read; ``type``, values of the form's
            fields to type one after the other; ``cut``, to cut the network first.
    """
    walk = Walk(steps)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, walk, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [
        find_chromium(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        f"http://127.0.0.1:{server.server_port}/walk",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert walk.done.wait(SECONDS), f"Chromium did not come back; it asked for {walk.asked[-3:]}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        server.shutdown()
    return walk
