    select 2 as lot, s.id::text as place, 0 as seq, m.sent_at as happened_at, length(s.lexemes) as size,
           case when s.lexemes @@ (select readings from any_word) then
               array(select number from asked where s.lexemes @@ asked.readings)
           end as said,
           nullif(1 - (e.embedding <=> (select vector from asking)), 'NaN') as similarity,
           case when s.lexemes @@ (select names from asking) then 0.2::float8 else 0 end
           + case when m.sent_at <@ (select times from asking) then 0.2::float8 else 0 end as bonus
    from summaries as s
    join messages as m on m.room_id = s.room_id and m.seq = s.covers_to
    left join {vectors} as e on e.item_id = s.id and e.room_id = s.room_id
    where s.kind = 'chunk' and {conditions}

    select 'summary' as kind, s.id::text as id, s.room_id, s.covers_to as seq, 'summary' as role, s.text, s.made_by,
           null as slug, null::uuid as user_id, null::uuid as company_id, null::timestamptz as valid_from,
           null::timestamptz as valid_to
    from summaries as s
    where s.id = case k.lot when 2 then cast(k.place as uuid) end
