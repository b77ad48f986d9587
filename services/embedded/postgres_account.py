"""Postgres refuses to run as root; under root it gets an account of its own, as packages of Linux systems do it."""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from services.embedded.errors import ProgramMissingError, StackError

_ACCOUNT = "afterturn"
# Where a system has no `useradd`, this account is there all the same.
_SPARE_ACCOUNT = "nobody"
_ACCOUNTS = Path("/etc/passwd")
_PASS = stat.S_IXGRP | stat.S_IXOTH


def account_for(data: Path) -> str | None:
    """Name the account for Postgres on `data`: its owner's, once it is there; None when we are no root ourselves."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return pwd.getpwuid(owner).pw_name
    if _exists(_ACCOUNT) or create(_ACCOUNT):
        return _ACCOUNT
    if _exists(_SPARE_ACCOUNT):
        return _SPARE_ACCOUNT
    raise ProgramMissingError("Postgres does not run as root, and no other account is there: start as another user")


def create(account: str) -> bool:
    """Make a system account, once however many processes ask at a time; tell whether it is there. Needs root."""
    useradd = shutil.which("useradd")
    if useradd is None:
        return False
    # `useradd` looks for the name before it locks: the later of two gives the account another number, and what the
    # earlier one's user has begun as the first belongs to nobody.
    with _ACCOUNTS.open() as accounts:
        fcntl.flock(accounts, fcntl.LOCK_EX)
        if not _exists(account):
            subprocess.run(  # noqa: S603 - the system's own program, found on the PATH of root
                [useradd, "--system", "--no-create-home", "--shell", "/bin/false", account],
                check=False,
                capture_output=True,
                timeout=30,
            )
    return _exists(account)


def own(folder: Path, account: str | None) -> None:
    """Make `folder` the account's own, closed to all others; refuse one that somebody else has put there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    entry = pwd.getpwnam(account) if account else pwd.getpwuid(os.geteuid())
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), entry.pw_uid}:
        raise StackError(f"{folder} belongs to somebody else")
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    folder.chmod(0o700)


def open_way(*places: Path) -> list[Path]:
    """Let other accounts pass through (not list) the folders above `places`; return those that had to be opened."""
    above = {parent for place in places for parent in place.absolute().parents}
    closed = [folder for folder in sorted(above) if folder.stat().st_mode & _PASS != _PASS]
    for folder in closed:
        folder.chmod(folder.stat().st_mode | _PASS)
    return closed


def _exists(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True
