"""WebSocket's mask (RFC 6455 section 5.3) in Python, for where there is no C."""

from __future__ import annotations


def unmask(mask: bytes, data: bytes) -> bytes:
    """`data` with every byte xor-ed with its byte of the four-byte `mask`, over and over; as one big number each."""
    size = len(data)
    masks = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(masks, "little")).to_bytes(size, "little")
