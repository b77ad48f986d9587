select afterturn_protect(place::regclass)
from unnest(array['owner_epochs', 'forgotten_messages', 'forgettings', 'memories_to_settle']) as place

-- They read what is closed to the owner of the tables, too.
grant create on schema {schema} to afterturn_system

alter function afterturn_enter owner to afterturn_system

alter function afterturn_forgotten owner to afterturn_system

alter function afterturn_archived owner to afterturn_system

revoke create on schema {schema} from afterturn_system

revoke execute on function afterturn_enter, afterturn_forgotten, afterturn_forget_owner from public

grant execute on function afterturn_enter, afterturn_forgotten to afterturn_system, afterturn_tenant

grant execute on function afterturn_forget_owner to afterturn_system
