import sys

from services.domain.errors import InvalidInputError
from services.http import request_ids
from services.llm_proxy.server import serve
from services.logs import log_to_stderr
from services.settings import ProxySettings, load, read_dot_env

if __name__ == "__main__":
    # The upstream file may name variables that hold keys, and tracing reads its own.
    read_dot_env()
    try:
        log_to_stderr(request_ids.named)
        serve(load(ProxySettings))
    except InvalidInputError as error:
        sys.exit(str(error))
