-- One statement for hybrid search: exact over the rooms in scope, so that a filter never costs recall.
-- {vectors} is the embedding model's table, or an empty one; every value is bound.
-- Nothing joins one intermediate result to another: their sizes are unknown to the planner, and a wrong guess would
-- compare each message with each.
--
-- The question is stemmed in every language that the archive may hold. Words that Postgres calls stop words in
-- English or Spanish are left out of the unstemmed reading too.
with asked as materialized (
    select array_agg(lexeme) as words, string_agg(quote_literal(lexeme), ' | ')::tsquery as any_word
    from (
        select lexeme
        from unnest(array['english', 'spanish', 'portuguese', 'french', 'german', 'italian']) as language,
             unnest(tsvector_to_array(text_lexemes(language, :query))) as lexeme
        union
        select word from unnest(tsvector_to_array(text_lexemes('simple', :query))) as word
        where cardinality(ts_lexize('english_stem', word)) > 0 and cardinality(ts_lexize('spanish_stem', word)) > 0
    ) as readings
),
scope as materialized (
    select found.*, 1 - (v.embedding <=> cast(:vector as vector)) as similarity
    from (
        select m.uid as id, 'message' as kind, m.room_id, m.seq, m.lexemes, m.sent_at as happened_at
        from messages m join rooms r on r.id = m.room_id
        where (cast(:room_id as text) is null or m.room_id = :room_id)
          and (cast(:user_id as text) is null or r.user_id = :user_id)
        union all
        select s.id, 'summary', s.room_id, s.covers_to, s.lexemes, m.sent_at
        from summaries s
        join rooms r on r.id = s.room_id
        join messages m on m.room_id = s.room_id and m.seq = s.covers_to
        where s.kind = 'chunk'
          and (cast(:room_id as text) is null or s.room_id = :room_id)
          and (cast(:user_id as text) is null or r.user_id = :user_id)
    ) as found
    left join {vectors} v on v.item_id = found.id
),
-- BM25 as Robertson and Zaragoza (2009) give it, k1 = 1.2, b = 0.75; a document's length is its count of distinct
-- lexemes, and counts are taken in the scope, so one owner's words never weigh in another's search.
counts as materialized (
    select count(*)::float8 as documents, greatest(avg(length(lexemes)), 1)::float8 as mean_length from scope
),
rarity as materialized (
    select t.lexeme, ln(1 + (min(c.documents) - count(*) + 0.5) / (count(*) + 0.5)) as weight
    from scope s, asked a, counts c, unnest(s.lexemes) as t
    where s.lexemes @@ a.any_word and t.lexeme = any(a.words)
    group by t.lexeme
),
scored as (
    select s.*, case when s.lexemes @@ a.any_word then (
        select sum(
            r.weight * coalesce(cardinality(t.positions), 1) * 2.2
            / (coalesce(cardinality(t.positions), 1) + 1.2 * (0.25 + 0.75 * length(s.lexemes) / c.mean_length))
        )
        from rarity r join unnest(s.lexemes) as t on t.lexeme = r.lexeme
    ) end as bm25
    from scope s, asked a, counts c
),
-- Both scores are brought to 0..1 and fused half and half: fusing by rank was no better than BM25 alone.
fused as (
    select *,
           0.5 * coalesce(bm25 / nullif(max(bm25) over (), 0), 0)
         + 0.5 * coalesce(
               (similarity - min(similarity) over ()) / nullif(max(similarity) over () - min(similarity) over (), 0), 0
           ) as fusion
    from scored
),
-- A message is read with the one before it; age takes a tenth at the most.
ranked as (
    select id, kind, room_id, seq, happened_at, fusion,
           (fusion + case kind when 'message' then 0.3 * coalesce(lag(fusion) over before, 0) else 0 end)
           * (0.9 + 0.1 * exp(-greatest(extract(epoch from now() - happened_at), 0) / (30 * 86400.0))) as score
    from fused
    window before as (partition by room_id, kind order by seq)
),
best as (
    select * from ranked where fusion > 0 order by score desc, room_id, seq desc, id limit :limit
)
select k.kind, k.room_id, k.seq, k.happened_at, k.score,
       coalesce(m.id, k.id::text) as id,
       coalesce(m.role, 'summary') as role,
       coalesce(m.content, s.text) as text,
       s.made_by
from best k
left join messages m on k.kind = 'message' and m.uid = k.id
left join summaries s on k.kind = 'summary' and s.id = k.id
order by k.score desc, k.room_id, k.seq desc, k.id
