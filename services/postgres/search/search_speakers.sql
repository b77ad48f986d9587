-- Who speaks in the rooms in scope. Each is found by a step in the index, however much they say.
with recursive latest as materialized (
    select r.id from rooms as r where {conditions} order by r.last_archived_at desc limit :most_rooms
),
speakers as (
    select latest.id, (select min(m.user_id) from messages as m where m.room_id = latest.id) as user_id
    from latest
    union all
    select before.id,
           (select min(m.user_id) from messages as m where m.room_id = before.id and m.user_id > before.user_id)
    from speakers as before where before.user_id is not null
)
select distinct user_id from speakers where user_id is not null
