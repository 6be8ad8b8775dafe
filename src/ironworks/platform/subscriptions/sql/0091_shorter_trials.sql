-- A plan with a shorter trial, or none, ends one that runs: on its first day, if it is chosen on that.
alter table platform_subscriptions.subscription drop constraint subscription_check;
alter table platform_subscriptions.subscription
  add constraint a_trial_begins_on_the_first_day check (trial_end >= started_on);
grant update (trial_end, anchor_day) on platform_subscriptions.subscription to ironworks_api, ironworks_worker;
