"""Gives each activity class its clients."""

from dataclasses import dataclass

from activities.buffers import BufferActivities
from activities.digest import DigestActivities
from activities.extracting import Extractor
from activities.imports import ImportActivities
from activities.memories import MemoryActivities
from activities.reconcile import ReconcileActivities
from activities.summarising import Summariser
from activities.sweep import SweepActivities
from services.imports.folder import ImportFolder
from services.postgres.imports import Imports
from services.postgres.known_memories import KnownMemories
from services.resources import Resources
from services.settings import BufferSettings, ChunkSettings, ImportSettings, load


@dataclass(frozen=True, slots=True)
class Activities:
    buffers: BufferActivities
    digest: DigestActivities
    memories: MemoryActivities
    sweep: SweepActivities
    imports: ImportActivities
    reconcile: ReconcileActivities


def wire(resources: Resources) -> Activities:
    summariser = Summariser(
        resources.model,
        resources.answers,
        resources.summaries,
        name=resources.models.summary_model,
        chunk_tokens=load(ChunkSettings).chunk_tokens,
        answer_tokens=resources.models.summary_tokens,
    )
    extractor = Extractor(
        resources.model,
        resources.answers,
        KnownMemories(resources.database, resources.models.embedding_model),
        name=resources.models.summary_model,
        chunk_tokens=load(ChunkSettings).chunk_tokens,
        answer_tokens=resources.models.summary_tokens,
    )
    imports = Imports(resources.database)
    return Activities(
        buffers=BufferActivities(resources.buffer, resources.archive, resources.rooms, load(BufferSettings)),
        digest=DigestActivities(
            resources.chunks,
            summariser,
            extractor if resources.memories.is_configured else None,
            resources.summaries,
            resources.embeddings,
            resources.model,
            embedding_model=resources.models.embedding_model,
        ),
        memories=MemoryActivities(resources.chunks, extractor, resources.memories),
        sweep=SweepActivities(resources.temporal, resources.buffer, resources.rooms, resources.quarantine, imports),
        imports=ImportActivities(resources.archive, imports, ImportFolder(load(ImportSettings).import_folder)),
        reconcile=ReconcileActivities(resources.memory_store),
    )
