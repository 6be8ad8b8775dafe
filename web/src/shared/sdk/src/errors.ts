/** What the API refuses, in its own words: code, message, the fields that are wrong and what to do about them. */
export interface FieldProblem {
  field: string;
  problem: string;
  remedy?: string;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Record<string, unknown> = {},
    readonly requestId: string | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Nothing answered. */
  static unreachable(problem: unknown): ApiError {
    return new ApiError(0, "UNREACHABLE", "the API cannot be reached; trying again", {
      problem: problem instanceof Error ? problem.message : String(problem),
    });
  }

  get fields(): FieldProblem[] {
    const { fields } = this.details;
    return Array.isArray(fields) ? (fields as FieldProblem[]) : [];
  }

  /** What is wrong with one field, with the remedy. */
  problemOf(field: string): string | undefined {
    const found = this.fields.find((one) => one.field === field || one.field.endsWith(`.${field}`));
    return found && [found.problem, found.remedy].filter(Boolean).join("; ");
  }
}

interface Envelope {
  error?: { code?: string; message?: string; details?: Record<string, unknown>; request_id?: string };
}

export function toError(status: number, body: unknown, requestId: string | null = null): ApiError {
  const told = (body as Envelope | null)?.error;
  return new ApiError(
    status,
    told?.code ?? "UNKNOWN",
    told?.message ?? `the API answered ${status}`,
    told?.details ?? {},
    told?.request_id ?? requestId,
  );
}

export async function errorFrom(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  return toError(response.status, body, response.headers.get("x-request-id"));
}

/** What to tell a person of any failure. */
export function tell(error: unknown): string {
  if (error instanceof ApiError && error.fields.length > 0) {
    return error.fields.map((one) => `${one.field}: ${one.problem}${one.remedy ? `; ${one.remedy}` : ""}`).join("\n");
  }
  return error instanceof Error ? error.message : String(error);
}
