"""A call's assistant: read and parsed once for each version, on the trip that claims its context."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import event

from config.assistant import AssistantConfig
from store.assistants import AssistantRepository
from store.errors import KeyRevoked
from tests.transports.front import SCRIPT, Site, uuid_in
from tests.transports.peers import Peer

MakeSite = Callable[..., Awaitable[Site]]


async def test_a_version_is_read_and_prepared_once(site: Site) -> None:
    prepared: list[AssistantConfig] = []
    versions, database = site.services.versions, site.services.database
    versions._prepare = prepared.append
    made = [await site.context("asterisk") for _ in range(3)]
    assert versions.known(made[0]) is None
    read: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: read.append(args[2]))
    for context in made:
        claimed = await site.services.claim(context.id, "asterisk", "127.0.0.1")
        assert versions.known(claimed) is prepared[0] and len(prepared) == 1
    assert sum("assistant_versions" in text for text in read) == 1
    await database.run(AssistantRepository(database).apply, AssistantConfig(**{**SCRIPT, "greeting": "Hello"}))
    newer = await site.context("asterisk")
    assert versions.known(newer) is None
    await site.services.claim(newer.id, "asterisk", "127.0.0.1")
    assert [config.greeting for config in prepared] == ["", "Hello"]
    assert versions.known(made[0]) is prepared[0]


async def test_a_few_versions_are_kept(site: Site) -> None:
    site.services.versions._most = 2
    database, made = site.services.database, []
    for number in range(4):
        await database.run(AssistantRepository(database).apply, AssistantConfig(**{**SCRIPT, "greeting": str(number)}))
        made.append(await site.context("asterisk"))
        await site.services.claim(made[-1].id, "asterisk", "127.0.0.1")
    assert [site.services.versions.known(context) is not None for context in made] == [False, False, True, True]


async def test_an_assistant_that_cannot_be_read_does_not_keep_its_context_from_being_claimed(site: Site) -> None:
    context = await site.context("asterisk")
    with site.services.database.write() as session:
        session.connection().exec_driver_sql("UPDATE assistant_versions SET config = '{}'")
    claimed = await site.services.claim(context.id, "asterisk", "127.0.0.1")
    assert claimed.id == context.id and site.services.versions.known(claimed) is None


async def test_the_contexts_of_a_revoked_key_do_not_connect(site: Site) -> None:
    answer = await site.fetch("/v1/talk/twilio/call/1?From=%2B15550100", headers=site.keyed)
    asterisk = await site.fetch("/v1/talk/asterisk/call/1?from=", headers=site.keyed)
    await site.services.database.run(site.services.keys.revoke, 1)
    status, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{uuid_in(answer.body)}")
    async with asyncio.timeout(5):
        assert status == 401 and KeyRevoked.code.encode() in await peer.reader.readuntil(b"}}")
    await peer.close()
    audio = await Peer.connect(site.audiosocket.port)
    audio.send(b"\x01\x00\x10" + bytes.fromhex(asterisk.body.decode().replace("-", "")))
    assert await audio.rest() == b"\0\0\0" and site.switchboard.calls.empty()
    await audio.close()
