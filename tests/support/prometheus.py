"""Prometheus and its promtool: those on PATH, else Debian's package, unpacked into the user's cache folder."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from services.embedded.ports import LOOPBACK, free_port
from services.embedded.server import Server
from services.embedded.temporal_cli import cache_folder

_NAMES = ("promtool", "prometheus")
_WANTED = "the tests of alerts and dashboard need Prometheus: put `promtool` and `prometheus` on the PATH"
_SECONDS = 300


class PrometheusMissingError(Exception):
    """There is no Prometheus, and it cannot be had from here."""


def programs() -> Path:
    """Give the folder of both programs, getting them first where this is a Debian without them."""
    if all(map(shutil.which, _NAMES)):
        return Path(shutil.which(_NAMES[0]) or "").parent
    folder = cache_folder() / "prometheus"
    found = folder / "usr" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not all((found / name).exists() for name in _NAMES):
            _unpack(folder)
    return found


def _unpack(folder: Path) -> None:
    if shutil.which("apt-get") is None:
        raise PrometheusMissingError(_WANTED)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as draft:
        # A machine that was just set up has no list of packages yet.
        tried = _ran(draft, "apt-get", "download", "prometheus") or (
            _ran(draft, "apt-get", "update") and _ran(draft, "apt-get", "download", "prometheus")
        )
        package = next(Path(draft).glob("*.deb"), None)
        if not tried or package is None or not _ran(draft, "dpkg", "-x", package.name, "unpacked"):
            raise PrometheusMissingError(_WANTED)
        shutil.rmtree(folder / "usr", ignore_errors=True)
        (Path(draft) / "unpacked" / "usr").rename(folder / "usr")


def _ran(folder: str, *command: str) -> bool:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_SECONDS, check=False
    )
    return done.returncode == 0


class Prometheus(Server):
    """Scrapes `targets` by job each second, as the compose folder's own configuration says otherwise."""

    title = "Prometheus"

    def __init__(
        self, folder: Path, compose: Path, targets: Mapping[str, Sequence[str]], keys: Mapping[str, str]
    ) -> None:
        super().__init__(folder)
        self._compose = compose
        self._targets = targets
        self._keys = keys
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def prepare(self) -> None:
        given = yaml.safe_load((self._compose / "prometheus.yml").read_text())
        given["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        given["rule_files"] = [str(self._compose / "alerts.yml")]
        given["scrape_configs"] = [self._job(job) for job in given["scrape_configs"]]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(given))

    def command(self) -> list[str]:
        return [
            str(programs() / "prometheus"),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
        ]

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}

    async def is_ready(self) -> bool:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            try:
                return (await http.get(f"{self.url}/-/ready")).is_success
            except httpx.HTTPError:
                return False

    def _job(self, job: dict[str, Any]) -> dict[str, Any]:
        """Replace the places of a job, and the files of its keys, by those that are here."""
        name = job["job_name"]
        kept = {field: value for field, value in job.items() if not field.endswith("_sd_configs")}
        kept["static_configs"] = [{"targets": list(self._targets[name])}]
        if "authorization" in kept:
            key = self.folder / f"{name}.key"
            key.write_text(self._keys[name])
            kept["authorization"] = {"credentials_file": str(key)}
        return kept


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{programs()}\n")
    except PrometheusMissingError as error:
        sys.exit(str(error))
