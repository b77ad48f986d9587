"""Makes another embedding model ready beside the one that is read, and switches to it."""

from temporalio import activity

from activities.fitting_texts import FittingTexts
from activities.heartbeats import heartbeating
from activities.recall import RecallCheck
from activities.reembed_steps import BegunReembed, CheckedRecall, FillInput, FillState, ModelInput, SwitchedModel
from activities.step_pace import StepPace
from services.domain.errors import InvalidInputError, ModelRefusedError, ModelUnavailableError
from services.llm_proxy.client import ModelClient
from services.postgres.vectors.models import EmbeddingModels
from services.postgres.vectors.shadow import Part, ShadowVectors, Unshadowed

# Small, so that a slow model answers in time and live requests come in between.
PAGE_TEXTS = 32
_NOT_FOUND = 404
_FOLLOWS: dict[Part, Part] = {"items": "memories", "memories": "facts"}


class ReembedActivities:
    def __init__(
        self, models: EmbeddingModels, shadow: ShadowVectors, recall: RecallCheck, client: ModelClient
    ) -> None:
        self._models = models
        self._shadow = shadow
        self._recall = recall
        self._client = client
        self._texts = FittingTexts(client)

    @activity.defn
    async def begin_reembed(self, input: ModelInput) -> BegunReembed:  # noqa: A002
        """Ask the model for its dimensions, and have everybody write it from now on."""
        async with heartbeating():
            dimensions = await self._dimensions(input.model)
            role = await self._models.begin(input.model, dimensions)
            if role == "idle":
                raise InvalidInputError("model", "one that is not being dropped")
            missing = await self._shadow.missing(input.model)
        return BegunReembed(role=role, dimensions=dimensions, missing=missing)

    @activity.defn
    async def fill_vectors(self, input: FillInput) -> FillState:  # noqa: A002
        """Embed what the model misses for some seconds, from where the last attempt was; answer how far it came."""
        told = activity.info().heartbeat_details
        state = FillState.model_validate(told[0]) if told else input.state
        async with heartbeating(lambda: state):
            pace = StepPace(input.max_per_second, largest_batch=PAGE_TEXTS)
            while not (state.finished or pace.is_over() or activity.is_worker_shutdown()):
                page, after = await self._shadow.page(input.model, state.part, after=state.after, limit=pace.batch)
                kept = await self._fill(input.model, state, page)
                state = _next(state, kept, after=after)
                activity.heartbeat(state)
                await pace.wait(len(page))
        return state

    @activity.defn
    async def check_recall(self, input: ModelInput) -> CheckedRecall:  # noqa: A002
        """Tidy up, and search in the new vectors; raise `RecallTooLowError` where they are not good enough."""
        async with heartbeating():
            await self._shadow.prune(input.model)
            return await self._recall.check(input.model)

    @activity.defn
    async def switch_model(self, input: ModelInput) -> SwitchedModel:  # noqa: A002
        """Read the model from now on, unless it misses a vector by now."""
        async with heartbeating():
            return SwitchedModel(missing=await self._models.switch(input.model))

    async def _dimensions(self, model: str) -> int:
        try:
            [vector] = await self._client.embed(model=model, texts=["hello"], input_type="passage", purpose="reembed")
        except ModelUnavailableError as error:
            if error.status == _NOT_FOUND:
                raise InvalidInputError("model", f"one that the LLM proxy knows; {model} it does not") from None
            raise
        except ModelRefusedError:
            raise InvalidInputError("model", f"one that embeds; {model} refuses to") from None
        return len(vector)

    async def _fill(self, model: str, state: FillState, page: list[Unshadowed]) -> int:
        if not page:
            return 0
        made: dict[Unshadowed, list[float]] = {}
        for one, vector in zip(page, await self._texts.embed(model, [each.text for each in page]), strict=True):
            if vector is None:
                raise InvalidInputError("model", f"one that embeds all that the current one has; it refuses {one.id}")
            made[one] = vector
        return await self._shadow.keep(model, state.part, made)


def _next(state: FillState, kept: int, *, after: object) -> FillState:
    embedded = state.embedded + kept
    if after is not None:
        return state.model_copy(update={"after": after, "embedded": embedded})
    if (part := _FOLLOWS.get(state.part)) is not None:
        return FillState(part=part, embedded=embedded)
    return state.model_copy(update={"finished": True})
