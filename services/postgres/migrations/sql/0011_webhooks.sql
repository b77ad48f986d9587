create function afterturn_external_id(owner_type text, owner_id uuid) returns text
language sql stable security definer set search_path = {path} as $$
  select external_id::text from profiles where owner_type = 'user' and id = owner_id
  union all
  select external_id::text from companies where owner_type = 'company' and id = owner_id
$$

-- Nothing is read but the few webhooks where nobody wants to be told.
create function afterturn_queue_digested() returns trigger
language plpgsql security definer set search_path = {path} as $$
begin
  if not exists (select from webhooks where active and 'message.digested' = any (events)) then
    return null;
  end if;
  insert into outbox (webhook_id, event_id, type, subject_id, owner_type, owner_id, data)
  select webhook.id, told.event_id, 'message.digested', told.uid, told.owner_type, told.owner_id, told.data
  from (
    select gen_random_uuid() as event_id, message.seq, message.uid, room.owner_type, room.owner_id, jsonb_build_object(
      'room_id', room.id,
      'message_id', message.id,
      'seq', message.seq,
      'owner', case when room.owner_id is not null then jsonb_build_object('type', room.owner_type, 'id', room.owner_id,
        'external_id', afterturn_external_id(room.owner_type, room.owner_id)) end,
      'run_id', new.run_id
    ) as data
    from messages as message join rooms as room on room.id = message.room_id
    where message.room_id = new.room_id and message.seq between new.first_seq and new.last_seq
  ) as told
  join webhooks as webhook on webhook.active and 'message.digested' = any (webhook.events)
  and (webhook.owner_id is null or webhook.owner_type = told.owner_type and webhook.owner_id = told.owner_id)
  order by told.seq, webhook.id
  -- One that is being removed is waited for and left out, where the foreign key would fail.
  for key share of webhook;
  return null;
end $$

create function afterturn_queue_changed() returns trigger
language plpgsql security definer set search_path = {path} as $$
declare
  entry jsonb := case tg_op when 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
  kind_of_owner text := tg_argv[0];
  owner uuid := (entry ->> (tg_argv[0] || '_id'))::uuid;
  brain uuid := (entry ->> 'id')::uuid;
  event uuid := gen_random_uuid();
begin
  if not exists (select from webhooks where active and 'memory.changed' = any (events)) then
    return null;
  end if;
  insert into outbox (webhook_id, event_id, type, subject_id, owner_type, owner_id, data)
  select webhook.id, event, 'memory.changed', brain, kind_of_owner, owner, jsonb_build_object(
    'change', case tg_op when 'INSERT' then 'created' when 'UPDATE' then 'updated' else 'ended' end,
    'memory_id', entry ->> 'memory_id',
    'kind', version.kind,
    'version_id', version.id,
    'owner', jsonb_build_object('type', kind_of_owner, 'id', owner,
      'external_id', afterturn_external_id(kind_of_owner, owner)),
    'run_id', version.run_id
  )
  from webhooks as webhook
  left join memory_versions as version on version.brain_id = brain and version.is_current
  where webhook.active and 'memory.changed' = any (webhook.events)
  and (webhook.owner_id is null or webhook.owner_type = kind_of_owner and webhook.owner_id = owner)
  order by webhook.id
  for key share of webhook;
  return null;
end $$

-- Of a message that is gone, nobody is told any more.
create function afterturn_drop_events() returns trigger
language plpgsql security definer set search_path = {path} as $$
begin
  delete from outbox where subject_id = old.uid;
  return null;
end $$

create trigger queue_digested after update on chunks
for each row when (new.state = 'digested' and old.state is distinct from 'digested')
execute function afterturn_queue_digested()

create trigger queue_added after insert on user_brain for each row execute function afterturn_queue_changed('user')

create trigger queue_changed after update on user_brain
for each row when (old.content is distinct from new.content or old.extra_metadata is distinct from new.extra_metadata)
execute function afterturn_queue_changed('user')

create trigger queue_ended after delete on user_brain for each row execute function afterturn_queue_changed('user')

create trigger queue_added after insert on company_brain
for each row execute function afterturn_queue_changed('company')

create trigger queue_changed after update on company_brain
for each row when (old.content is distinct from new.content or old.extra_metadata is distinct from new.extra_metadata)
execute function afterturn_queue_changed('company')

create trigger queue_ended after delete on company_brain
for each row execute function afterturn_queue_changed('company')

create trigger drop_events after delete on messages for each row execute function afterturn_drop_events()

-- They write as the system: whoever changes a memory sees no webhook.
grant create on schema {schema} to afterturn_system

alter function afterturn_queue_digested owner to afterturn_system

alter function afterturn_queue_changed owner to afterturn_system

alter function afterturn_drop_events owner to afterturn_system

revoke create on schema {schema} from afterturn_system

revoke execute on function afterturn_external_id, afterturn_queue_digested, afterturn_queue_changed,
  afterturn_drop_events from public

grant execute on function afterturn_external_id to afterturn_system
