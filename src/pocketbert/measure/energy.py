"""Energy, where the machine exposes it: the counters of the processor packages, which Linux shows as files."""

from pathlib import Path

COUNTERS = Path("/sys/class/powercap")
"""Intel's counters, by which AMD's go too."""


class EnergyMeter:
    """Joules that the processor packages took since the meter was made, whatever runs on them.

    Args:
        packages: folders of their counters.
    """

    def __init__(self, packages: list[Path]) -> None:
        self._packages = packages
        self._ranges = [_read(package / "max_energy_range_uj") for package in packages]
        self._last = self._readings()
        self._total = 0

    def read(self) -> float:
        """Joules so far; to be read more often than a counter starts again, which is about once in a few minutes."""
        now = self._readings()
        for new, old, span in zip(now, self._last, self._ranges, strict=True):
            # A counter that has come to its end starts again at zero.
            self._total += new - old if new >= old else new - old + span
        self._last = now
        return self._total / 1e6

    def _readings(self) -> list[int]:
        return [_read(package / "energy_uj") for package in self._packages]


def find_meter(counters: Path = COUNTERS) -> EnergyMeter | str:
    """A meter, or the reason why there is none."""
    # Parts of a package are counted in it, and packages in the whole platform (psys), where there is such a counter.
    try:
        packages = sorted(path for path in counters.glob("intel-rapl:*") if _is_package(path))
        if not packages:
            return f"this machine does not expose it ({counters} has no package of intel-rapl)"
        return EnergyMeter(packages)
    except PermissionError as error:
        return f"{error.filename} may only be read by root on this machine"
    except (OSError, ValueError) as error:
        return f"the counters in {counters} cannot be read ({error})"


def _is_package(counter: Path) -> bool:
    name = counter / "name"
    return name.is_file() and name.read_text(encoding="ascii").startswith("package")


def _read(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
