-- totals: what there is
select jsonb_build_object(
    'rooms', (select count(*) from rooms),
    'messages', (select coalesce(sum(last_seq), 0) from rooms),
    'user_memories', (select count(*) from user_brain),
    'company_memories', (select count(*) from company_brain),
    'remembered_users', (select count(distinct user_id) from user_brain),
    'remembered_companies', (select count(distinct company_id) from company_brain)
)

-- sizes: the ten largest tables, with their indexes
select coalesce(jsonb_object_agg(name, bytes), '{}') from (
    select relname as name, pg_total_relation_size(oid) as bytes from pg_class
    where relkind = 'r' and relnamespace = current_schema()::regnamespace
    order by bytes desc limit 10
) as largest

-- digest: how long live turns waited to be digested, and what waits now
with digested as (
    select chunks.room_id, extract(epoch from chunks.digested_at - message.archived_at)::float8 as seconds
    from chunks join messages as message on message.room_id = chunks.room_id and message.seq = chunks.last_seq
    where chunks.state = 'digested' and chunks.digested_at > now() - make_interval(days => :days)
    and message.claim not like 'import/%'
),
by_room as (
    select room_id, count(*) as chunks, percentile_cont(0.5) within group (order by seconds) as p50,
           percentile_cont(0.95) within group (order by seconds) as p95
    from digested group by room_id order by p95 desc limit 20
)
select jsonb_build_object(
    'chunks', (select count(*) from digested),
    'p50_seconds', (select round(percentile_cont(0.5) within group (order by seconds)::numeric, 3) from digested),
    'p95_seconds', (select round(percentile_cont(0.95) within group (order by seconds)::numeric, 3) from digested),
    'slow_rooms', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'room_id', room_id, 'chunks', chunks, 'p50_seconds', round(p50::numeric, 3),
            'p95_seconds', round(p95::numeric, 3)
        ) order by p95 desc, room_id), '[]') from by_room
    ),
    'waiting_chunks', (select count(*) from chunks where state in ('waiting', 'extracted')),
    'oldest_waiting_seconds', (
        select round(extract(epoch from now() - min(created_at))) from chunks where state in ('waiting', 'extracted')
    )
)

-- extraction: what the chunks of these days taught
with learned as (
    select made_by, count(*) as number from memory_versions
    where recorded_at > now() - make_interval(days => :days) and made_by in ('model', 'verbatim')
    and content is not null and not repeats
    group by made_by
),
made as (
    select made_by, count(*) as number from summaries
    where created_at > now() - make_interval(days => :days) group by made_by
)
select jsonb_build_object(
    'chunks', (
        select count(*) from chunks where state = 'digested' and digested_at > now() - make_interval(days => :days)
    ),
    'memories_by_model', coalesce((select number from learned where made_by = 'model'), 0),
    'memories_verbatim', coalesce((select number from learned where made_by = 'verbatim'), 0),
    'summaries_by_model', coalesce((select number from made where made_by = 'model'), 0),
    'summaries_extractive', coalesce((select number from made where made_by = 'extractive'), 0)
)

-- tokens: what was asked of models for chats
with asked as (
    select answer.model, answer.prompt_tokens, answer.completion_tokens,
           coalesce(rooms.owner_type || ':' || coalesce(
               case rooms.owner_type when 'company' then rooms.company_id else rooms.user_id end, rooms.owner_id::text
           ), rooms.id) as tenant
    from model_answers as answer
    join chunks on chunks.id = answer.chunk_id join rooms on rooms.id = chunks.room_id
    where answer.created_at > now() - make_interval(days => :days)
),
by_model as (
    select model, count(*) as answers, sum(prompt_tokens) as prompt, sum(completion_tokens) as completion
    from asked group by model
),
by_tenant as (
    select tenant, model, count(*) as answers, sum(prompt_tokens) as prompt, sum(completion_tokens) as completion
    from asked group by tenant, model order by sum(prompt_tokens + completion_tokens) desc, tenant, model limit 20
)
select jsonb_build_object(
    'by_model', (
        select coalesce(jsonb_agg(to_jsonb(by_model) order by prompt + completion desc, model), '[]') from by_model
    ),
    'by_tenant', (
        select coalesce(jsonb_agg(to_jsonb(by_tenant) order by prompt + completion desc, tenant, model), '[]')
        from by_tenant
    )
)

-- quarantine: what is open, by reason
select jsonb_build_object(
    'open', coalesce(sum(number), 0), 'by_reason', coalesce(jsonb_object_agg(reason, number), '{}')
) from (select reason, count(*) as number from quarantine where state = 'open' group by reason) as opened

-- sections: how the section store's cache was used
select coalesce(jsonb_object_agg(name, number), '{}') from (
    select name, sum(count) as number from section_counts
    where day > cast(now() at time zone 'UTC' as date) - cast(:days as int)
    group by name
) as counted

-- storage: what the section store holds for good, before and after compression
select coalesce(jsonb_object_agg(section, to_jsonb(kept) - 'section'), '{}') from (
    select section, count(*) as values, sum(raw_size) as raw_bytes, sum(length(value)) as stored_bytes
    from section_values group by section
    union all
    select 'command_history', count(*), sum(raw_size), sum(length(value)) from section_commands having count(*) > 0
) as kept

-- mem0: what is left to do in Mem0 for more than an hour
select jsonb_build_object('standing_intents', count(*)) from mem0_intents where updated_at < now() - interval '1 hour'

-- merges: memories that said the same
select jsonb_build_object(
    'merged', count(*) filter (where done_at is not null), 'undone', count(*) filter (where undone_at is not null)
) from memory_merges where planned_at > now() - make_interval(days => :days)

-- indexes: large ones that nobody reads
select coalesce(jsonb_agg(to_jsonb(unused) order by bytes desc), '[]') from (
    select used.indexrelname as index, pg_relation_size(used.indexrelid) as bytes
    from pg_stat_user_indexes as used join pg_index as made on made.indexrelid = used.indexrelid
    where used.schemaname = current_schema() and used.idx_scan = 0 and not made.indisunique
    and pg_relation_size(used.indexrelid) > 50 * 1024 * 1024
    order by bytes desc limit 20
) as unused

-- dead_rows: tables that autovacuum does not keep up with
select coalesce(jsonb_object_agg(relname, n_dead_tup), '{}') from pg_stat_user_tables
where schemaname = current_schema() and n_dead_tup > greatest(10000, n_live_tup)
