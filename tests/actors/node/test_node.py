"""A node that cannot even begin."""

from __future__ import annotations

import errno
import os

import pytest

from actors.node.node import Blueprint, Node, NoProcess
from config.settings import load_settings


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_without_a_process_it_is_told_which_limit_it_may_be(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fork() -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(NoProcess, match=r"no process can be started: .*: a limit on processes, or memory"):
        Node(Blueprint(load_settings({"NODE__CONTROL_PORT": "0"}), 1, "worker:Worker", b"secret"), {})
