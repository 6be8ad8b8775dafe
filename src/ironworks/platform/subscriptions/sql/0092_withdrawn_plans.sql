-- A version may withdraw its plan: nobody subscribes or changes to it from then on, and who is on it stays on it.
alter table platform_subscriptions.plan add column withdrawn boolean not null default false;
