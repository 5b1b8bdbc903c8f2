"""Creating, telling, asking, order, copies, threads, and the end of it all."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import uvloop
from thespian.actors import (
    Actor,
    ActorExitRequest,
    ActorSystemFailure,
    InvalidActorSpecification,
    NoCompatibleSystemForActor,
    PoisonMessage,
    Thespian_ActorStatus,
    Thespian_StatusReq,
    Thespian_SystemStatus,
    requireCapability,
)

from actors.loop.errors import WouldBlock, WrongThread
from actors.loop.local import Local
from actors.loop.system import LoopSystem

from .cast import Do, Parent, Player, Recorder, Take, Undertaker, settle


class Broken(Player):
    def __init__(self) -> None:
        raise RuntimeError("cannot start")


class Clumsy(Actor):  # type: ignore[misc]
    def receiveMessage(self, message: Any, sender: Any) -> None:
        if message == "fail":
            raise ValueError("dropped it")
        if message == "leave":
            raise SystemExit(3)
        self.send(sender, "still here")


@requireCapability("wings")
class Winged(Player):
    pass


async def test_answers_a_question(system: LoopSystem) -> None:
    player = system.createActor(Player)
    assert await system.ask_async(player, "to be?", 1) == "to be?"


async def test_simultaneous_questions_get_their_own_answers(system: LoopSystem) -> None:
    players = [system.createActor(Player) for _ in range(20)]
    answers = await asyncio.gather(*(system.ask_async(p, n, 1) for n, p in enumerate(players)))
    assert answers == list(range(20))


async def test_an_unanswered_question_times_out_and_leaves_nothing(system: LoopSystem) -> None:
    recorder = system.createActor(Recorder)
    system.tell(recorder, Take(Local([])))
    known = len(system._base.addresses.live)
    with pytest.raises(TimeoutError, match="no answer to str"):
        await system.ask_async(recorder, "hello?", 0.01)
    assert len(system._base.addresses.live) == known


async def test_messages_keep_their_order_and_identity(system: LoopSystem) -> None:
    recorder, record, sent = system.createActor(Recorder), [], [[n] for n in range(2000)]
    system.tell(recorder, Take(Local(record)))
    for message in sent:
        system.tell(recorder, message)
    await system.ask_async(recorder, "done?", 1)
    assert all(got is message for got, message in zip(record, sent, strict=True))


async def test_mailboxes_take_turns(system: LoopSystem) -> None:
    record: list[Any] = []
    recorders = [system.createActor(Recorder) for _ in range(2)]
    for recorder in recorders:
        system.tell(recorder, Take(Local(record)))
    for recorder, name in zip(recorders, "ab", strict=True):
        for _ in range(3):
            system.tell(recorder, name)
    await settle()
    assert record == ["a", "b"] * 3


async def test_sockets_and_timers_get_their_turn_under_load(system: LoopSystem) -> None:
    """Two actors that never stop talking do not keep the loop to themselves."""

    def rally(actor: Player, sender: Any) -> None:
        actor.send(actor.myAddress, Do(rally))

    system.tell(system.createActor(Player), Do(rally))
    await asyncio.wait_for(asyncio.sleep(0.01), 1)


async def test_pickle_mode_passes_copies(hosted: LoopSystem) -> None:
    system = LoopSystem(asyncio.get_running_loop(), message_copy="pickle")
    player, message = system.createActor(Player), ["shared", Local(object())]
    answer = await system.ask_async(player, message, 1)
    assert answer is not message
    assert answer == message  # a Local is the same one
    with pytest.raises((pickle.PicklingError, AttributeError)):
        system.tell(player, lambda: None)
    address = await system.ask_async(player, player, 1)
    assert address is player
    await system.shutdown_async()


async def test_an_address_that_comes_out_of_a_pickle_later_is_dead(system: LoopSystem) -> None:
    player = system.createActor(Player)
    pickled = pickle.dumps(player)
    assert pickle.loads(pickled) is player
    system.tell(player, ActorExitRequest())
    await settle()
    revenant = pickle.loads(pickled)
    assert revenant == player
    system.tell(revenant, "boo")
    assert system.dead_letters == 1


async def test_a_failure_is_retried_once_then_returned_as_poison(
    system: LoopSystem, caplog: pytest.LogCaptureFixture
) -> None:
    clumsy = system.createActor(Clumsy)
    answer = await system.ask_async(clumsy, "fail", 1)
    assert isinstance(answer, PoisonMessage)
    assert answer.poisonMessage == "fail"
    assert "dropped it" in answer.details
    assert await system.ask_async(clumsy, "?", 1) == "still here"
    assert [info.failed for info in system.actors()] == [1]
    assert "failed on str, trying once more" in caplog.text


async def test_sys_exit_ends_the_actor_only(system: LoopSystem) -> None:
    clumsy = system.createActor(Clumsy)
    system.tell(clumsy, "leave")
    await settle()
    assert system.actors() == []


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("Unqualified", InvalidActorSpecification),
        ("no.such.module.Actor", ImportError),
        ("actors.loop.actor.NoSuchClass", InvalidActorSpecification),
        ("actors.loop.mailbox.log", InvalidActorSpecification),
        (Broken, RuntimeError),
        (Winged, NoCompatibleSystemForActor),
    ],
)
async def test_creation_from_outside_raises(system: LoopSystem, spec: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        system.createActor(spec)
    assert system.actors() == []


async def test_capabilities_permit_and_end_actors(system: LoopSystem) -> None:
    system.updateCapability("wings", True)
    winged, player = system.createActor(Winged), system.createActor(Player)
    system.updateCapability("wings", None)
    await settle()
    assert [info.address for info in system.actors()] == [player.name]
    assert winged.receiver is None


async def test_a_global_name_is_one_actor(system: LoopSystem) -> None:
    star = system.createActor(Player, globalName="star")
    assert system.createActor(Recorder, globalName="star") is star
    system.tell(star, ActorExitRequest())
    await settle()
    assert system.createActor(Player, globalName="star") != star


async def test_dead_letters_are_counted_and_handed_over(system: LoopSystem) -> None:
    undertaker, player = system.createActor(Undertaker), system.createActor(Player)
    await system.ask_async(undertaker, "start", 1)
    system.tell(player, ActorExitRequest())
    system.tell(player, "too late")
    await settle()
    system.tell(player, "even later")
    assert await system.ask_async(undertaker, "letters", 1) == [(player, "too late"), (player, "even later")]
    assert system.dead_letters == 2


async def test_status_of_actor_and_system(system: LoopSystem) -> None:
    player = system.createActor(Player, globalName="star")
    system.tell(player, Do(lambda actor, _: actor.wakeupAfter(60)))
    status = await system.ask_async(player, Thespian_StatusReq(), 1)
    assert isinstance(status, Thespian_ActorStatus)
    assert len(status.pendingWakeups) == 1
    status = await system.ask_async(system.systemAddress, Thespian_StatusReq(), 1)
    assert isinstance(status, Thespian_SystemStatus)
    assert status.childActors == [player]
    assert status.globalActors == {"star": player}


async def test_actor_info(system: LoopSystem) -> None:
    parent = system.createActor(Player)

    def work(actor: Player, sender: Any) -> None:
        actor.send(actor.createActor(Player), Do(lambda child, parent: child.send(parent, Do(lambda *_: None))))
        actor.call_later(60, "never")
        actor.start_task(asyncio.sleep(60), "sleeper")

    system.tell(parent, Do(work))
    await settle()
    info, child = system.actors()
    assert (info.class_name, info.parent, info.received, info.timers, info.tasks) == ("Player", None, 2, 1, 1)
    assert child.parent == info.address == parent.name
    assert info.busy_s > 0
    assert (info.depth, info.max_depth) == (0, 1)
    assert abs((datetime.now(UTC) - info.created_at).total_seconds()) < 10


async def test_a_slow_handler_is_logged_without_its_message(
    system: LoopSystem, caplog: pytest.LogCaptureFixture
) -> None:
    def slow(actor: Player, sender: Any) -> None:
        threading.Event().wait(0.06)
        actor.send(sender, "secret")

        raise SystemExit

    await system.ask_async(system.createActor(Player), Do(slow), 1)
    (record,) = [r for r in caplog.records if "slow handler" in r.message]
    assert "slow handler: Player" in record.message  # named even though it exited
    assert record.message.endswith("ms for Do")


# --- threads -----------------------------------------------------------------------------------------------------


async def test_blocking_calls_on_the_loop_are_refused(system: LoopSystem) -> None:
    player = system.createActor(Player)
    for blocking in (lambda: system.ask(player, "?", 1), lambda: system.listen(0), system.shutdown):
        with pytest.raises(WouldBlock, match="ask_async"):
            blocking()


async def test_construction_on_another_thread_is_refused() -> None:
    with pytest.raises(WrongThread):
        await asyncio.to_thread(LoopSystem, asyncio.get_running_loop())


def test_ask_tell_listen_from_another_thread(hosted: LoopSystem) -> None:
    player = hosted.createActor(Player)
    assert hosted.ask(player, "ask", 1) == "ask"
    hosted.tell(player, "tell")
    assert hosted.listen(1) == "tell"
    assert hosted.listen(0) is None


def test_private_contexts_do_not_mix(hosted: LoopSystem) -> None:
    player = hosted.createActor(Player)
    wrong: list[Any] = []

    def converse(number: int) -> None:
        with hosted.private() as own:
            for turn in range(50):
                answer = own.ask(player, (number, turn), 5)
                if answer != (number, turn):
                    wrong.append(answer)

    threads = [threading.Thread(target=converse, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_actor_sends_from_a_thread_of_its_own(hosted: LoopSystem) -> None:
    def work(actor: Player, sender: Any) -> None:
        threading.Thread(target=actor.send, args=(sender, "from a thread")).start()

    assert hosted.ask(hosted.createActor(Player), Do(work), 1) == "from a thread"


def test_two_systems_talk(hosted: LoopSystem) -> None:
    other = LoopSystem()
    near, far = hosted.createActor(Player), other.createActor(Player)

    def relay(actor: Player, sender: Any) -> None:
        actor.send(far, Do(lambda remote, _: remote.send(sender, "far away")))

    assert hosted.ask(near, Do(relay), 1) == "far away"
    other.shutdown()
    hosted.tell(far, "anyone?")
    assert hosted.ask(near, "still here", 1) == "still here"


async def test_a_hosted_system_answers_another_loop(hosted: LoopSystem) -> None:
    player = hosted.createActor(Player)
    assert await hosted.ask_async(player, "hello", 1) == "hello"


# --- the end -----------------------------------------------------------------------------------------------------


async def test_shutdown_ends_children_before_their_parents(system: LoopSystem) -> None:
    exits: list[str] = []
    system.tell(system.createActor(Parent), ("grow", 2, Local(exits)))
    await settle()
    assert len(system.actors()) == 3
    await system.shutdown_async()
    assert exits == [
        "depth 2 asked",
        "depth 1 asked",
        "depth 0 asked",
        "depth 1 lost its child",
        "depth 2 lost its child",
    ]


async def test_shutdown_is_idempotent_and_final(system: LoopSystem) -> None:
    player = system.createActor(Player)
    await asyncio.gather(system.shutdown_async(), system.shutdown_async())
    await system.shutdown_async()
    with pytest.raises(ActorSystemFailure):
        await system.ask_async(player, "anyone?", 1)
    assert system._base.addresses.live == {}


async def test_shutdown_cancels_tasks_and_waits_for_their_cleanup(system: LoopSystem) -> None:
    cleaned = []

    async def linger() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    system.tell(system.createActor(Player), Do(lambda actor, _: actor.start_task(linger(), "lingering")))
    await settle()
    await system.shutdown_async()
    assert cleaned == [True]


async def test_an_actor_shuts_the_system_down(system: LoopSystem) -> None:
    system.createActor(Player)
    system.tell(system.createActor(Player), Do(lambda actor, _: actor.actorSystemShutdown()))
    await settle()
    assert system.actors() == []
    with pytest.raises(ActorSystemFailure):
        system.createActor(Player)


async def test_orphans_end_with_the_system(system: LoopSystem) -> None:
    parent = system.createActor(Player)
    system.tell(parent, Do(lambda actor, _: actor.createActor(Player)))
    system.tell(parent, ActorExitRequest(recursive=False))
    await settle()
    assert len(system.actors()) == 1
    await system.shutdown_async()
    assert system.actors() == []


async def test_dead_actors_leave_no_cycles(system: LoopSystem) -> None:
    """What an actor held is freed when it dies, without a run of the cycle collector."""

    def work(actor: Player, sender: Any) -> None:
        actor.createActor(Player)
        actor.call_later(60, "never").cancel()
        actor.call_later(60, "never")

    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            player = system.createActor(Player)
            system.tell(player, Do(work))
            system.tell(player, ActorExitRequest())
        await settle(400)
        del player
        assert system.actors() == []
        assert not [o for o in gc.get_objects() if isinstance(o, Player)]
    finally:
        gc.enable()


def test_on_uvloop() -> None:
    async def run() -> None:
        system = LoopSystem(asyncio.get_running_loop())
        player, fired = system.createActor(Player), asyncio.get_running_loop().create_future()
        start = asyncio.get_running_loop().time()

        def work(actor: Player, sender: Any) -> None:
            actor.call_later(0.0104, Do(lambda *_: fired.set_result(None)))

        system.tell(player, Do(work))
        await asyncio.wait_for(fired, 1)
        assert asyncio.get_running_loop().time() - start >= 0.0104
        await system.shutdown_async()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
