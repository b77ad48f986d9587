"""Programs that are built from pinned Go modules, once, into the user's cache folder.

Building Temporal's server takes two to nine minutes, as busy as the machine is: `make proof` does it first.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from services.embedded.temporal_cli import cache_folder

_SECONDS = 1_200


@dataclass(frozen=True)
class GoPrograms:
    """`packages` are the Go packages by the name that the program made of each shall have."""

    folder: str
    packages: dict[str, str]

    @property
    def where(self) -> Path:
        return cache_folder() / self.folder

    @property
    def built(self) -> bool:
        return all((self.where / name).exists() for name in self.packages)

    def build(self) -> Path:
        """Return their folder, building them first where they are not there yet."""
        self.where.mkdir(parents=True, exist_ok=True)
        with (self.where / "lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            for name, package in self.packages.items():
                if not (self.where / name).exists():
                    _build(package, self.where / name)
        return self.where


TEMPORAL_SERVER = GoPrograms(
    "temporal-server-1.29.1",
    {
        "temporal-server": "go.temporal.io/server/cmd/server@v1.29.1",
        "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql@v1.29.1",
    },
)
KUSTOMIZE = GoPrograms("kustomize-5.8.1", {"kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"})
OLLAMA = GoPrograms("ollama-0.6.5", {"ollama": "github.com/ollama/ollama@v0.6.5"})
COMPOSE = GoPrograms("compose-2.16.2", {"compose-spec": "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"})


def _build(package: str, program: Path) -> None:
    log = program.with_suffix(".build.log")
    # In the same folder, so that moving it into place is one step that cannot be seen half done.
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=".new-") as draft, log.open("wb") as output:
        environment = {**os.environ, "GOBIN": draft}
        done = subprocess.run(
            ["go", "install", package], env=environment, stdout=output, stderr=output, timeout=_SECONDS, check=False
        )
        assert done.returncode == 0, f"{package} could not be built with Go; see {log}"
        next(Path(draft).iterdir()).rename(program)


if __name__ == "__main__":
    for programs in (TEMPORAL_SERVER, COMPOSE, OLLAMA):
        sys.stdout.write(f"{programs.build()}\n")
