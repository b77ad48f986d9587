import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from services.embedded.model_choice import EMBEDDED_EMBEDDING_MODEL, EMBEDDED_SUMMARY_MODEL, choose_models
from services.embedded.ports import free_port


@contextmanager
def ollama(abilities: dict[str, list[str]]) -> Iterator[str]:
    """Answer as Ollama does when it is asked for its models and what they can do."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"models": [{"name": name} for name in abilities]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer({"capabilities": abilities[asked["model"]]})

        def _answer(self, body: object) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            del code, size

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def test_without_an_ollama_the_embedded_models_are_used() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    choice = await choose_models(url, None, None)
    assert (choice.summary_model, choice.embedding_model) == (EMBEDDED_SUMMARY_MODEL, EMBEDDED_EMBEDDING_MODEL)
    assert f"no Ollama answers at {url}" in choice.reason
    assert choice.environment()["EMBEDDED_MODELS"] == "true"
    assert choice.environment()["OLLAMA_URL_INTERNAL"] == ""


async def test_an_ollama_with_both_kinds_of_models_is_used() -> None:
    with ollama({"llama3.2:1b": ["completion"], "nomic:latest": ["embedding"], "bge-m3:latest": ["embedding"]}) as url:
        choice = await choose_models(url, None, None)
    assert (choice.summary_model, choice.embedding_model) == ("llama3.2:1b", "bge-m3")
    assert f"an Ollama answers at {url}" in choice.reason
    assert choice.environment()["OLLAMA_URL_INTERNAL"] == url
    assert "EMBEDDED_MODELS" not in choice.environment()


async def test_an_ollama_without_an_embedding_model_is_not_enough() -> None:
    with ollama({"qwen3:32b": ["completion"]}) as url:
        choice = await choose_models(url, None, None)
    assert choice.summary_model == EMBEDDED_SUMMARY_MODEL
    assert "has no embedding model" in choice.reason


async def test_a_name_that_is_set_is_kept() -> None:
    with ollama({"qwen3:32b": ["completion"], "bge-m3:latest": ["embedding"]}) as url:
        choice = await choose_models(url, "mine", None)
    assert (choice.summary_model, choice.embedding_model) == ("mine", "bge-m3")
    assert "mine (as set)" in choice.reason
