"""The vendored vectors are the ones whose origin is written beside them."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

VECTORS = Path(__file__).parent / "vectors"
_ROW = re.compile(r"^\| `([\w.-]+)` \| (.+) \| (.+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


def test_every_file_has_a_row_with_its_origin_and_its_checksum() -> None:
    written = {name: checksum for name, _, _, checksum in _ROW.findall((VECTORS / "README.md").read_text())}
    found = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in VECTORS.iterdir()
        if path.is_file() and path.name != "README.md"
    }
    assert written == found


def test_what_others_licensed_names_a_commit_and_comes_with_the_licence() -> None:
    origins = [origin for _, origin, _, _ in _ROW.findall((VECTORS / "README.md").read_text())]
    licensed = [origin for origin in origins if re.search(r"; (Apache 2\.0|MIT|BSD)$", origin)]
    assert len(licensed) >= 7
    assert all(re.search(r"commit [0-9a-f]{8}", origin) for origin in licensed)
    texts = "".join(path.read_text() for path in (VECTORS / "licences").iterdir())
    assert all(words in texts for words in ("Apache License", "MIT License", "Redistribution and use in source"))
