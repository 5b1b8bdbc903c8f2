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
    """starter -> manager: start this node. `worker` is the dotted name of the class that works on a worker's loop
    ("transports.worker:Worker"); the settings name the ports that all workers share. `channel_fd`: the way to the main
    process, inherited. `orphans`: process id and incarnation of workers of managers before, who still have calls."""

    settings: Settings
    workers: int
    worker: str
    channel_fd: int
    control_port: int
    main_pid: int
    orphans: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PlanTaken:
    """manager -> starter: I am at work, and report to the main process from now on."""


@dataclass(frozen=True, slots=True)
class ManagerBorn:
    """manager -> main: watch these processes, me and Thespian's admin."""

    pid: int
    admin_pid: int


@dataclass(frozen=True, slots=True)
class WorkerBorn:
    """manager -> main: this process will have calls; adopt it if I am lost."""

    pid: int
    incarnation: str


@dataclass(frozen=True, slots=True)
class NodeUp:
    """manager -> main: every worker listens; on these `ports` the first one does."""

    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class NodeEnded:
    """starter, manager -> main: the node cannot start, is of no use any more, or, without a `code`, was drained."""

    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """main -> manager, each second: are you there?"""


@dataclass(frozen=True, slots=True)
class Seen:
    """manager -> main: I am, and Thespian's admin has or has not answered since I was last asked."""

    admin_answers: bool


@dataclass(frozen=True, slots=True)
class DrainNode:
    """main, operator -> manager: take no more calls, let those that run end within the limit, then end."""

    limit_s: float


@dataclass(frozen=True, slots=True)
class EndNode:
    """main -> manager: end the calls that run now, with their records written, then end."""


@dataclass(frozen=True, slots=True)
class Reload:
    """main -> manager: these settings from now on; the workers get them as the question `reload`."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class StartWorker:
    """manager -> worker: you are this worker of the plan; I am the process `manager_pid`."""

    number: int
    incarnation: str
    plan: NodePlan
    manager_pid: int


@dataclass(frozen=True, slots=True)
class WorkerUp:
    """worker -> manager: I listen on these ports."""

    incarnation: str
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """worker -> manager: I cannot start, and this is why."""

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
RELOAD = "reload"  # the question with which a worker gets other settings
