import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Nobody else's: a run that was killed leaves it behind, and another checkout may be tested at the same time.
ACCOUNT = f"afterturn-{secrets.token_hex(4)}"
AT_ONCE = 6
CREATE = "import sys; from services.embedded.postgres_account import create; print(create(sys.argv[1]))"


@pytest.fixture
def watched_useradd(tmp_path: Path) -> Iterator[Path]:
    """Put a `useradd` before the system's that is slow and writes down each call; the account is removed afterwards."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "useradd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nsleep 1\nexec {shutil.which("useradd")} "$@"\n')
    program.chmod(0o755)
    yield calls
    subprocess.run(["userdel", ACCOUNT], check=False, capture_output=True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("useradd"), reason="only root makes accounts, by useradd")
def test_an_account_is_made_once_by_many(watched_useradd: Path) -> None:
    environment = {**os.environ, "PATH": f"{watched_useradd.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    makers = [
        subprocess.Popen([sys.executable, "-c", CREATE, ACCOUNT], stdout=subprocess.PIPE, env=environment, text=True)
        for _ in range(AT_ONCE)
    ]
    assert [maker.communicate(timeout=60)[0] for maker in makers] == ["True\n"] * AT_ONCE
    assert len(watched_useradd.read_text().splitlines()) == 1
