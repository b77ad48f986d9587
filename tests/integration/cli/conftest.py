from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.imports import import_folder
from tests.support.main_job import environment, memory, model, resources, worker

__all__ = ["environment", "import_folder", "memory", "model", "resources", "worker"]


@pytest.fixture
def afterturn(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)
