"""Become another program that dies with the process that started this one.

Run as a script: `launch.py PARENT_PID ORPHAN_SIGNAL USER COMMAND…` (USER `-` keeps the user). A script and not a
`preexec_fn`, which is unsafe in a process with threads. It imports the standard library only.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, orphan_signal, user, *command = sys.argv[1:]
    if user != "-":
        _become(pwd.getpwnam(user))
    # After the change of user, which would clear it.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        # It died before the kernel was told to watch it.
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - a program and its arguments, no shell wanted


def _become(account: pwd.struct_passwd) -> None:
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


if __name__ == "__main__":
    main()
