"""What the programs write to standard error."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from services.settings import LogSettings, load

About = Callable[[], Mapping[str, str]]


def log_to_stderr(about: About = dict) -> None:
    """Log as `LOG_FORMAT` says; `about` names the run or the request that is at work when something is logged."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonLines(about) if load(LogSettings).log_format == "json" else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It tells every URL that it asks, and those hold ids and secrets.
    logging.getLogger("httpx").setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """A JSON object for each record, on a line of its own."""

    def __init__(self, about: About) -> None:
        super().__init__()
        self._about = about

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._about(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
