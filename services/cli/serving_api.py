"""`api`: the memory API in the foreground."""

import signal

from services.cli.exit_codes import FAILED, OK
from services.cli.output import Output
from services.http import request_ids
from services.logs import log_to_stderr
from services.settings import MemoryApiSettings, load


def serve(output: Output) -> int:
    from services.memory_api import server

    log_to_stderr(request_ids.named)
    settings = server.where_to_listen(load(MemoryApiSettings))
    url = f"http://{settings.memory_api_host}:{settings.memory_api_port}"
    output.emit({"api_url": url, "docs_url": f"{url}/docs"})
    output.note(f"the memory API listens at {url}; its docs are at {url}/docs")
    for number in (signal.SIGINT, signal.SIGTERM):
        # Uvicorn raises them again when it has stopped; by then they have done what they were sent for.
        signal.signal(number, lambda *_: None)
    try:
        server.serve(settings)
    except SystemExit as left:
        # Uvicorn has said why, and its codes mean something else than ours.
        return FAILED if left.code else OK
    return OK
