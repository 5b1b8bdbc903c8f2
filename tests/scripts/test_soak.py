"""The soak counts what a server holds, and says what it has not given back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.census import Census, take
from scripts.child_server import free_port
from scripts.operator_client import OperatorClient

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak"
CENSUS = Census(rss_mb=100.0, descriptors=30, processes=2, threads=7, actors=3, timers=0, tasks=1)


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=120)


def test_every_kind_of_call_is_held_and_all_is_counted() -> None:
    done = soak("--calls", "20", "--first", "10", "--concurrency", "10", "--long", "1", "--workers", "1", "--json")
    assert done.stderr == "" and done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["failures"] == {}
    assert len(found["calls"]) == 10 and set(found["calls"].values()) == {2}
    before, first, after = found["before"], found["after_first"], found["after_all"]
    assert before["rss_mb"] > 50 and before["processes"] >= 1 and before["actors"] >= 2
    for name in ("actors", "timers", "tasks", "processes"):
        assert before[name] == first[name] == after[name], name
    assert done.returncode == (1 if found["grown"] else 0)


@pytest.mark.parametrize(
    ("changed", "grown"),
    [
        ({}, []),
        ({"rss_mb": 110.0}, []),
        ({"rss_mb": 110.1}, ["rss_mb"]),
        ({"descriptors": 31, "tasks": 2}, ["descriptors", "tasks"]),
        ({"descriptors": 29, "rss_mb": 50.0, "actors": 0}, []),
        ({"actors": None}, []),
        ({"actors": 4, "timers": 1, "threads": 8, "processes": 3}, ["processes", "threads", "actors", "timers"]),
    ],
)
def test_what_is_above_is_grown(changed: dict[str, float | None], grown: list[str]) -> None:
    assert replace(CENSUS, **changed).grown(CENSUS, 10.0) == grown
    assert CENSUS.grown(replace(CENSUS, actors=None), 10.0) == []


def test_a_process_is_counted_with_its_descendants() -> None:
    alone = take(os.getpid(), None)
    shell = "sleep 60 & echo started; wait"
    with subprocess.Popen(["sh", "-c", shell], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None and child.stdout.readline() == b"started\n"
        both = take(os.getpid(), None)
        os.killpg(child.pid, 9)
    assert both.processes == alone.processes + 2 and both.threads >= alone.threads + 2
    assert both.descriptors > alone.descriptors and both.rss_mb > alone.rss_mb
    assert (alone.actors, alone.timers, alone.tasks) == (None, None, None)


def test_a_node_that_does_not_answer_has_no_actors_to_count() -> None:
    found = take(os.getpid(), OperatorClient(f"http://127.0.0.1:{free_port(0)}", "token"))
    assert found.actors is None and found.descriptors > 0


@pytest.mark.parametrize("wrong", [("--calls", "0"), ("--first", "9", "--calls", "9"), ("--concurrency", "0")])
def test_wrong_numbers_are_named(wrong: tuple[str, ...]) -> None:
    done = soak(*wrong)
    assert done.returncode == 2 and wrong[0] in done.stderr and done.stdout == ""
