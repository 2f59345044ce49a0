"""The types of parameters that several methods share: what they accept, in words that OpenRPC passes on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from concento.encoding import NUMBER_MAX

Who = Annotated[
    str,
    Meta(min_length=1, max_length=128, description="an address, a unique beginning of one, or a party's name (@alice)"),
]
IdText = Annotated[
    str, Meta(min_length=8, max_length=64, description="an id of 64 hex digits, or a unique beginning of 8 or more")
]
HeightNumber = Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="a block height")]
Limit = Annotated[int, Meta(ge=1, le=NUMBER_MAX, description="items of a page: 50 by default, at most 200 are given")]
Cursor = Annotated[str, Meta(max_length=512, description='the "next" of the page before')]
TransactionBytes = Annotated[bytes, Meta(description="the bytes of a signed transaction, in base64")]
WaitMs = Annotated[int, Meta(ge=0, le=30_000, description="how long to wait for an answer that no longer changes")]
EventCursor = Annotated[
    str, Meta(max_length=40, description='a cursor "height.index"; the first event after it comes first')
]
