    select 1 as lot, m.room_id as place, m.seq, m.sent_at as happened_at, length(m.lexemes) as size,
           case when m.lexemes @@ (select readings from any_word) then
               array(select number from asked where m.lexemes @@ asked.readings)
           end as said,
           nullif(1 - (e.embedding <=> (select vector from asking)), 'NaN') as similarity,
           case when m.user_id = any ((select speakers from asking)::text[]) then 0.2::float8 else 0 end
           + case when m.sent_at <@ (select times from asking) then 0.2::float8 else 0 end as bonus
    from messages as m
    left join {vectors} as e on e.item_id = m.uid and e.room_id = m.room_id
    where {conditions}

    select 'message' as kind, m.id, m.room_id, m.seq, m.role, m.content as text, null as made_by, null as slug,
           null::uuid as user_id, null::uuid as company_id, null::timestamptz as valid_from, null::timestamptz as valid_to
    from messages as m
    where k.lot = 1 and m.room_id = k.place and m.seq = k.seq
