"""The fuzz targets under hypothesis: random bytes, and bytes that look right for most of their length."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.transports.peers import masked
from transports.audiosocket import audio_header

EXAMPLES = 300
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["connected", "start", "media", "mark", "dtmf", "stop", "other"]) | values
keys = st.sampled_from(
    ["event", "streamSid", "start", "media", "payload", "track", "mark", "name", "dtmf", "digit", "callSid"]
)
messages = st.builds(
    lambda name, more, body: json.dumps({"streamSid": "MZ1", str(name): body, **more, "event": name}).encode(),
    names,
    st.dictionaries(keys, values, max_size=2),
    st.dictionaries(keys, values | st.sampled_from(["/w==", "inbound", "5"]), max_size=4) | values,
)
frames = st.builds(
    lambda kind, payload: audio_header(kind, len(payload)) + payload, st.integers(0, 255), st.binary(max_size=50)
)
fields = st.builds(
    lambda tag, content: bytes((tag, len(content))) + content,
    st.sampled_from([0x12, 0x1A, 0x22, 0x0A, 0x20, 0x28, 0x30, 0x0D, 0x09]),
    st.binary(max_size=20) | st.sampled_from([b"\x80\x7d", b'{"label":"rtvi-ai","type":"dtmf"}', b"[]", b"\x28\x01"]),
)
nested = st.builds(
    lambda tag, inner: bytes((tag, len(b"".join(inner)) % 128)) + b"".join(inner),
    st.sampled_from([0x12, 0x22]),
    st.lists(fields, max_size=3),
)
flags = st.sampled_from([b"\0", b"\1"])


@settings(max_examples=EXAMPLES)
@given(st.lists(st.binary(max_size=30) | st.builds(masked, st.integers(0, 15), st.binary(max_size=200)), max_size=5))
def test_websocket(pieces: list[bytes]) -> None:
    targets.websocket(b"".join(pieces))


@settings(max_examples=EXAMPLES)
@given(flags, st.lists(messages | st.binary(max_size=30), max_size=5))
def test_twilio(started: bytes, pieces: list[bytes]) -> None:
    targets.twilio(started + b"\n".join(pieces))


@settings(max_examples=EXAMPLES)
@given(flags, st.lists(st.binary(max_size=30) | frames, max_size=5))
def test_audiosocket(identified: bytes, pieces: list[bytes]) -> None:
    targets.audiosocket(identified + b"".join(pieces))


@settings(max_examples=EXAMPLES)
@given(st.lists(nested | fields | st.binary(max_size=30), max_size=4))
def test_rtvi(pieces: list[bytes]) -> None:
    targets.rtvi(b"".join(pieces))
