"""Carriers' webhooks: a call comes in, and its status changes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from store.errors import StoreUnavailable
from store.records import DEFAULT_PROJECT_ID, CarrierEvent
from transports.carriers import Answer, CarrierSpec, carrier
from transports.gate import GateClosed, RateLimited
from transports.web import Handler, context_id

ASK_S = 1.0  # a carrier need not wait longer for what can be settled without it


class CallWebhook(Handler):
    """`GET|POST /v1/talk/{provider}/call/{assistantId}`: answers with where the audio shall go.

    Asked twice for the same call of the carrier it gives the same answer. While there is no place for a call, the
    carrier gets its own refusal, or a 503 if it has none.
    """

    def most_body_bytes(self) -> int:
        return self.services.settings.limits.body_bytes if self.request.method == "POST" else 0

    async def check(self) -> None:
        await super().check()
        spec = carrier(self.path_args[0])
        self.provider, self.silent_errors = spec.name, spec.silent_errors
        self._key = await self.authenticate(spec)

    async def get(self, provider: str, assistant_id: str) -> None:
        spec = carrier(provider)
        self.whole_body()
        self.check_signature(spec)
        try:
            answer = await self._answer(spec, assistant_id)
        except GateClosed as error:
            if spec.refusal is None:
                raise
            self.log_exception(type(error), error, None)
            self.give_reason(str(error))
            answer = spec.refusal
        self.set_header("Content-Type", answer.content_type)
        self.finish(answer.body)

    post = get

    async def _answer(self, spec: CarrierSpec, assistant_id: str) -> Answer:
        key = self._key
        services, run = self.services, self.services.database.run
        assistant = await run(services.assistants.get, assistant_id, key.project_id if key else DEFAULT_PROJECT_ID)
        call = spec.incoming(self.webhook_request(), services.settings)
        services.gate.announce()
        await self._check_rate(f"key {key.id}" if key else f"carrier {spec.name}")
        context = await run(
            services.contexts.open_context,
            assistant=assistant,
            provider=spec.name,
            caller=call.caller,
            callee=call.callee,
            provider_call_id=call.provider_call_id,
            api_key_id=key.id if key else None,
        )
        services.metrics.call_set_up(spec.name)
        return spec.answer(context, services.settings.public_host)

    async def _check_rate(self, who: str) -> None:
        limit = self.services.settings.limits.calls_per_minute
        if limit and not await self.services.shared.allow(f"calls of {who}", limit, 60.0):
            raise RateLimited(f"LIMITS__CALLS_PER_MINUTE = {limit}: {who} starts calls faster than that")


class EventWebhook(Handler):
    """`POST /v1/talk/{provider}/ctx/{contextId}/event`: a carrier's status callback.

    It goes through the ledger, so it is kept also while the database is away.
    """

    def most_body_bytes(self) -> int:
        return self.services.settings.limits.body_bytes

    async def check(self) -> None:
        self._identity = context_id(self.path_args[1])
        self._key = await self.authenticate(carrier(self.path_args[0]), knows_context=True)

    async def post(self, provider: str, identity: str) -> None:
        spec = carrier(provider)
        self.whole_body()
        self.check_signature(spec)
        asked, services = await self._is_known(spec), self.services
        if data := spec.event(self.webhook_request()):
            services.callback_bound.admit(self._identity, asked=asked)
            services.record(CarrierEvent(str(self._identity), spec.name, datetime.now(UTC), data))
        self.set_status(204)
        self.finish()

    async def _is_known(self, spec: CarrierSpec) -> bool:
        """Whether the database could be asked; raises what it has against this callback. The ledger asks it again."""
        services, project = self.services, self._key.project_id if self._key else None
        try:
            async with asyncio.timeout(ASK_S):
                await services.database.run(services.callbacks.check, self._identity, spec.name, project)
        except (StoreUnavailable, TimeoutError):
            return False
        return True
