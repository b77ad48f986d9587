"""A chat service with a memory: it answers at once; what was said is remembered off the caller's path."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict
from uuid import uuid4

from afterturn_client.errors import ApiRefusedError, ApiUnavailableError, RecordingFailedError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.rooms import ID_PATTERN
from fastapi import FastAPI, Request
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

logger = logging.getLogger(__name__)

INSTRUCTIONS = "You are a helpful assistant. What you remember of this person:"


class Said(BaseModel):
    """`turn_id` makes it safe to send the same turn twice."""

    user_id: Annotated[str, Field(pattern=ID_PATTERN, max_length=190)]
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    turn_id: Annotated[str, Field(default_factory=lambda: uuid4().hex, pattern=ID_PATTERN, max_length=100)]


class Reply(BaseModel):
    text: str
    is_recorded: bool


class Clients(TypedDict):
    memory: MemoryClient
    model: AsyncOpenAI
    model_name: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[Clients]:
    """Open both clients on the loop that serves, and close them on it."""
    url = os.environ.get("LLM_PROXY_URL", "http://localhost:8000")
    key = os.environ.get("LLM_PROXY_API_KEY") or "none"
    async with MemoryClient.connect() as memory, AsyncOpenAI(base_url=f"{url}/v1", api_key=key) as model:
        yield {"memory": memory, "model": model, "model_name": os.environ.get("SUMMARY_MODEL", "qwen3:32b")}


app = FastAPI(title="Chat with a memory", lifespan=lifespan)


@app.post("/chat")
async def chat(said: Said, request: Request) -> Reply:
    memory: MemoryClient = request.state.memory
    model: AsyncOpenAI = request.state.model
    room_id = f"user:{said.user_id}"
    completion = await model.chat.completions.create(
        model=request.state.model_name,
        messages=[
            {"role": "system", "content": f"{INSTRUCTIONS}\n\n{await remembered(memory, room_id, said.text)}"},
            {"role": "user", "content": said.text},
        ],
    )
    reply = completion.choices[0].message.content or ""
    try:
        await memory.record_turn(room_id, user=said.text, assistant=reply, turn_id=said.turn_id)
    except RecordingFailedError as error:
        # The person gets the answer all the same; who sends the turn again with its turn_id doubles nothing.
        logger.warning("A turn was not recorded: %s", error.cause)
        return Reply(text=reply, is_recorded=False)
    return Reply(text=reply, is_recorded=True)


async def remembered(memory: MemoryClient, room_id: str, question: str) -> str:
    """Return the context for a model, or nothing where memory is away: an answer without it is better than none."""
    try:
        return (await memory.context(room_id, query=question, token_budget=1_500)).markdown
    except (ApiUnavailableError, ApiRefusedError) as error:
        logger.warning("Answered without a memory: %s", type(error).__name__)
        return ""
