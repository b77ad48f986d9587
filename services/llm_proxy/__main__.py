import sys

from services.domain.errors import InvalidInputError
from services.llm_proxy.server import serve
from services.settings import ProxySettings, load

if __name__ == "__main__":
    try:
        serve(load(ProxySettings))
    except InvalidInputError as error:
        sys.exit(str(error))
