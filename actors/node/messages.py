"""What crosses the processes of a node: frozen, picklable, one line each: from -> to, meaning.

A worker is named by its number, from 0, and its process by its incarnation ("callboard/0/<uuid>"): addresses of the
control plane are TCP ports and come back, incarnations never do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.settings import Settings


@dataclass(frozen=True, slots=True)
class NodePlan:
    """main -> manager: start this node and report to me. `worker` is the dotted name of the class that works on a
    worker's loop ("transports.worker:Worker"); the settings name the ports that all workers share. `verdict_fd`: the
    pipe for the node's last word, which main's descendants have inherited."""

    settings: Settings
    workers: int
    worker: str
    verdict_fd: int
    control_port: int


@dataclass(frozen=True, slots=True)
class NodeUp:
    """manager -> main: every worker listens. `pid` is the manager's, `ports` what the first worker listens on."""

    pid: int
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class DrainNode:
    """main, operator -> manager: take no more calls, let those that run end within the limit, then end."""

    limit_s: float


@dataclass(frozen=True, slots=True)
class StartWorker:
    """manager -> worker: you are this worker of the plan."""

    number: int
    incarnation: str
    plan: NodePlan


@dataclass(frozen=True, slots=True)
class WorkerUp:
    """worker -> manager: I listen on these ports."""

    incarnation: str
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """worker -> manager -> main: I cannot start, and this is why."""

    incarnation: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """manager -> worker, each second: are you there?"""


@dataclass(frozen=True, slots=True)
class Pong:
    """worker -> manager: I am, and my loop was `loop_lag_ms` late when it was last looked at."""

    incarnation: str
    loop_lag_ms: float


@dataclass(frozen=True, slots=True)
class DrainWorker:
    """manager -> worker: let the calls that run end within the limit, and say goodbye to the others.

    With `refuse` new calls are refused as their carriers want it, until `EndWorker` comes: a listener that closed
    early would reset the connections that the kernel has given it. Without, the listeners are closed at once, so that
    the other workers of the same port get the calls, and the worker ends by itself."""

    limit_s: float
    reason: str
    refuse: bool


@dataclass(frozen=True, slots=True)
class WorkerDrained:
    """worker -> manager: no call is left; I go on refusing new ones."""

    incarnation: str


@dataclass(frozen=True, slots=True)
class EndWorker:
    """manager -> worker: no worker of the node has a call left; end."""


@dataclass(frozen=True, slots=True)
class WorkerLeaves:
    """worker -> manager: I am about to end of my own will, because of this: "drained", "watchdog" ..."""

    incarnation: str
    reason: str


@dataclass(frozen=True, slots=True)
class AskWorkers:
    """worker -> manager: put this question to every worker and tell me whom you have asked (`Asked`)."""

    request: int
    incarnation: str
    verb: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """manager -> worker: these workers will answer your question."""

    request: int
    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskManager:
    """worker -> manager: answer this yourself."""

    request: int
    incarnation: str
    verb: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """manager -> worker: answer this to `asker`, an address; it knows the question as `request` of `incarnation`."""

    request: int
    incarnation: str
    asker: object
    verb: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """whoever was asked -> asker; with an `error`, `value` is nothing."""

    request: int
    incarnation: str  # the asker's: an answer that reaches another process is dropped
    worker: int  # who answers; MANAGER is not a worker
    value: Any
    error: AnswerError | None = None


@dataclass(frozen=True, slots=True)
class AnswerError:
    """in an `Answer`: what went wrong, as the error's class said it."""

    code: str
    text: str
    http_status: int


MANAGER = -1
