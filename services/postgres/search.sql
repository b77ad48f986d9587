-- One statement for hybrid search: exact over the rooms in scope, so that a filter never costs recall.
-- {vectors} is the embedding model's table, or an empty one; every value is bound.
with scope as (
    select m.uid as id, 'message' as kind, m.room_id, m.seq, m.lexemes, m.sent_at as happened_at,
           lag(m.uid) over (partition by m.room_id order by m.seq) as before_id
    from messages m join rooms r on r.id = m.room_id
    where (cast(:room_id as text) is null or m.room_id = :room_id)
      and (cast(:user_id as text) is null or r.user_id = :user_id)
    union all
    select s.id, 'summary', s.room_id, s.covers_to, s.lexemes, m.sent_at, null
    from summaries s
    join rooms r on r.id = s.room_id
    join messages m on m.room_id = s.room_id and m.seq = s.covers_to
    where s.kind = 'chunk'
      and (cast(:room_id as text) is null or s.room_id = :room_id)
      and (cast(:user_id as text) is null or r.user_id = :user_id)
),
-- The question is stemmed in every language that the archive may hold. Words that Postgres calls stop words in
-- English or Spanish are left out of the unstemmed reading too.
asked as (
    select distinct lexeme
    from unnest(array['english', 'spanish', 'portuguese', 'french', 'german', 'italian']) as language,
         unnest(tsvector_to_array(text_lexemes(language, :query))) as lexeme
    union
    select word from unnest(tsvector_to_array(text_lexemes('simple', :query))) as word
    where cardinality(ts_lexize('english_stem', word)) > 0 and cardinality(ts_lexize('spanish_stem', word)) > 0
),
-- BM25 as Robertson and Zaragoza (2009) give it, k1 = 1.2, b = 0.75; a document's length is its count of distinct
-- lexemes, and counts are taken in the scope, so one owner's words never weigh in another's search.
counts as (
    select count(*)::float8 as documents, greatest(avg(length(lexemes)), 1)::float8 as mean_length from scope
),
hits as (
    select s.id, length(s.lexemes) as words, t.lexeme, coalesce(cardinality(t.positions), 1)::float8 as frequency
    from scope s cross join lateral unnest(s.lexemes) as t(lexeme, positions, weights)
    where t.lexeme in (select lexeme from asked)
),
spread as (
    select lexeme, count(*)::float8 as holding from hits group by lexeme
),
bm25 as (
    select h.id, sum(
        ln(1 + (c.documents - d.holding + 0.5) / (d.holding + 0.5))
        * h.frequency * 2.2 / (h.frequency + 1.2 * (0.25 + 0.75 * h.words / c.mean_length))
    ) as score
    from hits h join spread d using (lexeme) cross join counts c
    group by h.id
),
nearness as (
    select s.id, 1 - (v.embedding <=> cast(:vector as vector)) as score
    from scope s join {vectors} v on v.item_id = s.id
),
-- Both scores are brought to 0..1 and fused half and half: fusing by rank was no better than BM25 alone.
fused as (
    select s.*,
           0.5 * coalesce(b.score / nullif(max(b.score) over (), 0), 0)
         + 0.5 * coalesce((v.score - min(v.score) over ()) / nullif(max(v.score) over () - min(v.score) over (), 0), 0)
           as score
    from scope s left join bm25 b using (id) left join nearness v using (id)
),
-- A message is read with the one before it; age takes a tenth at the most.
ranked as (
    select f.id, f.kind, f.room_id, f.seq, f.happened_at,
           (f.score + 0.3 * coalesce(p.score, 0))
           * (0.9 + 0.1 * exp(-greatest(extract(epoch from now() - f.happened_at), 0) / (30 * 86400.0))) as score
    from fused f left join fused p on p.id = f.before_id
    where f.score > 0
    order by score desc, f.room_id, f.seq desc, f.id
    limit :limit
)
select k.kind, k.room_id, k.seq, k.happened_at, k.score,
       coalesce(m.id, k.id::text) as id,
       coalesce(m.role, 'summary') as role,
       coalesce(m.content, s.text) as text,
       s.made_by
from ranked k
left join messages m on k.kind = 'message' and m.uid = k.id
left join summaries s on k.kind = 'summary' and s.id = k.id
order by k.score desc, k.room_id, k.seq desc, k.id
