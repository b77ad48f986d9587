"""Gives each activity class its clients."""

from dataclasses import dataclass

from activities.buffers import BufferActivities
from activities.digest import DigestActivities
from activities.summarising import Summariser
from activities.sweep import SweepActivities
from services.resources import Resources
from services.settings import BufferSettings, ChunkSettings, load


@dataclass(frozen=True, slots=True)
class Activities:
    buffers: BufferActivities
    digest: DigestActivities
    sweep: SweepActivities


def wire(resources: Resources) -> Activities:
    summariser = Summariser(
        resources.model,
        resources.answers,
        resources.summaries,
        name=resources.models.summary_model,
        chunk_tokens=load(ChunkSettings).chunk_tokens,
        answer_tokens=resources.models.summary_tokens,
    )
    return Activities(
        buffers=BufferActivities(resources.buffer, resources.archive, resources.rooms, load(BufferSettings)),
        digest=DigestActivities(
            resources.chunks,
            summariser,
            resources.summaries,
            resources.embeddings,
            resources.model,
            embedding_model=resources.models.embedding_model,
        ),
        sweep=SweepActivities(resources.temporal, resources.buffer, resources.rooms, resources.quarantine),
    )
