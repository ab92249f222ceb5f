"""The libraries below keep to themselves."""

import os
import subprocess
import sys

import pytest

from exported import exported

IN_CI = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "PYTEST_CURRENT_TEST", "ORT_DISABLE_TELEMETRY")
"""By which libraries know that they are only tested, and report nothing anyhow."""

CONVERSION = """
import pocketbert
import nncf, openvino, openvino.tools.ovc
from nncf.telemetry import wrapper
assert "Stub" in type(wrapper.telemetry).__name__ or "Mock" in type(wrapper.telemetry).__name__, wrapper.telemetry
"""


WAITING = """
import os
import pocketbert
print(os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT"))
"""


ANSWER = """
import sys
import pocketbert
pipeline = pocketbert.load(sys.argv[1], engine="onnxruntime")
assert pipeline("the cat").label in ("bad", "good")
"""


def alone(program, home, *arguments):
    """Run a program that knows of no test, with a home of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in (*IN_CI, "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    subprocess.run(command, check=True, timeout=120, env={**environment, "HOME": str(home)})
    return [path.name for path in home.rglob("*")]


def test_openvino_and_nncf_report_to_nobody(tmp_path):
    there = alone(CONVERSION, tmp_path)
    assert not [name for name in there if "openvino" in name], "openvino_telemetry keeps its client's number there"


def test_onnxruntime_reports_to_nobody(tmp_path):
    # Not held against a plain session beside it: that one would report this very test.
    there = alone(ANSWER, tmp_path, exported("classification"))
    assert "deviceid" not in there, "ONNX Runtime keeps its client's number there"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "PASSIVE 10000"), ({"GOMP_SPINCOUNT": "5"}, "PASSIVE 5"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None")],
)
def test_threads_wait_as_they_are_told_or_a_little_before_they_sleep(given, expected):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names} | given
    command = [sys.executable, "-c", WAITING]
    run = subprocess.run(command, check=True, timeout=120, env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == expected
