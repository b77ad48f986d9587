"""`api`: the memory API in the foreground."""

from services.cli.http_serving import serve_until_told
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
    return serve_until_told(lambda: server.serve(settings))
