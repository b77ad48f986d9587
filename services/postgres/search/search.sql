-- One statement for hybrid search: exact over all that is in scope, so that a filter never costs recall.
-- The words of the question are put in as `asked`, the kinds that are asked for as `found`; every value is bound.
-- Nothing large is joined to an intermediate result: their sizes are unknown to the planner, and a wrong guess would
-- compare each message with each. What belongs together is gathered by grouping.
with asking as materialized (
    select cast(cast(:vector as text) as vector) as vector,
           nullif(cast(cast(:times as text) as tstzmultirange), '{}') as times,
           cast(:speakers as text[]) as speakers,
           cast(string_agg(quote_literal(name), ' | ') as tsquery) as names
    from unnest(cast(:languages as text[])) as language,
         unnest(tsvector_to_array(text_lexemes(language, array_to_string(cast(:speakers as text[]), ' ')))) as name
),
{asked}
any_word as materialized (
    select cast(string_agg('(' || cast(readings as text) || ')', ' | ') as tsquery) as readings from asked
),
-- The messages of a `place` are neighbours by `seq`; all else is in a place of its own. `said` are the numbers of the
-- question's words in it; its `size` is weighed against the mean of its `lot`. A vector of zeros
-- is near to nothing: its distance is no number, and would come before all others.
found as materialized (
{found}
),
counts as materialized (
    select count(*)::float8 as documents,
           avg(similarity) as usual,
           nullif(stddev_pop(similarity), 0) * 2 * sqrt(ln(cast(greatest(count(similarity), 3) as float8))) as reach,
           array[
               avg(size) filter (where lot = 1), avg(size) filter (where lot = 2), avg(size) filter (where lot = 3)
           ]::float8[] as sizes
    from found
),
said as materialized (
    select place, seq, number,
           1 / (0.6::float8 + 0.4::float8 * size / greatest(((select sizes from counts))[lot], 1)) as weight
    from found, unnest(said) as number
    where said is not null
),
rarity as materialized (
    select array_agg(weight order by number) as weights, nullif(sum(weight), 0) as most
    from (
        select number,
               case when times > 0 then ln(1 + (documents - times + 0.5) / (times + 0.5)) else 0 end as weight
        from counts, (
            select number, sum(times) as times
            from (
                select number, count(*) as times from said group by number
                union all
                select number, 0 from asked
            ) as each
            group by number
        ) as by_word
    ) as weighed
),
-- BM25 over a message and its neighbours, as BM25F has it over fields: what is said one message away counts 0.6, two
-- away 0.36. How often one message says a word plays no part.
matched as (
    select place, seq,
           sum(((select weights from rarity))[number] * weight / (weight + 0.8)) / (select most from rarity) as words
    from (
        select place, seq + away as seq, number, sum(weight * share) as weight
        from said, (values (0, 1::float8), (-1, 0.6), (1, 0.6), (-2, 0.36), (2, 0.36)) as distance (away, share)
        where away = 0 or seq > 0
        group by place, seq + away, number
    ) as near
    group by place, seq
),
gathered as (
    select place, seq, max(lot) as lot, max(happened_at) as happened_at, max(bonus) as bonus,
           coalesce(max(words), 0) as words,
           -- What is alone, or as near as all the others, has nothing to stand out from: it is as near as it is.
           coalesce(
               greatest(max(similarity) - (select usual from counts), 0) / (select reach from counts),
               greatest(max(similarity), 0),
               0
           ) as meaning
    from (
        select place, seq, lot, happened_at, bonus, similarity, null::float8 as words from found
        union all
        select place, seq, null, null, null, null, words from matched
    ) as parts
    group by place, seq
),
-- A summary says a little of everything: weighed as the rest, it would be found for anything. Age takes a tenth at the
-- most; exp of what is older than 60 years is an error, not 0.
best as (
    select lot, place, seq, happened_at,
           (0.7 * words + 0.3 * least(meaning, 1) + bonus) * case lot when 2 then 0.75 else 1 end
           * (0.9 + 0.1 * exp(-least(600, greatest(
               0, cast(extract(epoch from cast(:now as timestamptz) - happened_at) as float8) / (30 * 86400)
           )))) as score
    from gathered
    where lot is not null and words + meaning > 0
    order by score desc, happened_at desc, place, seq desc
    limit :limit
)
select k.happened_at, k.score, told.*
from best as k, lateral (
{told}
) as told
order by k.score desc, k.happened_at desc, k.place, k.seq desc
