"""Energy counters, as Linux shows them."""

import pytest

from pocketbert.measure.energy import EnergyMeter, find_meter


def make_counter(folder, name, reading, span=10_000_000, title="package-0"):
    package = folder / name
    package.mkdir(parents=True)
    (package / "name").write_text(f"{title}\n")
    (package / "max_energy_range_uj").write_text(f"{span}\n")
    (package / "energy_uj").write_text(f"{reading}\n")
    return package / "energy_uj"


def test_packages_add_up_and_their_parts_are_not_counted_again(tmp_path):
    first = make_counter(tmp_path, "intel-rapl:0", 1_000_000)
    second = make_counter(tmp_path, "intel-rapl:1", 500_000)
    part = make_counter(tmp_path, "intel-rapl:0:0", 700_000, title="core")
    whole = make_counter(tmp_path, "intel-rapl:2", 2_000_000, title="psys")
    meter = find_meter(tmp_path)
    assert isinstance(meter, EnergyMeter) and meter.read() == 0.0
    first.write_text("3000000\n")
    second.write_text("600000\n")
    part.write_text("900000\n")
    whole.write_text("9000000\n")
    assert meter.read() == pytest.approx(2.1)
    assert meter.read() == pytest.approx(2.1)


def test_a_counter_that_starts_again_goes_on(tmp_path):
    counter = make_counter(tmp_path, "intel-rapl:0", 9_000_000)
    meter = find_meter(tmp_path)
    counter.write_text("500000\n")  # 1 J to the end, and half a joule from zero
    assert meter.read() == pytest.approx(1.5)
    counter.write_text("600000\n")
    assert meter.read() == pytest.approx(1.6)


def test_a_machine_without_counters_says_so(tmp_path):
    none = tmp_path / "none"
    assert find_meter(none) == f"this machine does not expose it ({none} has no package of intel-rapl)"


def test_counters_that_may_not_be_read_say_so(tmp_path, monkeypatch):
    counter = make_counter(tmp_path, "intel-rapl:0", 1)

    def refuse(self, *_args, **_kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(counter), "read_text", refuse)
    reason = find_meter(tmp_path)
    assert "intel-rapl:0" in reason and reason.endswith("may only be read by root on this machine")


def test_counters_of_another_kind_say_so(tmp_path):
    make_counter(tmp_path, "intel-rapl:0", "much")
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").unlink()
    assert "cannot be read" in find_meter(tmp_path)
