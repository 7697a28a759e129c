"""One engine a run, whoever dies how."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import Exit, PoiseError
from engine.process.identity import Identity, boot_id, start_time
from engine.process.lock import RunLock, live_holder, read_holder

CHECKOUT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from engine.process.lock import RunLock
lock = RunLock.acquire(Path(sys.argv[1]), "/tmp/engine.sock")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def lock_path(tmp_path: Path) -> Path:
    (tmp_path / "demo").mkdir()
    return tmp_path / "demo" / "engine.lock"


def hold(path: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.stdout.close()
    return holder


def test_the_lock_says_who_holds_it_and_where_it_listens(lock_path: Path) -> None:
    lock = RunLock.acquire(lock_path, "/run/x.sock")
    assert json.loads(lock_path.read_text()) == {
        "pid": os.getpid(),
        "start_time": start_time(os.getpid()),
        "boot_id": boot_id(),
        "host": os.uname().nodename,
        "socket": "/run/x.sock",
    }
    holder = live_holder(lock_path)
    assert holder is not None
    assert (holder.identity, holder.socket) == (Identity.mine(), "/run/x.sock")
    lock.release()
    assert live_holder(lock_path) is None


@pytest.mark.fault(9)
def test_a_second_engine_is_refused_with_the_holders_name(lock_path: Path) -> None:
    holder = hold(lock_path)
    message = f"run demo is locked: its engine is process {holder.pid} on {os.uname().nodename}"
    with pytest.raises(PoiseError, match=message) as caught:
        RunLock.acquire(lock_path, "/run/y.sock")
    assert caught.value.code == Exit.REFUSED
    found = live_holder(lock_path)
    assert found is not None and found.identity.pid == holder.pid
    holder.kill()
    holder.wait()


@pytest.mark.fault(10)
def test_the_lock_of_a_killed_engine_is_taken_over(lock_path: Path) -> None:
    holder = hold(lock_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert read_holder(lock_path) is not None
    assert live_holder(lock_path) is None
    RunLock.acquire(lock_path, "/run/y.sock").release()


@pytest.mark.fault(10)
@pytest.mark.parametrize("change", [{"start_time": 1}, {"boot_id": "another boot"}, {"pid": 2**22 + 1}])
def test_a_reused_pid_or_a_reboot_does_not_count_as_alive(lock_path: Path, change: dict[str, object]) -> None:
    RunLock.acquire(lock_path, "/run/x.sock")
    lock_path.write_text(json.dumps(json.loads(lock_path.read_text()) | change))
    assert live_holder(lock_path) is None


def test_a_lock_of_another_host_is_refused_and_left_alone(lock_path: Path) -> None:
    mine = {"pid": 1, "start_time": 1, "boot_id": "x", "host": "elsewhere", "socket": "/run/x.sock"}
    lock_path.write_text(json.dumps(mine))
    with pytest.raises(PoiseError, match="locked by process 1 on elsewhere, another host") as caught:
        RunLock.acquire(lock_path, "/run/y.sock")
    assert caught.value.code == Exit.REFUSED
    assert json.loads(lock_path.read_text()) == mine
    assert live_holder(lock_path) is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "start_time": 1}'])
def test_an_unreadable_lock_is_nobodys(lock_path: Path, text: str) -> None:
    lock_path.write_text(text)
    assert live_holder(lock_path) is None
    RunLock.acquire(lock_path, "/run/x.sock").release()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="cannot write"):
        RunLock.acquire(tmp_path / "missing" / "engine.lock", "/run/x.sock")


def test_no_child_of_the_engine_keeps_its_lock(lock_path: Path) -> None:
    lock = RunLock.acquire(lock_path, "/run/x.sock")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    lock.release()
    RunLock.acquire(lock_path, "/run/y.sock").release()
    child.kill()
    child.wait()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) is None
    child.wait()
