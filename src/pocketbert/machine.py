"""The machine that a run took place on: what this process was granted, not what the hardware has."""

import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from pydantic import BaseModel

LIBRARIES = ("pocketbert", "torch", "transformers", "tokenizers", "numpy")

MOST_THREADS = 1024
"""More than processors have. To start 512 took an engine 8 s on two cores, 1024 took 21 s, all without a word."""

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
_AMX_BF16, _AVX512_BF16 = "amx_bf16", "avx512_bf16"


class Machine(BaseModel):
    """Where a run took place.

    Attributes:
        cpu: model name.
        cores: granted to this process, by affinity and control group; may be a fraction.
        memory: bytes granted.
        system: operating system and architecture.
        python: version.
        versions: of the libraries that matter, by name.
        gpu: name; None where there is none.
    """

    cpu: str
    cores: float
    memory: int
    system: str
    python: str
    versions: dict[str, str]
    gpu: str | None = None


def describe_machine() -> Machine:
    """Describe this machine as the process sees it."""
    folders = list(cgroup_folders(_CGROUPS, _OWN_CGROUPS))
    return Machine(
        cpu=_cpu_model(_CPUINFO),
        cores=describe_cores(),
        memory=min([psutil.virtual_memory().total, *memory_limits(folders)]),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions=_versions(),
        gpu=_gpu_name(),
    )


def multiplies_int8() -> bool:
    """Whether the processor has instructions for int8 dot products (VNNI, AMX, NEON); true where it does not tell."""
    flags = _processor_flags()
    return not flags or bool(flags & _INT8_FLAGS)


def multiplies_bf16() -> bool:
    """Whether bf16 is faster than fp32 here: with AMX, and with AVX-512 by AMD; with that by Intel it is slower.

    Measured on processors of each kind: docs/lab-notes.md.
    """
    return has_amx() or (_AVX512_BF16 in _processor_flags() and "AuthenticAMD" in _listed(("vendor_id",)))


def has_amx() -> bool:
    """Whether the processor has a unit that multiplies tiles of matrices in bf16 (AMX)."""
    return _AMX_BF16 in _processor_flags()


def processor_kind() -> str:
    """Model name and instruction sets: what the speed of an engine depends on."""
    return " ".join([_cpu_model(_CPUINFO), *sorted(_processor_flags())])


def granted_cores() -> int:
    """Whole cores that this process may use: how many threads make sense."""
    return max(1, int(describe_cores()))


def describe_cores() -> float:
    """Cores granted by affinity and control group; may be a fraction."""
    return min([float(_affinity()), *cpu_limits(list(cgroup_folders(_CGROUPS, _OWN_CGROUPS)))])


def cgroup_folders(root: Path, own: Path) -> Iterator[Path]:
    """Folders of the control groups that hold this process, ancestors included, of either version.

    Args:
        root: where control groups are mounted.
        own: the file that lists this process's groups, lines of ``number:controllers:path``.
    """
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        mount = root / controllers
        inner = mount / path.lstrip("/")
        yield inner
        # A container sees its own group as the root of the mount, while the path may be the host's.
        yield from (folder for folder in inner.parents if folder.is_relative_to(mount))


def cpu_limits(folders: list[Path]) -> Iterator[float]:
    """Cores that the quotas of control groups allow."""
    for folder in folders:
        if (both := folder / "cpu.max").is_file():
            quota, period = both.read_text(encoding="ascii").split()
        elif (alone := folder / "cpu.cfs_quota_us").is_file():
            quota = alone.read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        else:
            continue
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)


def memory_limits(folders: list[Path]) -> Iterator[int]:
    """Bytes that control groups allow."""
    for folder in folders:
        for name in ("memory.max", "memory.limit_in_bytes"):
            file = folder / name
            if file.is_file() and (limit := file.read_text(encoding="ascii").strip()) != "max":
                yield int(limit)


def _affinity() -> int:
    """Cores that the scheduler may use; systems without affinity grant all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor_flags() -> set[str]:
    """Names of the instruction sets; none where the system does not tell."""
    return _listed(("flags", "Features"))


def _listed(keys: tuple[str, ...]) -> set[str]:
    """Words that the system lists under some keys for its processors; none where it does not tell."""
    if not _CPUINFO.is_file():
        return set()
    lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {word for key, _, value in pairs if key.strip() in keys for word in value.split()}


def _cpu_model(cpuinfo: Path) -> str:
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "not installed"
    return versions


def _gpu_name() -> str | None:
    """The first GPU that torch sees, where torch is in use: it is not imported for this."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name(0) if torch is not None and torch.cuda.is_available() else None
