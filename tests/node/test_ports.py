"""Ports: who holds one is named."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from concento.errors import Rejected
from node.ports import check_port_free, find_holder, process_command


@pytest.fixture
def taken() -> object:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who holds a port")
def test_a_taken_port_names_process_and_command(taken: int) -> None:
    with pytest.raises(Rejected) as caught:
        check_port_free("127.0.0.1", taken)
    assert caught.value.kind == "port.in_use"
    assert caught.value.numbers == {"port": taken, "pid": os.getpid(), "command": process_command(os.getpid())}
    assert "python" in str(caught.value)


def test_a_free_port_passes_and_has_no_holder() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    check_port_free("127.0.0.1", port)
    assert find_holder(port) is None


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(Rejected) as caught:
        check_port_free("192.0.2.1", 26_600)
    assert caught.value.kind == "port.unusable"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the command of a process")
def test_a_command_of_several_lines_is_told_in_one() -> None:
    program = ["python", "-c", "\nprint(flush=True)\n\ninput()"]
    with subprocess.Popen(program, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        # Before its first line the process may not have become this program.
        child.stdout.readline()
        command = process_command(child.pid)
        child.communicate(b"\n")
    assert command == "python -c print(flush=True) input()"
