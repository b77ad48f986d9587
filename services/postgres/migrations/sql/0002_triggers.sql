create trigger leave_intent after delete on user_brain for each row execute function afterturn_leave_intent('user')

create trigger leave_intent after delete on company_brain
for each row execute function afterturn_leave_intent('company')

-- By name it comes before the foreign keys' own triggers ("RI_…"): the brain records still stand.
create trigger "AFTERTURN_leave_intents" after delete on profiles
for each row execute function afterturn_leave_intents('user')

create trigger "AFTERTURN_leave_intents" after delete on companies
for each row execute function afterturn_leave_intents('company')

-- What leaves word writes as the system: the owner of the tables is held to their policies.
grant create on schema {schema} to afterturn_system

alter function afterturn_leave_intent owner to afterturn_system

alter function afterturn_leave_intents owner to afterturn_system

revoke create on schema {schema} from afterturn_system
