from __future__ import annotations

from pathlib import Path

import pytest

from concento.errors import Rejected
from node.app import complain


def test_a_node_that_does_not_start_names_the_mending_commands_for_its_home(capsys: pytest.CaptureFixture[str]) -> None:
    home = Path("/srv/node4")
    assert complain(Rejected("store.corrupt", path="/srv/node4/store", reason="checksum mismatch"), home) == 9
    said = capsys.readouterr().err
    assert "error: the store /srv/node4/store is damaged: checksum mismatch (store.corrupt)" in said
    assert "run: concento node repair --node-home /srv/node4;" in said
    assert said.endswith("concento node resync --node-home /srv/node4\n")
