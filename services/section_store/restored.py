"""What the section store drops in Redis after a restore: neither server knows what the other went through."""

from afterturn_client.redis_connection import AnyRedis

from services.domain.sections import BUCKETS
from services.postgres.database import Database
from services.section_store.cache import SectionCache, unavailable
from services.section_store.gate import Gate
from services.section_store.keys import every_list
from services.section_store.scanning import scan_all


async def end_epochs(redis: AnyRedis, database: Database) -> int:
    """Let nobody read again what is cached now; count the epochs that ended."""
    # Neither is asked how long it keeps or trusts anything.
    gate = Gate(database, SectionCache(redis, seconds=1), trust_seconds=1)
    for bucket in range(BUCKETS):
        await gate.end_epoch(bucket)
    return BUCKETS


async def drop_temporaries(redis: AnyRedis) -> int:
    """Drop the values that are of use for a moment: one that was used up may have come back; count them."""
    values = await scan_all(redis, every_list("temporary:*"))
    for key in [*values, *await scan_all(redis, every_list("temporaries"))]:
        with unavailable():
            await redis.unlink(key)
    return len(values)
