from __future__ import annotations

import hashlib
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from tests.transports.peers import context
from transports.carriers import UnknownCarrier, carrier, carriers, fields
from transports.carriers.twilio import answer, signature, signature_valid

TOKEN = "callboard-test-token"
URL = "https://voice.example.test/v1/talk/twilio/call/42?x=1"
FORM = {
    "CallSid": ["CA00000000000000000000000000000001"],
    "From": ["+15005550006"],
    "To": ["+15005550001"],
    "CallStatus": ["ringing"],
    "CallerCity": [""],
}
SHA1, SHA256 = "iDFsk5XuZtS7+7ywcbkW3f2wpR8=", "b0QjfZcRLktM2GVN7luZovXQO049wzYUwnXQ2yTRxLQ="


def test_golden_signatures() -> None:
    assert signature(TOKEN, URL, FORM) == SHA1
    assert signature(TOKEN, URL, FORM, "sha256") == SHA256
    upgrade = "wss://voice.example.test/v1/talk/twilio/ctx/abc"
    assert signature_valid(TOKEN, "tNHRY4OovfFhFSxuxWxOSnEP4M4=", upgrade, {})
    assert not signature_valid(TOKEN, "tNHRY4OovfFhFSxuxWxOSnEP4M4=", upgrade.replace("wss", "https"), {})


@pytest.mark.parametrize(
    ("url", "form", "given_signature", "valid"),
    [
        (URL, FORM, SHA1, True),
        (URL.replace(".test/", ".test:443/"), FORM, SHA1, True),
        (URL.replace(".test/", ".test:444/"), FORM, SHA1, False),
        (URL.replace("https", "http"), FORM, SHA1, False),
        (URL.replace("42?", "42/?"), FORM, SHA1, False),
        (URL, {**FORM, "From": ["+15005550007"]}, SHA1, False),
        (URL, {name: values for name, values in FORM.items() if values != [""]}, SHA1, False),
        (URL, FORM, "", False),
        (URL, FORM, "ümläut", False),
        (URL, FORM, SHA256, False),
    ],
)
def test_signatures(url: str, form: dict[str, list[str]], given_signature: str, valid: bool) -> None:
    assert signature_valid(TOKEN, given_signature, url, form) is valid


def test_a_signed_url_may_name_the_standard_port() -> None:
    spelt = URL.replace(".test/", ".test:443/")
    assert signature_valid(TOKEN, signature(TOKEN, spelt, FORM), URL, FORM)
    assert not signature_valid("another token", SHA1, URL, FORM)


def test_the_hash_of_a_json_body_is_signed() -> None:
    body = b'{"a": 1}'
    url = f"https://voice.example.test/x?bodySHA256={hashlib.sha256(body).hexdigest()}"
    given_signature = signature(TOKEN, url, {})
    assert signature_valid(TOKEN, given_signature, url, {}, json_body=body)
    assert not signature_valid(TOKEN, given_signature, url, {}, json_body=b'{"a": 2}')
    assert not signature_valid(TOKEN, signature(TOKEN, URL, {}), URL, {}, json_body=body)


class Form(dict[str, list[str]]):
    """As the package takes a form with several values of one name."""

    def getall(self, name: str) -> list[str]:
        return self[name]


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.lists(st.text(max_size=5), min_size=1, max_size=3)))
def test_twilios_own_package_agrees(form: dict[str, list[str]]) -> None:
    assert signature(TOKEN, URL, form) == RequestValidator(TOKEN).compute_signature(URL, Form(form))


def test_twiml_is_escaped() -> None:
    made = answer(context(), 'host"><Dial>+1900</Dial>')
    stream = ElementTree.fromstring(made.body).find("Connect/Stream")
    assert stream is not None and stream.attrib["url"].startswith('wss://host"><Dial>+1900</Dial>/v1/talk/twilio/ctx/')
    assert b"<Dial>" not in made.body


def test_fields_keep_what_was_sent() -> None:
    assert fields("from=+1555&to=a%20b&x=", keep_plus=True) == {"from": ["+1555"], "to": ["a b"], "x": [""]}
    assert fields("from=+1555") == {"from": [" 1555"]}
    assert fields("") == {}


def test_carriers_are_found_by_their_files() -> None:
    assert {"twilio", "asterisk"} <= set(carriers())
    assert carrier("twilio").wire is not None and carrier("asterisk").silent_errors
    with pytest.raises(UnknownCarrier, match=r"asterisk, .*twilio"):
        carrier("x" * 1000)
