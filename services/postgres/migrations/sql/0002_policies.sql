-- Whatever has a policy is closed to its owner too. The system sees all; it is not exempt, a policy says so.
create function afterturn_protect(place regclass) returns void language plpgsql set search_path = {path} as $$
begin
  execute format('alter table %s enable row level security, force row level security', place);
  execute format('create policy system on %s to afterturn_system using (true) with check (true)', place);
  execute format('grant select, insert, update, delete on %s to afterturn_system', place);
end $$

-- A tenant sees the vectors of what it sees, and writes those of the memories that it may write.
create function afterturn_protect_vectors(place regclass) returns void language plpgsql set search_path = {path} as $$
begin
  perform afterturn_protect(place);
  execute format(
    'create policy seen on %s for select to afterturn_tenant using (case kind '
    'when ''memory'' then exists (select from memory_versions as version where version.id = item_id) '
    'else exists (select from rooms where rooms.id = room_id) end)', place);
  execute format(
    'create policy written on %s to afterturn_tenant using (kind = ''memory'' and exists ('
    'select from memory_versions as version where version.id = item_id and (version.user_id = (select afterturn_user()) '
    'or version.company_id = (select afterturn_spoken_for()))))', place);
  execute format('grant select, insert, update, delete on %s to afterturn_tenant', place);
end $$

create function afterturn_protect_memories(place regclass) returns void language plpgsql set search_path = {path} as $$
begin
  perform afterturn_protect(place);
  execute format(
    'create policy seen on %s for select to afterturn_tenant using (payload ->> ''owner_type'' = ''company'' '
    'and payload ->> ''owner_id'' = any ((select afterturn_companies())::text[]))', place);
  execute format(
    'create policy owned on %s to afterturn_tenant using ('
    'payload ->> ''owner_type'' = ''user'' and payload ->> ''owner_id'' = (select afterturn_user())::text '
    'or payload ->> ''owner_type'' = ''company'' and payload ->> ''owner_id'' = (select afterturn_spoken_for())::text)',
    place);
  execute format('grant select, insert, update, delete on %s to afterturn_tenant', place);
end $$

do $$
declare
  place text;
begin
  foreach place in array array[
    'rooms', 'messages', 'chunks', 'summaries', 'user_brain', 'company_brain', 'memory_versions', 'memory_sources',
    'mem0_intents'
  ] loop
    perform afterturn_protect(place::regclass);
  end loop;
  for place in select table_name from embedding_models loop
    perform afterturn_protect_vectors(place::regclass);
  end loop;
end $$

create policy seen on rooms for select to afterturn_tenant using (
  owner_type = 'user' and owner_id = (select afterturn_user())
  or owner_type = 'company' and owner_id = any ((select afterturn_companies())::uuid[])
)

create policy seen on messages for select to afterturn_tenant
using (exists (select from rooms where rooms.id = room_id))

create policy seen on chunks for select to afterturn_tenant
using (exists (select from rooms where rooms.id = room_id))

create policy seen on summaries for select to afterturn_tenant
using (exists (select from rooms where rooms.id = room_id))

create policy owned on user_brain to afterturn_tenant using (user_id = (select afterturn_user()))

create policy seen on company_brain for select to afterturn_tenant
using (company_id = any ((select afterturn_companies())::uuid[]))

create policy owned on company_brain to afterturn_tenant using (company_id = (select afterturn_spoken_for()))

create policy seen on memory_versions for select to afterturn_tenant
using (company_id = any ((select afterturn_companies())::uuid[]))

create policy owned on memory_versions to afterturn_tenant
using (user_id = (select afterturn_user()) or company_id = (select afterturn_spoken_for()))

create policy seen on memory_sources for select to afterturn_tenant
using (exists (select from memory_versions as version where version.id = version_id))

create policy owned on memory_sources to afterturn_tenant
using (exists (
  select from memory_versions as version where version.id = version_id
  and (version.user_id = (select afterturn_user()) or version.company_id = (select afterturn_spoken_for()))
))

create policy owned on mem0_intents to afterturn_tenant using (
  owner_type = 'user' and owner_id = (select afterturn_user())
  or owner_type = 'company' and owner_id = (select afterturn_spoken_for())
)

grant select on rooms, messages, chunks, summaries, embedding_models to afterturn_tenant

grant select, insert, update, delete on user_brain, company_brain, memory_versions, memory_sources, mem0_intents
to afterturn_tenant

grant select, insert, update, delete on embedding_models, model_answers, quarantine to afterturn_system

grant select on profiles, companies, company_members to afterturn_system

do $$
declare
  place text;
begin
  -- The host's own tables are the host's to write.
  foreach place in array array['profiles', 'companies', 'company_members'] loop
    if obj_description(place::regclass, 'pg_class') = '{made_here}' then
      execute format('grant insert, update, delete on %I to afterturn_system', place);
    end if;
  end loop;
end $$

revoke execute on function afterturn_make_vectors, afterturn_make_memories, afterturn_know_owner, afterturn_archived,
  afterturn_entity_of, afterturn_leave_intent, afterturn_leave_intents, afterturn_companies, afterturn_spoken_for,
  afterturn_protect, afterturn_protect_vectors, afterturn_protect_memories from public

grant execute on function afterturn_know_owner, afterturn_archived, afterturn_companies, afterturn_spoken_for
to afterturn_system, afterturn_tenant

grant execute on function afterturn_make_vectors, afterturn_make_memories, afterturn_entity_of to afterturn_system
