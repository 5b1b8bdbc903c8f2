"""The HTTP side: who may start calls, what carriers are answered, what is refused and how."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4
from xml.etree import ElementTree

import pytest
from twilio.request_validator import RequestValidator

from store.callbacks import MOST_CALLBACKS, CallbackRepository
from store.errors import StoreUnavailable
from store.records import CallContext, CarrierEvent, ConversationEnd, LedgerRow, MessageRow, MetricRow
from store.tables import CallContextTable
from tests.transports.front import FORM, Site, uuid_in
from tests.transports.peers import Peer

MakeSite = Callable[..., Awaitable[Site]]
CALL = "/v1/talk/twilio/call/reception"
TOKEN = "callboard-test-token"
SIGNED = {"twilio": {"auth_token": TOKEN}}


def sign(url: str, form: dict[str, str] | None = None) -> dict[str, str]:
    return {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(url, form or {})}


# --- Twilio ------------------------------------------------------------------------------------------------------


async def test_twilio_is_answered_with_twiml(site: Site) -> None:
    answer = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
    assert answer.code == 200 and answer.headers["Content-Type"] == "text/xml"
    assert answer.body.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    stream = ElementTree.fromstring(answer.body).find("Connect/Stream")
    context = uuid_in(answer.body)
    base = f"voice.example.test/v1/talk/twilio/ctx/{context}"
    assert stream is not None and stream.attrib == {
        "url": f"wss://{base}",
        "name": str(context),
        "statusCallback": f"https://{base}/event",
        "statusCallbackMethod": "POST",
    }
    assert [parameter.attrib for parameter in stream] == [{"name": "ctx", "value": str(context)}]
    assert site.key.encode() not in answer.body
    found = await site.services.database.run(site.services.contexts.get, context, "twilio")
    assert (found.caller, found.callee, found.provider_call_id) == ("+15550100", "+15550199", FORM["CallSid"])


async def test_a_get_brings_its_fields_in_the_query_and_the_assistants_number_will_do(site: Site) -> None:
    answer = await site.fetch(f"/v1/talk/twilio/call/1?{urlencode(FORM)}&x-api-key={site.key}")
    assert answer.code == 200
    found = await site.services.database.run(site.services.contexts.get, uuid_in(answer.body), "twilio")
    assert found.caller == "+15550100"


async def test_a_repeated_webhook_is_the_same_call(site: Site) -> None:
    post = {"method": "POST", "body": urlencode(FORM), "headers": site.keyed}
    answers = await asyncio.gather(*(site.fetch(CALL, **post) for _ in range(5)))
    assert len({answer.body for answer in answers}) == 1 and answers[0].code == 200
    other = await site.fetch(CALL, method="POST", body=urlencode({**FORM, "CallSid": "CA2"}), headers=site.keyed)
    assert other.body != answers[0].body


async def test_a_signature_will_do_instead_of_a_key(make_site: MakeSite) -> None:
    site = await make_site(**SIGNED)
    form = {**FORM, "CallerCity": "", "CallerName": "Zoë & Söhne +1"}
    headers = sign(f"https://voice.example.test{CALL}?x=1", form)
    answer = await site.fetch(f"{CALL}?x=1", method="POST", body=urlencode(form), headers=headers)
    assert answer.code == 200
    changed = urlencode({**form, "From": "+15550666"})
    forged = await site.fetch(f"{CALL}?x=1", method="POST", body=changed, headers=headers)
    assert forged.code == 403 and error_of(forged.body) == "wrong_signature"
    unsigned = await site.fetch(CALL, method="POST", body=urlencode(form))
    assert unsigned.code == 401 and error_of(unsigned.body) == "missing_signature"
    keyed = await site.fetch(CALL, method="POST", body=urlencode(form), headers=site.keyed)
    assert keyed.code == 200


async def test_a_signature_that_cannot_be_checked_is_no_authentication(site: Site) -> None:
    headers = sign(f"https://voice.example.test{CALL}", FORM)
    assert (await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=headers)).code == 401


async def test_what_is_signed_is_the_address_that_the_carrier_was_given_whatever_the_request_says(
    make_site: MakeSite,
) -> None:
    site = await make_site(**SIGNED)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    for scheme, status in (("https", 200), ("wss", 403)):
        headers = sign(f"{scheme}://voice.example.test{CALL}", FORM) | upgrade
        answer = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=headers)
        assert answer.code == status
    headers = sign(f"wss://voice.example.test{CALL}") | upgrade  # signed without its form, as an upgrade is
    assert (await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=headers)).code == 403
    headers = sign(f"https://voice.example.test{CALL}?{urlencode(FORM)}") | upgrade
    assert (await site.fetch(f"{CALL}?{urlencode(FORM)}", headers=headers)).code == 200


async def test_another_account_is_refused(make_site: MakeSite) -> None:
    site = await make_site(twilio={"account_sid": "AC" + "0" * 32})
    answer = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
    assert answer.code == 403 and error_of(answer.body) == "wrong_account"
    mine = urlencode({**FORM, "AccountSid": "AC" + "0" * 32})
    assert (await site.fetch(CALL, method="POST", body=mine, headers=site.keyed)).code == 200


async def test_open_mode_needs_nothing_but_refuses_a_wrong_key(make_site: MakeSite) -> None:
    site = await make_site(auth={"mode": "open"})
    assert (await site.fetch(CALL, method="POST", body=urlencode(FORM))).code == 200
    wrong = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers={"x-api-key": "rpd-wrong"})
    assert wrong.code == 401


# --- Asterisk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "caller"), [("from=+15550100", "+15550100"), ("from=%2B15550100", "+15550100"), ("from=", "")]
)
async def test_asterisk_is_answered_with_a_bare_uuid(site: Site, query: str, caller: str) -> None:
    answer = await site.fetch(f"/v1/talk/asterisk/call/reception?{query}", headers=site.keyed)
    assert answer.code == 200 and answer.headers["Content-Type"] == "text/plain" and len(answer.body) == 36
    found = await site.services.database.run(site.services.contexts.get, UUID(answer.body.decode()), "asterisk")
    assert (found.provider, found.caller) == ("asterisk", caller)


async def test_asterisk_may_post(site: Site) -> None:
    answer = await site.fetch(
        "/v1/talk/asterisk/call/1", method="POST", body="from=+15550100&id=1700000000.1", headers=site.keyed
    )
    found = await site.services.database.run(site.services.contexts.get, UUID(answer.body.decode()), "asterisk")
    assert (found.caller, found.provider_call_id) == ("+15550100", "1700000000.1")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("reception", 400),
        ("nobody?from=", 404),
        ("reception?from=&x-api-key=rpd-wrong", 401),
        ("reception?from=%00", 400),
    ],
)
async def test_asterisk_would_take_the_text_of_an_error_for_a_uuid(site: Site, path: str, status: int) -> None:
    headers = {} if "x-api-key" in path else site.keyed
    answer = await site.fetch(f"/v1/talk/asterisk/call/{path}", headers=headers)
    assert (answer.code, answer.body) == (status, b"")


# --- refusals ----------------------------------------------------------------------------------------------------


def error_of(body: bytes) -> str:
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message"} and error["message"]
    return str(error["code"])


@pytest.mark.parametrize(
    ("method", "path", "form", "status", "code"),
    [
        ("POST", "/v1/talk/nobody/call/reception", FORM, 404, "unknown_provider"),
        ("POST", "/v1/talk/twilio/call/nobody", FORM, 404, "unknown_assistant"),
        ("POST", "/v1/talk/twilio/call/999", FORM, 404, "unknown_assistant"),
        ("POST", "/v1/talk/twilio/call/%00", FORM, 404, "unknown_assistant"),
        ("POST", CALL, {"CallSid": "CA1"}, 400, "missing_field"),
        ("POST", CALL, {"From": " "}, 400, "missing_field"),
        ("POST", CALL, {"From": "+1555\n0100"}, 400, "bad_field"),
        ("POST", CALL, {"From": "1" * 300}, 400, "bad_field"),
        ("POST", CALL, {"From": "+1", "CallSid": '"><Dial/>'}, 400, "bad_field"),
        ("POST", CALL, {str(i): "x" for i in range(300)}, 400, "bad_field"),
        ("POST", CALL, {"From": "x" * 70_000}, 413, "body_too_large"),
        ("PUT", CALL, FORM, 405, "method_not_allowed"),
        ("DELETE", "/healthz/", None, 405, "method_not_allowed"),
        ("GET", "/nowhere", None, 404, "not_found"),
        ("GET", "/v1/conversations/not-a-uuid", None, 400, "bad_context_id"),
        ("GET", "/v1/conversations/40325ec25efd4bd3805f53576e581d13", None, 400, "bad_context_id"),
        ("GET", "/v1/conversations/40325ec2-5efd-4bd3-805f-53576e581d13", None, 404, "unknown_context"),
        ("POST", "/v1/talk/twilio/ctx/40325ec2-5efd-4bd3-805f-53576e581d13/event", {}, 404, "unknown_context"),
        ("POST", "/v1/talk/twilio/ctx/x/event", {}, 400, "bad_context_id"),
    ],
)
async def test_refusals(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    form: dict[str, str] | None,
    status: int,
    code: str,
) -> None:
    body = None if form is None else urlencode(form)
    with caplog.at_level(logging.INFO):
        answer = await site.fetch(path, method=method, body=body, headers=site.keyed)
    assert answer.code == status and error_of(answer.body) == code
    assert answer.headers["Content-Type"] == "application/json"
    (record,) = caplog.records
    assert code in record.getMessage() and record.exc_info is None and site.key not in caplog.text


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "rpd-wrong"}, {"x-api-key": ""}, {"x-api-key": "ä" * 50}])
async def test_without_a_key_nothing_is_told(
    site: Site, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    for path in (CALL, "/v1/talk/twilio/call/nobody"):
        answer = await site.fetch(path, method="POST", body=urlencode(FORM), headers=headers)
        assert answer.code == 401 and error_of(answer.body) == "invalid_key"
    context = await site.context()
    assert (await site.fetch(f"/v1/conversations/{context.id}", headers=headers)).code == 401
    assert "rpd-wrong" not in caplog.text


async def test_a_revoked_key_is_refused_and_a_key_in_the_query_is_not_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.services.database.run(site.services.keys.revoke, 1)
    with caplog.at_level(logging.DEBUG):
        answer = await site.fetch(f"{CALL}?x-api-key={site.key}", method="POST", body=urlencode(FORM))
    assert answer.code == 401
    assert site.key not in caplog.text and "401" not in answer.body.decode()


async def test_the_database_is_away(site: Site) -> None:
    database = site.services.database
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE assistants RENAME TO gone")
    answer = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
    assert answer.code == 503 and error_of(answer.body) == "store_unavailable"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz/ HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000,
        b"POST /v1/talk/twilio/call/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /v1/talk/twilio/call/1 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS on a plain port
    ],
)
async def test_hostile_http_ends_its_connection_only(site: Site, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    peer = await Peer.connect(site.port)
    peer.send(sent)
    received = await peer.rest()
    await peer.close()
    assert b" 200 " not in received and "Traceback" not in caplog.text
    assert (await site.fetch("/healthz/")).code == 200


# --- events, transcripts, health ---------------------------------------------------------------------------------


async def test_events_and_the_transcript(site: Site) -> None:
    context = await site.context()
    event = urlencode({"StreamEvent": "stream-error", "StreamError": "x" * 500, "From": "+15550100", "Digits": "1234"})
    answer = await site.fetch(f"/v1/talk/twilio/ctx/{context.id}/event", method="POST", body=event)
    assert (answer.code, answer.body) == (204, b"")
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    number = context.conversation_id
    rows = [
        MessageRow(number, 1, "assistant", "Hello", now),
        MetricRow(number, 1, "turn_latency_ms", 12.5, now),
        ConversationEnd(number, "success", "caller_hung_up", "", now),
    ]
    await site.services.database.run(site.services.conversations.write, rows)
    answer = await site.fetch(f"/v1/conversations/{context.id}", headers=site.keyed)
    found = json.loads(answer.body)
    at = "2026-01-02T03:04:05+00:00"
    assert found["context_id"] == str(context.id) and found["status"] == "ended" and found["caller"] == "+15550100"
    message = {"turn": 1, "role": "assistant", "text": "Hello", "at": at, "interrupted": False, "began_at": None}
    assert found["messages"] == [message]
    assert found["metrics"] == [{"turn": 1, "name": "turn_latency_ms", "value": 12.5, "at": at}]
    ending = {"result": "success", "reason": "caller_hung_up", "detail": "", "at": at, "text": "the caller hung up"}
    assert found["termination"] == ending
    (carrier_status,) = found["events"]
    assert carrier_status["name"] == "carrier_status"
    assert carrier_status["data"] == {"StreamEvent": "stream-error", "StreamError": "x" * 200}


async def test_events_of_another_provider_or_without_their_signature_are_refused(make_site: MakeSite) -> None:
    site = await make_site(**SIGNED)
    context = await site.context()
    path = f"/v1/talk/twilio/ctx/{context.id}/event"
    form = {"StreamEvent": "stream-started"}
    assert (await site.fetch(path, method="POST", body=urlencode(form))).code == 401
    headers = sign(f"https://voice.example.test{path}", form)
    assert (await site.fetch(path, method="POST", body=urlencode(form), headers=headers)).code == 204
    other = await site.fetch(path.replace("twilio", "asterisk"), method="POST", body="")
    assert other.code == 404


async def test_a_conversation_of_another_project_is_not_there(site: Site) -> None:
    context = await site.context()
    with site.services.database.write() as session:
        row = session.get_one(CallContextTable, context.id)
        session.connection().exec_driver_sql(
            "INSERT INTO projects (id, organisation_id, name, created_at)"
            " SELECT 77, organisation_id, 'other', created_at FROM projects"
        )
        row.project_id = 77
    answer = await site.fetch(f"/v1/conversations/{context.id}", headers=site.keyed)
    assert answer.code == 404 and error_of(answer.body) == "unknown_context"


# --- status callbacks --------------------------------------------------------------------------------------------


def event_path(context: CallContext) -> str:
    return f"/v1/talk/twilio/ctx/{context.id}/event"


async def kept(site: Site, context: CallContext) -> int:
    found = await site.services.database.run(site.services.conversations.transcript, context.id)
    return len(found.events)


async def test_a_call_keeps_a_bounded_number_of_callbacks(site: Site) -> None:
    context = await site.context()
    bodies = [urlencode({"SequenceNumber": number}) for number in range(MOST_CALLBACKS + 20)]
    codes = [(await site.fetch(event_path(context), method="POST", body=body)).code for body in bodies]
    assert codes == [204] * MOST_CALLBACKS + [429] * 20
    assert await kept(site, context) == MOST_CALLBACKS


async def test_a_callback_that_comes_twice_is_kept_once(site: Site) -> None:
    context = await site.context()
    for _ in range(3):
        answer = await site.fetch(event_path(context), method="POST", body="CallStatus=completed&SequenceNumber=4")
        assert answer.code == 204
    assert await kept(site, context) == 1


async def test_no_callback_is_kept_of_an_ended_call_or_with_another_projects_key(site: Site) -> None:
    database, context = site.services.database, await site.context()
    with database.write() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO projects (id, organisation_id, name, created_at)"
            " SELECT 77, organisation_id, 'other', created_at FROM projects"
        )
    _, theirs = await database.run(site.services.keys.create, "theirs", 77)
    body = urlencode({"StreamEvent": "stream-stopped"})
    other = await site.fetch(event_path(context), method="POST", body=body, headers={"x-api-key": theirs})
    assert other.code == 404 and error_of(other.body) == "unknown_context"
    await database.run(site.services.contexts.claim, context.id, "twilio")
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    site.services.record(ConversationEnd(context.conversation_id, "success", "caller_hung_up", "", long_ago))
    late = await site.fetch(event_path(context), method="POST", body=body)
    assert late.code == 410 and error_of(late.body) == "call_over"
    assert await kept(site, context) == 0


async def test_while_the_database_is_away_callbacks_wait_in_the_ledger_and_are_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[LedgerRow] = []

    def away(*args: object) -> None:
        raise StoreUnavailable("database: away")

    context = await site.context()
    monkeypatch.setattr(CallbackRepository, "check", away)
    object.__setattr__(site.services, "record", recorded.append)
    answer = await site.fetch(event_path(context), method="POST", body="CallStatus=completed")
    assert answer.code == 204
    (row,) = recorded
    assert isinstance(row, CarrierEvent) and row.context_id == str(context.id)
    assert row.data == {"CallStatus": "completed"}
    strangers = [f"/v1/talk/twilio/ctx/{uuid4()}/event" for _ in range(100)]
    codes = [(await site.fetch(path, method="POST", body="CallStatus=x")).code for path in strangers]
    assert codes.count(503) > 50 and len(recorded) == 1 + codes.count(204)
    site.services.conversations.write(recorded)  # it is back: only what fits is kept
    assert await kept(site, context) == 1
