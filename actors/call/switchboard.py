"""The parent of a worker's calls: each media connection becomes a `Call` here."""

from __future__ import annotations

import logging
from typing import Any

from thespian.actors import ActorAddress, ChildActorExited

from actors.call.member import Dispatcher
from actors.call.supervisor import Call
from actors.messages import AllEnded, CallEnded, HangUp, HangUpAll, StartCall

log = logging.getLogger(__name__)


class Switchboard(Dispatcher):
    """Calls are temporary children: one that ends is not started again, whatever the reason."""

    role = "switchboard"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[ActorAddress] = []
        self._waiting: list[ActorAddress] = []  # for the last call to end

    def receiveMsg_StartCall(self, message: StartCall, sender: ActorAddress) -> None:
        call = self.createActor(Call)
        self.calls.append(call)
        log.info("call %s: started by %s", message.context.id, message.context.provider)
        self.send(call, message)

    def receiveMsg_HangUpAll(self, message: HangUpAll, sender: ActorAddress) -> None:
        for call in self.calls:
            self.send(call, HangUp(message.reason, message.last_words))
        self._waiting.append(sender)
        self._tell_if_empty()

    def receiveMsg_CallEnded(self, message: CallEnded, sender: ActorAddress) -> None:
        end = message.termination
        log.info("call %s: ended, %s (%s)", message.context_id, end.result.value, end.reason)

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, sender: ActorAddress) -> None:
        self.calls = [call for call in self.calls if call != message.childAddress]
        self._tell_if_empty()

    def inspect(self) -> dict[str, Any]:
        """What operators see of it."""
        return {"calls": len(self.calls)}

    def _tell_if_empty(self) -> None:
        while self._waiting and not self.calls:
            self.send(self._waiting.pop(), AllEnded())
