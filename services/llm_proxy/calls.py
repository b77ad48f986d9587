"""One request from its arrival to the end of its answer: what is counted, priced, traced and charged."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.trace import Span

from services.llm_proxy.caller import Caller
from services.llm_proxy.errors import ProxyError
from services.llm_proxy.metrics import Metrics, Who
from services.llm_proxy.routing import FREE, Price, Route
from services.llm_proxy.tracing import Tracing, failed

Operation = Literal["chat", "chat_stream", "embeddings"]
_COUNTS = ("prompt_tokens", "completion_tokens")
_HUNG_UP = 499


@dataclass(slots=True)
class Call:
    """`cached` of the prompt tokens were paid for by an earlier request; `guess` is charged where nobody counts."""

    caller: Caller
    span: Span
    began: float = field(default_factory=time.monotonic)
    model: str = "none"
    price: Price = FREE
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: int = 0
    guess: int = 0
    is_counted: bool = False
    is_answered: bool = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def billed(self) -> int:
        return self.prompt_tokens - self.cached + self.completion_tokens

    @property
    def cost(self) -> float:
        paid_prompt = self.prompt_tokens - self.cached
        return (paid_prompt * self.price.prompt + self.completion_tokens * self.price.completion) / 1_000_000

    def answers(self, route: Route) -> None:
        """Note that an upstream answers, and which."""
        self.is_answered = True
        self.model, self.price = route.model, route.price

    def read_usage(self, usage: object) -> None:
        """Note an upstream's own count, where it gave a sensible one."""
        counts = [usage.get(name, 0) for name in _COUNTS] if isinstance(usage, dict) else []
        if counts and all(isinstance(count, int) and count >= 0 for count in counts):
            self.prompt_tokens, self.completion_tokens = counts
            self.is_counted = True

    def embedded(self, model: str, tokens: int) -> None:
        if not self.is_answered:
            self.model = model
        self.prompt_tokens = tokens
        self.is_counted = True


class Calls:
    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self._metrics = metrics
        self._tracing = tracing

    @contextmanager
    def call(self, operation: Operation, caller: Caller) -> Iterator[Call]:
        """Follow a request; whatever ends it is counted under the status that its caller gets."""
        call = Call(caller, self._tracing.start(operation, caller))
        status = _HUNG_UP
        try:
            yield call
            status = 200
        except ProxyError as error:
            status = error.status
            failed(call.span, error)
            raise
        except Exception:
            status = 500
            raise
        finally:
            self._end(operation, call, status)

    def first_event(self, call: Call) -> None:
        self._metrics.first_event(call.seconds)

    def looked_up(self, *, hits: int, inputs: int) -> None:
        self._metrics.inputs_looked_up(hits, inputs - hits)

    def _end(self, operation: Operation, call: Call, status: int) -> None:
        who = Who(call.caller.tenant, call.caller.purpose, call.model)
        self._metrics.request_ended(operation, who, status, call.seconds)
        if call.is_counted:
            paid_prompt = call.prompt_tokens - call.cached
            kinds = {"prompt": paid_prompt, "cached": call.cached, "completion": call.completion_tokens}
            self._metrics.tokens_used(who, kinds, call.cost)
        elif call.is_answered:
            self._metrics.answer_not_counted(who)
        call.span.set_attributes(
            {
                "gen_ai.response.model": call.model,
                "gen_ai.usage.input_tokens": call.prompt_tokens,
                "gen_ai.usage.output_tokens": call.completion_tokens,
                "http.response.status_code": status,
            }
        )
        call.span.end()
