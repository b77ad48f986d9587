drop function afterturn_leave_intent, afterturn_leave_intents, afterturn_make_vectors, afterturn_make_memories,
  afterturn_know_owner, afterturn_archived, afterturn_entity_of, afterturn_entity, afterturn_companies,
  afterturn_spoken_for, afterturn_user, afterturn_company, afterturn_protect, afterturn_protect_vectors,
  afterturn_protect_memories

-- The roles stay: other databases of this server may use them.
do $$
declare
  place regclass;
begin
  for place in
    select distinct oid from pg_class, aclexplode(relacl) as granted
    where relnamespace = current_schema()::regnamespace
    and granted.grantee in ('afterturn_system'::regrole, 'afterturn_tenant'::regrole)
  loop
    execute format('revoke all on %s from afterturn_system, afterturn_tenant', place);
  end loop;
end $$

revoke usage on schema {schema} from afterturn_system, afterturn_tenant
