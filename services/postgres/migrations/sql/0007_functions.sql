-- What a writer asks first, and holds until its transaction ends: a forgetting of these owners waits for it, and it
-- waits for one that is being written down. The locks are taken in one order. Answers the owners that were ever
-- forgotten. A tenant may ask for itself only.
create function afterturn_enter(owner_types text[], owner_ids uuid[])
returns table (owner_type text, owner_id uuid, epoch bigint, claimed_before timestamptz)
language plpgsql volatile security definer set search_path = {path} as $$
begin
  if current_setting('role') = 'afterturn_tenant' and exists (
    select from unnest(owner_types, owner_ids) as asked (type, id)
    where id is distinct from case type when 'user' then afterturn_user() else afterturn_spoken_for() end
  ) then
    raise insufficient_privilege using message = 'the owner is somebody else';
  end if;
  perform pg_advisory_xact_lock_shared(key) from (
    select distinct hashtextextended('forget ' || type || ' ' || id, 0) as key
    from unnest(owner_types, owner_ids) as asked (type, id) order by key
  ) as keys;
  return query
    select known.owner_type, known.owner_id, known.epoch, known.claimed_before
    from owner_epochs as known join unnest(owner_types, owner_ids) as asked (type, id)
    on known.owner_type = asked.type and known.owner_id = asked.id;
end $$

-- Whether one of these messages was forgotten. Those that stand are held until the transaction ends, so that they are
-- not forgotten meanwhile.
create function afterturn_forgotten(uids uuid[]) returns boolean
language plpgsql volatile security definer set search_path = {path} as $$
begin
  perform from messages where uid = any (uids) order by uid for key share;
  return exists (select from forgotten_messages where uid = any (uids));
end $$

-- What becomes of the owner's own row: ours is deleted, of the host's only the columns are emptied that we added.
create function afterturn_forget_owner(owner_type text, owner_id uuid) returns text
language plpgsql security definer set search_path = {path} as $$
declare
  place regclass := case owner_type when 'user' then 'profiles' when 'company' then 'companies' end;
  ours text;
  found_one boolean;
begin
  execute format('select true from %s where id = $1 for update', place) into found_one using owner_id;
  if found_one is null then
    return 'none';
  end if;
  if obj_description(place, 'pg_class') = '{made_here}' then
    execute format('delete from %s where id = $1', place) using owner_id;
    return 'deleted';
  end if;
  select string_agg(format('%I = null', attname), ', ') into ours from pg_attribute
  where attrelid = place and not attisdropped and col_description(place, attnum) = '{added_here}';
  if ours is not null then
    execute format('update %s set %s where id = $1', place, ours) using owner_id;
  end if;
  return 'cleared';
end $$
