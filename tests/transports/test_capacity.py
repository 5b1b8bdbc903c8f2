"""What a limit of descriptors carries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from transports.capacity import PER_CALL, RESERVE, Capacity


@pytest.mark.parametrize("descriptors", [256, 1024, 4096, 65_536])
def test_all_that_may_be_taken_fits_the_limit(descriptors: int) -> None:
    capacity = Capacity(descriptors)
    calls, arrivals = capacity.calls(10**6), capacity.arrivals(10**6)
    assert calls > 0 and arrivals > 0
    assert RESERVE + calls * PER_CALL + arrivals <= descriptors


def test_what_is_wanted_is_not_exceeded() -> None:
    assert Capacity(65_536).calls(400) == 400 and Capacity(65_536).arrivals(2048) == 2048


@pytest.mark.parametrize("calls", [1, 7, 400, 5000])
def test_the_limit_that_it_names_is_enough(calls: int) -> None:
    assert Capacity(Capacity.descriptors_for(calls)).calls(10**6) >= calls
    assert Capacity(Capacity.descriptors_for(calls) - PER_CALL * 2).calls(10**6) < calls


def test_below_the_reserve_there_is_nothing() -> None:
    assert Capacity(64).calls(400) == 0 and Capacity(64).arrivals(10) == 0


@pytest.mark.parametrize(("soft", "hard", "then"), [(100, 300, 300), (300, 300, 300)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int, then: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from transports.capacity import raise_descriptor_limit;"
        "print(raise_descriptor_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(then), str(then), str(hard)]
