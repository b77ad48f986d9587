-- A setting that a pooled session has had before reads as '', not as null.
create function afterturn_user() returns uuid language sql stable parallel safe as $$
  select nullif(current_setting('afterturn.user_id', true), '')::uuid
$$

create function afterturn_company() returns uuid language sql stable parallel safe as $$
  select nullif(current_setting('afterturn.company_id', true), '')::uuid
$$

-- The companies whose rows are seen: the company itself, or those that the person belongs to.
create function afterturn_companies() returns uuid[]
language sql stable parallel safe security definer set search_path = {path} as $$
  select case
    when afterturn_user() is null then array_remove(array[afterturn_company()], null)
    else array(
      select company_id from company_members
      where user_id = afterturn_user() and (afterturn_company() is null or company_id = afterturn_company())
    )
  end
$$

-- The company whose rows may be written: by itself, or by a person who may speak for it.
create function afterturn_spoken_for() returns uuid
language sql stable parallel safe security definer set search_path = {path} as $$
  select case
    when afterturn_user() is null then afterturn_company()
    else (
      select company_id from company_members
      where user_id = afterturn_user() and company_id = afterturn_company() and role in ('owner', 'admin')
    )
  end
$$

-- Mem0's id of an owner, as services.domain.memories.entity_id gives it.
create function afterturn_entity(rut text, id uuid) returns text language sql immutable parallel safe as $$
  select case when bare ~ '^[0-9]{1,9}[0-9k]$' then bare else id::text end
  from (select lower(regexp_replace(rut, '[.\s\u2010-\u2015-]', '', 'g')) as bare) as cleaned
$$

-- Answers whether the owner is known, having added it where the tables allow that, and its RUT. A tenant knows itself
-- only. The host may want more of its people and companies than we know.
create function afterturn_know_owner(owner_type text, owner_id uuid, given text, out known boolean, out rut text)
language plpgsql security definer set search_path = {path} as $$
declare
  place regclass := case owner_type when 'user' then 'profiles' when 'company' then 'companies' end;
  myself uuid := case owner_type when 'user' then afterturn_user() else afterturn_spoken_for() end;
  named boolean;
begin
  if current_setting('role') = 'afterturn_tenant' and owner_id is distinct from myself then
    raise insufficient_privilege using message = 'the owner is somebody else';
  end if;
  execute format('select true, rut::text, external_id is not null from %s where id = $1', place)
    into known, rut, named using owner_id;
  if known and (named or given is null) then
    return;
  end if;
  begin
    if known then
      execute format('update %s set external_id = $2 where id = $1', place) using owner_id, given;
    else
      -- Somebody may be adding the same owner, or another one has the name already.
      execute format('insert into %s (id, external_id) values ($1, $2) on conflict do nothing', place)
        using owner_id, given;
      execute format('select true, rut::text from %s where id = $1', place) into known, rut using owner_id;
      known := coalesce(known, false);
    end if;
  exception when integrity_constraint_violation or insufficient_privilege then
    known := coalesce(known, false);
  end;
end $$

-- Which of these messages are in the archive, whoever may see them: a source may stand in somebody else's room.
create function afterturn_archived(uids uuid[]) returns setof uuid
language sql stable security definer set search_path = {path} as $$
  select uid from messages where uid = any (uids)
$$

-- A brain record that goes leaves word for Mem0. Somebody may be at work on it: who finishes in one transaction with the
-- record is right to drop the intent, so its lease stays.
create function afterturn_leave_intent() returns trigger
language plpgsql security definer set search_path = {path} as $$
declare
  owner uuid := case tg_argv[0] when 'user' then to_jsonb(old) ->> 'user_id' else to_jsonb(old) ->> 'company_id' end;
begin
  insert into mem0_intents (brain_id, action, owner_type, owner_id, slug, entity_id, memory_id)
  values (old.id, 'delete', tg_argv[0], owner, old.slug, afterturn_entity_of(tg_argv[0], owner), old.memory_id)
  on conflict (brain_id) do update set
    action = 'delete', memory_id = excluded.memory_id, updated_at = now(),
    entity_id = coalesce(excluded.entity_id, mem0_intents.entity_id);
  return null;
end $$

-- Null when the owner is gone: by then its own deletion has left word (afterturn_leave_intents).
create function afterturn_entity_of(owner_type text, owner_id uuid) returns text
language sql stable security definer set search_path = {path} as $$
  select afterturn_entity(rut::text, id) from profiles where owner_type = 'user' and id = owner_id
  union all
  select afterturn_entity(rut::text, id) from companies where owner_type = 'company' and id = owner_id
$$

create function afterturn_leave_intents() returns trigger
language plpgsql security definer set search_path = {path} as $$
begin
  insert into mem0_intents (brain_id, action, owner_type, owner_id, slug, entity_id, memory_id)
  select id, 'delete', tg_argv[0], old.id, slug, afterturn_entity(old.rut::text, old.id), memory_id
  from (
    select id, slug, memory_id from user_brain where tg_argv[0] = 'user' and user_id = old.id
    union all
    select id, slug, memory_id from company_brain where tg_argv[0] = 'company' and company_id = old.id
  ) as gone
  on conflict (brain_id) do update set
    action = 'delete', memory_id = excluded.memory_id, entity_id = excluded.entity_id, updated_at = now();
  return null;
end $$

-- Makes a model's tables: its vectors, and what the open-source Mem0 keeps of memories. Answers what stands, which may
-- have been made by somebody else meanwhile.
create function afterturn_make_vectors(model_name text, size bigint, place text) returns void
language plpgsql security definer set search_path = {path} as $$
begin
  if place !~ '^embeddings_[a-z0-9_]{1,52}$' then
    raise invalid_name using message = 'no name of a vector table';
  end if;
  perform pg_advisory_xact_lock(7302118445);
  if exists (select from embedding_models where model = model_name) then
    return;
  end if;
  execute format(
    'create table %1$I (item_id uuid not null, kind text not null, room_id text, embedding vector(%2$s) not null, '
    'constraint %3$I primary key (item_id))', place, size, place || '_pkey');
  execute format('create index on %I (room_id)', place);
  perform afterturn_protect_vectors(place);
  insert into embedding_models (model, dimensions, table_name) values (model_name, size, place);
end $$

create function afterturn_make_memories(model_name text, place text) returns void
language plpgsql security definer set search_path = {path} as $$
declare
  size bigint;
begin
  if place !~ '^mem0_[a-z0-9_]{1,58}$' or place = 'mem0_intents' then
    raise invalid_name using message = 'no name of a table of Mem0';
  end if;
  perform pg_advisory_xact_lock(7302118445);
  select dimensions into size from embedding_models where model = model_name and memory_table is null;
  if size is null then
    return;
  end if;
  execute format('create table %I (id uuid primary key, vector vector(%s), payload jsonb)', place, size);
  execute format('create index on %I ((payload ->> ''owner_id''), (payload ->> ''slug''))', place);
  perform afterturn_protect_memories(place);
  update embedding_models set memory_table = place where model = model_name;
end $$
