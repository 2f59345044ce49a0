"""One JSON text, one meaning: what programs read differently is refused."""

import pytest

from concento.errors import Rejected
from concento.strictjson import loads


@pytest.mark.parametrize(
    "text", ['{"a": [1, -2.5e3, true, null, "\\u00e9\\ud83d\\ude00"]}', "0", '""', b"[1]", '"\\\\ud800"']
)
def test_ordinary_json_is_read(text: str | bytes) -> None:
    loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e400",
        '{"a": 1, "a": 2}',
        '{"o": {"a": 1, "a": 1}}',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        "[" * 100_000,
        "1" * 5_000,
        b"\xff",
        b"\xef\xbb\xbf1",
        "",
        "[1,]",
        "{'a': 1}",
        "[1] 2",
        '"\t"',
        "01",
        "+1",
        ".5",
    ],
)
def test_what_programs_read_differently_is_refused(text: str | bytes) -> None:
    with pytest.raises(Rejected) as refused:
        loads(text)
    assert refused.value.kind == "json.invalid"
