"""Runs a Node program with the packages that its lock file names, installed once into the user's cache folder."""

import asyncio
import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from services.embedded.temporal_cli import cache_folder

_INSTALL_SECONDS = 120
_RUN_SECONDS = 90


def node_is_missing() -> str | None:
    """Say what this machine lacks to run Node programs, or None."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "Node and npm are not installed: the Node client was NOT tried"
    found = re.match(r"v(\d+)", subprocess.run(["node", "--version"], capture_output=True, text=True).stdout)  # noqa: PLW1510
    if found is None or int(found[1]) < 20:
        return "Node is older than 20: the Node client was NOT tried"
    return None


async def run_node(program: Path, *args: str, work_folder: Path) -> str:
    """Run `program`, which lies beside its package files, and return what it printed; raise where it fails."""
    packages = await asyncio.to_thread(_packages, program.parent)
    # A program finds packages beside itself, and the checkout has none.
    await asyncio.to_thread(shutil.copy, program, work_folder)
    (work_folder / "node_modules").symlink_to(packages / "node_modules")
    process = await asyncio.create_subprocess_exec(
        "node", program.name, *args, cwd=work_folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _RUN_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode()


def _packages(source: Path) -> Path:
    """Install what the lock file names; npm checks each package against the hash there."""
    lock = source / "package-lock.json"
    folder = cache_folder() / f"{source.name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{source.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as draft:
                _install(source, Path(draft) / "made")
                (Path(draft) / "made").rename(folder)
    return folder


def _install(source: Path, folder: Path) -> None:
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    assert done.returncode == 0, f"npm ci failed:\n{done.stderr}"
