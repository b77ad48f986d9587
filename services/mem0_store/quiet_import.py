"""Says what Mem0 is to do when it is imported: report to nobody, keep out of the home folder, log no content."""

import logging
import os
import tempfile
from pathlib import Path

from services.domain.errors import InvalidInputError


def before_mem0() -> None:
    """Prepare the process for Mem0, which reads its environment once: call it before anything imports `mem0`.

    Raises `InvalidInputError` where its folder cannot be made, for then the import itself would fail.
    """
    os.environ["MEM0_TELEMETRY"] = "False"
    folder = os.environ.setdefault("MEM0_DIR", str(Path(tempfile.gettempdir()) / f"mem0-{os.getuid()}"))
    try:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        raise InvalidInputError("MEM0_DIR", "a folder that can be made") from None
    # It logs the texts of memories, and errors that quote them; what goes wrong is raised besides.
    logging.getLogger("mem0").setLevel(logging.CRITICAL + 1)
