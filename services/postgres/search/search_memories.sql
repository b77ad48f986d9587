    select 3 as lot, v.id::text as place, 0 as seq, v.asserted_at as happened_at, length(v.lexemes) as size,
           case when v.lexemes @@ (select readings from any_word) then
               array(select number from asked where v.lexemes @@ asked.readings)
           end as said,
           nullif(1 - (coalesce(known.vector, e.embedding) <=> (select vector from asking)), 'NaN') as similarity,
           case when v.lexemes @@ (select names from asking) then 0.2::float8 else 0 end
           + case when v.asserted_at <@ (select times from asking) then 0.2::float8 else 0 end as bonus
    from {versions} as v
    left join {memories} as known on known.id = v.brain_id and v.is_current
    left join {vectors} as e on e.item_id = v.id
    where v.content is not null and v.kind = any (cast(:kinds as text[])) and {conditions}

    select v.kind, v.id::text as id, null as room_id, null::bigint as seq, 'memory' as role, v.content as text,
           v.made_by, v.slug, v.user_id, v.company_id, v.asserted_at as valid_from,
           (
               select min(later.asserted_at) from memory_versions as later
               where later.brain_id = v.brain_id and not later.repeats
                 and (later.asserted_at, later.content is not null, later.id) > (v.asserted_at, true, v.id)
           ) as valid_to
    from memory_versions as v
    where v.id = case k.lot when 3 then cast(k.place as uuid) end
