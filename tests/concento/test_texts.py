"""One spelling, nothing invisible, and the same verdict on every Python."""

from hashlib import sha256

import pytest

from concento.errors import Rejected
from concento.texts import check_text, fault_of


@pytest.mark.parametrize("text", ["Night Bus", "Äther", "夜のバス", "नमस्ते", "Ελλάδα 7", "Rock & Roll!", "🎵 lofi"])
def test_ordinary_names_of_any_script_are_allowed(text: str) -> None:
    check_text("name", text)


@pytest.mark.parametrize(
    "text",
    [
        "A\u0308ther",
        "\u212bngstr\u00f6m",
        "al\u200bice",
        "al\u200dice",
        "\ufeffalice",
        "alice\u202e",
        "a\x00b",
        "a\nb",
        "a\tb",
        "a\u00a0b",
        "a\u2003b",
        "\u3164",
        "\u2800",
        "\ud800",
        "\ue000",
        "\u0378",
        " alice",
        "alice ",
        "al  ice",
        " ",
    ],
)
def test_other_spellings_and_invisible_characters_are_refused(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        check_text("name", text)
    assert refused.value.kind == "text.invalid"
    assert refused.value.numbers["field"] == "name"


def test_the_verdict_on_every_single_character_is_the_same_on_every_python() -> None:
    allowed = bytes(fault_of(chr(code_point)) is None for code_point in range(0x110000))
    assert sha256(allowed).hexdigest() == "8e123da0cf4211ef11313afe8017f20827530b474462c8b76c47348bacc8b0be"
