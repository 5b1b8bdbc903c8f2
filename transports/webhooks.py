"""Carriers' webhooks: a call comes in, and its status changes."""

from __future__ import annotations

from datetime import UTC, datetime

from store.records import DEFAULT_PROJECT_ID, EventRow
from transports.carriers import Answer, CarrierSpec, carrier
from transports.gate import GateClosed, RateLimited
from transports.web import Handler, context_id


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
        self.check_signature(spec)
        try:
            answer = await self._answer(spec, assistant_id)
        except GateClosed as error:
            if spec.refusal is None:
                raise
            self.log_exception(type(error), error, None)
            answer = spec.refusal
        self.set_header("Content-Type", answer.content_type)
        self.finish(answer.body)

    post = get

    async def _answer(self, spec: CarrierSpec, assistant_id: str) -> Answer:
        key = self._key
        services, run = self.services, self.services.database.run
        assistant = await run(services.assistants.get, assistant_id, key.project_id if key else DEFAULT_PROJECT_ID)
        call = spec.incoming(self.webhook_request(), services.settings)
        services.gate.check()
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
    """`POST /v1/talk/{provider}/ctx/{contextId}/event`: a carrier's status callback."""

    def most_body_bytes(self) -> int:
        return self.services.settings.limits.body_bytes

    async def check(self) -> None:
        self._identity = context_id(self.path_args[1])
        self._key = await self.authenticate(carrier(self.path_args[0]), knows_context=True)

    async def post(self, provider: str, identity: str) -> None:
        spec = carrier(provider)
        self.check_signature(spec)
        services, run = self.services, self.services.database.run
        context = await run(services.contexts.get, context_id(identity), spec.name)
        data = spec.event(self.webhook_request())
        row = EventRow(context.conversation_id, "carrier_status", datetime.now(UTC), data)
        await run(services.conversations.write, [row])
        self.set_status(204)
        self.finish()
