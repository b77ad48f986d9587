import sys

from services.domain.errors import InvalidInputError
from services.http import request_ids
from services.logs import log_to_stderr
from services.memory_api.server import serve, where_to_listen
from services.settings import MemoryApiSettings, load, read_dot_env

if __name__ == "__main__":
    # Temporal reads its own variables.
    read_dot_env()
    try:
        log_to_stderr(request_ids.named)
        serve(where_to_listen(load(MemoryApiSettings)))
    except InvalidInputError as error:
        sys.exit(str(error))
