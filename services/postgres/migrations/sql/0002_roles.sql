-- Roles belong to the whole server: another database's migration may be making them at this moment.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['afterturn_system', 'afterturn_tenant'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin', wanted);
      exception when duplicate_object or unique_violation then
        null;
      end;
    end if;
    if exists (select from pg_roles where rolname = wanted and (rolsuper or rolbypassrls)) then
      raise exception 'role % must not be exempt from row-level security', wanted;
    end if;
  end loop;
end $$

-- A member must say which of the two it is: it inherits nothing. A superuser needs no membership.
do $$
declare
  without text := case when current_setting('server_version_num')::int >= 160000 then ' with inherit false' else '' end;
begin
  if (select not rolsuper from pg_roles where rolname = current_user) then
    execute format('grant afterturn_system, afterturn_tenant to %I', current_user) || without;
  end if;
exception when insufficient_privilege or unique_violation then
  null;  -- who may not grant them has them already, or is told so by the statements that follow
end $$

do $$
declare
  member text;
begin
  foreach member in array array['afterturn_system', 'afterturn_tenant'] loop
    if not has_schema_privilege(member, current_schema(), 'usage') then
      execute format('grant usage on schema %I to %I', current_schema(), member);
    end if;
  end loop;
end $$
