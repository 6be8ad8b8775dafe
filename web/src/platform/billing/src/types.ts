/** What the API tells of money, by the names that these pages use. */
import type { components } from "@ironworks/sdk";

type Schemas = components["schemas"];

export type Standing = Schemas["StandingView"];
export type Plan = Schemas["PlanView"];
export type Preview = Schemas["PreviewView"];
export type Charge = Schemas["ListedCharge"];
export type Suggestion = Schemas["SuggestionView"];
export type Quota = Schemas["QuotaView"];
export type Invoice = Schemas["InvoiceView"];
export type InvoiceDetail = Schemas["InvoiceDetail"];
export type InvoiceLine = Schemas["InvoiceLineView"];
export type Behind = Schemas["BehindView"];
export type Payment = Schemas["PaymentView"];
export type Method = Schemas["MethodView"];
export type Details = Schemas["BillingDetails-Output"];
export type Grant = Schemas["CreditGrantView"];
export type CreditBalance = Schemas["CreditBalanceView"];
export type Account = Schemas["LedgerAccountBalance"];
export type Transfer = Schemas["ListedTransfer"];
export type Price = Schemas["PriceView"];
export type Terms = Schemas["TermsView"];
export type PaymentDifference = Schemas["DifferenceView"];
export type Report = Schemas["ReportView"];
export type NewPlan = Schemas["NewPlanBody"];
export type Subscription = Schemas["SubscriptionView"];
export type NewTerms = Schemas["NewTerms"];
export type Simulation = Schemas["SimulationView"];
