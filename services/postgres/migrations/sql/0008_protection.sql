do $$
declare
  place text;
begin
  foreach place in array array[
    'section_values', 'section_vectors', 'section_commands', 'section_caches', 'section_counts'
  ] loop
    perform afterturn_protect(place::regclass);
  end loop;
  foreach place in array array['section_values', 'section_commands'] loop
    execute format(
      'create policy seen on %I for select to afterturn_tenant '
      'using (owner_type = ''company'' and owner_id = any ((select afterturn_companies())::uuid[]))', place);
    execute format(
      'create policy owned on %I to afterturn_tenant using ('
      'owner_type = ''user'' and owner_id = (select afterturn_user()) '
      'or owner_type = ''company'' and owner_id = (select afterturn_spoken_for()))', place);
    execute format('grant select, insert, update, delete on %I to afterturn_tenant', place);
  end loop;
end $$

create policy seen on section_vectors for select to afterturn_tenant
using (exists (select from section_values as kept where kept.id = value_id))

create policy owned on section_vectors to afterturn_tenant using (exists (
  select from section_values as kept where kept.id = value_id and (
    kept.owner_type = 'user' and kept.owner_id = (select afterturn_user())
    or kept.owner_type = 'company' and kept.owner_id = (select afterturn_spoken_for())
  )
))

grant select, insert, update, delete on section_vectors to afterturn_tenant

-- Epochs are nobody's: whoever writes must know whether the cache is open.
create policy seen on section_caches for select to afterturn_tenant using (true)

grant select on section_caches to afterturn_tenant

grant usage on sequence section_versions to afterturn_system, afterturn_tenant

-- Values are kept of people whom the host's tables do not know yet, so no foreign key takes them along.
create function afterturn_drop_sections() returns trigger
language plpgsql security definer set search_path = {schema}, pg_temp as $$
begin
  delete from section_values where owner_type = tg_argv[0] and owner_id = old.id;
  delete from section_commands where owner_type = tg_argv[0] and owner_id = old.id;
  return null;
end $$

create trigger "AFTERTURN_drop_sections" after delete on profiles
for each row execute function afterturn_drop_sections('user')

create trigger "AFTERTURN_drop_sections" after delete on companies
for each row execute function afterturn_drop_sections('company')

-- It deletes as the system: the owner of the tables is held to their policies.
grant create on schema {schema} to afterturn_system

alter function afterturn_drop_sections owner to afterturn_system

revoke create on schema {schema} from afterturn_system
