"""What subscriptions registers: its permissions, the meters of plans, and what it tells."""

from ironworks.platform.subscriptions import events, model
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Meter, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission("plan:create", "Add a version of a plan"),
        Permission("subscription:read", "See an account's subscription and what it charges"),
        Permission("subscription:update", "Subscribe an account, change its plan, cancel and resume"),
    ),
    meters=(
        Meter(model.WORKER_INVOCATIONS, "invocation", "sum", "Calls of deployed workers"),
        Meter(model.D1_ROWS_READ, "row", "sum", "Rows that queries of D1 databases read"),
        Meter(model.D1_ROWS_WRITTEN, "row", "sum", "Rows that were written to D1 databases"),
        Meter(model.R2_GIB_MONTHS, "GiB-month", "time_weighted", "Stored in R2, GiB by the part of a month"),
        Meter(model.R2_OPERATIONS, "operation", "sum", "Reads and writes of R2 objects"),
        Meter(model.KV_READS, "read", "sum", "Keys read from KV namespaces"),
        Meter(
            model.GPU_SECONDS,
            "second",
            "time_weighted",
            "GPUs by the seconds that they were held; the model is the SKU",
        ),
        Meter(model.APP_RUNTIME_SECONDS, "second", "time_weighted", "Replicas of apps by the seconds that they ran"),
    ),
    audit_actions=(
        AuditAction("subscription.plan_version", "A version of a plan was added"),
        AuditAction("subscription.started", "An account subscribed"),
        AuditAction("subscription.trial_ended", "A trial ended"),
        AuditAction("subscription.plan_changed", "An account is on another plan"),
        AuditAction("subscription.change_scheduled", "A change of plan was scheduled, or taken back"),
        AuditAction("subscription.cancellation_scheduled", "A subscription is to end, or goes on after all"),
        AuditAction("subscription.canceled", "A subscription ended"),
        AuditAction("subscription.past_due", "A subscription's invoice was not paid"),
        AuditAction("subscription.recovered", "Everything is paid again"),
    ),
    events=(
        EventClass("platform.subscriptions.subscription_started.v1", events.SubscriptionStarted),
        EventClass("platform.subscriptions.trial_ended.v1", events.TrialEnded),
        EventClass("platform.subscriptions.plan_changed.v1", events.PlanChanged),
        EventClass("platform.subscriptions.change_scheduled.v1", events.ChangeScheduled),
        EventClass("platform.subscriptions.cancellation_scheduled.v1", events.CancellationScheduled),
        EventClass("platform.subscriptions.subscription_canceled.v1", events.SubscriptionCanceled),
        EventClass("platform.subscriptions.subscription_past_due.v1", events.SubscriptionPastDue),
        EventClass("platform.subscriptions.subscription_recovered.v1", events.SubscriptionRecovered),
        EventClass("platform.subscriptions.upgrade_suggested.v1", events.UpgradeSuggested),
    ),
    topics=(
        Topic("plans", "subscription:read", "Plans that accounts may be on", inherited=True),
        Topic("subscriptions", "subscription:read", "Subscriptions, what they charge, and what is suggested"),
    ),
)
