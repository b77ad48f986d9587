"""Gives each activity class its clients."""

from dataclasses import dataclass

from activities.buffers import BufferActivities
from activities.digest import DigestActivities
from activities.extracting import Extractor
from activities.forgetting import ForgetActivities
from activities.forgotten_buffers import ForgottenBuffers
from activities.imports import ImportActivities
from activities.loading import LoadActivities
from activities.memories import ExtractedMemories, MemoryActivities
from activities.model_answers import RecordedModel
from activities.recall import RecallCheck
from activities.reconcile import ReconcileActivities
from activities.reembedding import ReembedActivities
from activities.row_loader import RowLoader
from activities.summarising import Summariser
from activities.sweep import SweepActivities
from activities.waking_digests import DigestWaker
from activities.waking_webhooks import WebhookWaker
from activities.webhooks import WebhookActivities
from services.imports.folder import ImportFolder
from services.memories.prefetching import Prefetching
from services.postgres.api.outbox import Outbox
from services.postgres.archive.imports import Imports
from services.postgres.memories.owner_rows import OwnerRows
from services.postgres.vectors.models import EmbeddingModels
from services.postgres.vectors.shadow import ShadowVectors
from services.resources import Resources
from services.room_buffer.erasing import BufferErasing
from services.settings import (
    BufferSettings,
    ChunkSettings,
    ImportSettings,
    Mem0Settings,
    ReembedSettings,
    WebhookSettings,
    load,
)
from services.worker.maintenance import Maintenance, wire_maintenance


@dataclass(frozen=True, slots=True)
class Activities:
    buffers: BufferActivities
    digest: DigestActivities
    memories: MemoryActivities
    sweep: SweepActivities
    imports: ImportActivities
    loading: LoadActivities
    reconcile: ReconcileActivities
    maintenance: Maintenance
    reembedding: ReembedActivities
    forgetting: ForgetActivities
    webhooks: WebhookActivities
    waker: WebhookWaker


def wire(resources: Resources, prefetching: Prefetching) -> Activities:
    model = RecordedModel(
        resources.model,
        resources.answers,
        name=resources.models.summary_model,
        answer_tokens=resources.models.summary_tokens,
    )
    chunk_tokens = load(ChunkSettings).chunk_tokens
    summariser = Summariser(model, chunk_tokens=chunk_tokens)
    extractor = Extractor(model, chunk_tokens=chunk_tokens)
    extracted = ExtractedMemories(extractor, resources.memories)
    # The open-source Mem0 writes in our transactions, so that saving is no wait for anybody else.
    at_once = load(Mem0Settings).mem0_backend == "open_source"
    imports = Imports(resources.database)
    outbox = Outbox(resources.database)
    waker = WebhookWaker(resources.temporal, outbox)
    return Activities(
        buffers=BufferActivities(
            resources.buffer,
            resources.archive,
            resources.rooms,
            DigestWaker(resources.temporal),
            prefetching,
            load(BufferSettings),
        ),
        digest=DigestActivities(
            resources.digests,
            resources.chunks,
            summariser,
            extractor if resources.memories.is_configured else None,
            extracted if at_once else None,
            resources.vectors,
            resources.model,
        ),
        memories=MemoryActivities(resources.chunks, extracted),
        sweep=SweepActivities(
            resources.temporal, resources.buffer, resources.rooms, resources.quarantine, imports, webhooks=waker
        ),
        imports=ImportActivities(resources.archive, imports, ImportFolder(load(ImportSettings).import_folder)),
        loading=LoadActivities(OwnerRows(resources.database), _row_loader(resources), resources.temporal),
        reconcile=ReconcileActivities(resources.memory_store),
        maintenance=wire_maintenance(resources),
        reembedding=_reembedding(resources),
        forgetting=_forgetting(resources),
        webhooks=WebhookActivities(outbox, load(WebhookSettings)),
        waker=waker,
    )


def _reembedding(resources: Resources) -> ReembedActivities:
    asked = load(ReembedSettings)
    recall = RecallCheck(resources.database, resources.model, least=asked.reembed_recall, samples=asked.reembed_samples)
    database = resources.database
    return ReembedActivities(EmbeddingModels(database), ShadowVectors(database), recall, resources.model)


def _forgetting(resources: Resources) -> ForgetActivities:
    mem0 = load(Mem0Settings)
    # The open-source Mem0 writes in our transactions: nothing of it lands later.
    lands_late = resources.memory_store is not None and mem0.mem0_backend != "open_source"
    return ForgetActivities(
        resources.temporal,
        ForgottenBuffers(BufferErasing(resources.redis, resources.buffer), resources.database),
        resources.database,
        resources.memory_store,
        ImportFolder(load(ImportSettings).import_folder),
        resources.owners_data,
        grace_seconds=mem0.mem0_grace_seconds if lands_late else 0.0,
    )


def _row_loader(resources: Resources) -> RowLoader:
    return RowLoader(
        resources.memories,
        resources.model,
        resources.vectors,
        blames_owners=load(Mem0Settings).mem0_backend == "open_source",
    )
