import os

import pytest

from pocketbert import machine
from pocketbert.machine import cgroup_folders, cpu_limits, describe_machine, memory_limits


def write(path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_machine_says_what_this_process_has():
    found = describe_machine()
    assert 0 < found.cores <= os.cpu_count()
    assert found.memory > 0
    assert found.cpu
    assert found.python.count(".") == 2
    assert found.versions["numpy"][0].isdigit()


def test_the_second_version_limits_at_any_ancestor(tmp_path):
    write(tmp_path / "own", "0::/outer/inner\n")
    write(tmp_path / "cgroup" / "outer" / "cpu.max", "150000 100000\n")
    write(tmp_path / "cgroup" / "outer" / "inner" / "cpu.max", "max 100000\n")
    write(tmp_path / "cgroup" / "outer" / "inner" / "memory.max", "1048576\n")
    write(tmp_path / "cgroup" / "outer" / "memory.max", "max\n")
    folders = list(cgroup_folders(tmp_path / "cgroup", tmp_path / "own"))
    assert list(cpu_limits(folders)) == [1.5]
    assert list(memory_limits(folders)) == [1048576]


def test_the_first_version_limits_by_controller(tmp_path):
    write(tmp_path / "own", "4:memory:/box\n1:cpu:/\n")
    write(tmp_path / "cgroup" / "cpu" / "cpu.cfs_quota_us", "200000\n")
    write(tmp_path / "cgroup" / "cpu" / "cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cgroup" / "memory" / "box" / "memory.limit_in_bytes", "4096\n")
    folders = list(cgroup_folders(tmp_path / "cgroup", tmp_path / "own"))
    assert list(cpu_limits(folders)) == [2.0]
    assert list(memory_limits(folders)) == [4096]


def test_no_quota_is_no_limit(tmp_path):
    write(tmp_path / "own", "1:cpu:/\n")
    write(tmp_path / "cgroup" / "cpu" / "cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cgroup" / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert list(cpu_limits(list(cgroup_folders(tmp_path / "cgroup", tmp_path / "own")))) == []


def test_a_system_without_control_groups_has_no_limits(tmp_path):
    assert list(cgroup_folders(tmp_path / "none", tmp_path / "absent")) == []


@pytest.fixture
def processor(tmp_path, monkeypatch, request):
    """One that tells of itself in a line."""
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{request.param}\n", encoding="utf-8")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni", True),
        ("flags\t\t: fpu avx2 avx512f", False),
        ("Features\t: fp asimd asimddp", True),
        ("Features\t: fp asimd", False),
        ("model name\t: unknown", True),
    ],
    indirect=["processor"],
)
def test_instructions_for_int8_are_found(processor, expected):
    assert machine.multiplies_int8() is expected


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_vnni", False),
        ("flags\t\t: fpu avx512f avx512_bf16", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_bf16", False),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512f avx512_bf16", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512f avx512_vnni", False),
        ("flags\t\t: fpu amx_bf16 amx_int8", True),
        ("Features\t: fp asimd asimddp", False),
    ],
    indirect=["processor"],
)
def test_instructions_for_bf16_are_found(processor, expected):
    assert machine.multiplies_bf16() is expected


def test_a_system_that_does_not_tell_is_taken_to_have_int8_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "nothing")
    assert machine.multiplies_int8() and not machine.multiplies_bf16()
