-- Facts of one owner, by words (BM25) and by meaning, exact over all of them; as search.sql does it for memories.
with asking as materialized (select cast(cast(:vector as text) as vector) as vector),
{asked}
found as materialized (
    select s.id, s.updated_at, length(s.lexemes) as size,
           array(select number from asked where s.lexemes @@ asked.readings) as said,
           nullif(1 - (v.embedding <=> (select vector from asking)), 'NaN') as similarity
    from section_values as s
    left join section_vectors as v
        on v.value_id = s.id and v.version = s.version and v.model = :model
        and vector_dims(v.embedding) = vector_dims((select vector from asking))
    where s.owner_type = :owner_type and s.owner_id = :owner_id and s.section = 'facts'
        and (cast(:namespaces as text[]) is null or s.namespace = any (cast(:namespaces as text[])))
),
counts as materialized (
    select count(*)::float8 as documents, avg(size)::float8 as size,
           avg(similarity) as usual,
           nullif(stddev_pop(similarity), 0) * 2 * sqrt(ln(cast(greatest(count(similarity), 3) as float8))) as reach
    from found
),
said as materialized (
    select id, number, 1 / (0.6::float8 + 0.4::float8 * size / greatest((select size from counts), 1)) as weight
    from found, unnest(said) as number
),
rarity as materialized (
    select asked.number,
           case when times > 0 then ln(1 + ((select documents from counts) - times + 0.5) / (times + 0.5)) else 0 end
           as weight
    from asked, lateral (select count(*) as times from said where said.number = asked.number) as counted
),
matched as (
    select said.id, sum(rarity.weight * said.weight / (said.weight + 0.8))
           / nullif((select sum(weight) from rarity), 0) as words
    from said join rarity using (number)
    group by said.id
),
scored as (
    select found.id, found.updated_at, coalesce(matched.words, 0) as words,
           coalesce(case
               when reach is null then greatest(similarity, 0) else greatest(similarity - usual, 0) / reach
           end, 0) as meaning
    from found cross join counts left join matched on matched.id = found.id
)
select s.key, s.namespace, s.value, s.is_compressed, s.raw_size, s.version,
       0.7 * words + 0.3 * least(meaning, 1) as score
from scored join section_values as s on s.id = scored.id
where words + meaning > 0
order by score desc, s.updated_at desc, s.id
limit :limit
