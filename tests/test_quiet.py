"""The libraries below keep to themselves."""

import os
import subprocess
import sys

PROGRAM = """
import pocketbert
import nncf, openvino, openvino.tools.ovc
from nncf.telemetry import wrapper
assert "Stub" in type(wrapper.telemetry).__name__ or "Mock" in type(wrapper.telemetry).__name__, wrapper.telemetry
"""


def test_openvino_and_nncf_report_to_nobody(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_CURRENT_TEST")}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120, env={**environment, "HOME": str(tmp_path)})
    assert not list(tmp_path.rglob("*openvino*")), "openvino_telemetry keeps its client's number there"
