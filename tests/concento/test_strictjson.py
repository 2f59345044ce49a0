"""One JSON text, one meaning: what programs read differently is refused."""

import pytest

from concento.errors import Rejected
from concento.strictjson import loads
from support.jsonsuite import FILES, SuiteFile

STRICTER_THAN_RFC_8259 = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
"""The suite has these read; programs differ on which of two equal keys counts."""

FREE_AND_READ = {
    "i_number_double_huge_neg_exp.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
    "i_structure_500_nested_arrays.json",
}
"""Of what the standard leaves to each program: numbers too small for a float, integers of any size, depth."""


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
        '"\\ud800\\\\\\\\\\udc00"',
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


@pytest.mark.parametrize("file", [file for file in FILES if file.verdict], ids=lambda file: file.name)
def test_every_file_of_the_json_test_suite_has_its_verdict(file: SuiteFile) -> None:
    good = file.verdict == "y" and file.name not in STRICTER_THAN_RFC_8259
    if good or file.name in FREE_AND_READ:
        loads(file.data)
        return
    with pytest.raises(Rejected) as refused:
        loads(file.data)
    assert refused.value.kind == "json.invalid"
