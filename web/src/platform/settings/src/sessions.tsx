import { live, request, tell, useQuery, useQueryClient } from "@ironworks/sdk";
import { Badge, Button, Callout, Icon, Loading, Page, Section, Time, notify } from "@ironworks/ui";

import { t } from "./words.ts";

interface OwnSession {
  id: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  address: string;
  user_agent: string | null;
  current: boolean;
}

export default function Sessions() {
  const client = useQueryClient();
  const sessions = useQuery({ queryKey: ["sessions"], ...live("-", "me"), queryFn: () => request<{ items: OwnSession[] }>("/api/v1/me/sessions") });
  const act = async (work: () => Promise<string>) => {
    try {
      notify("ok", await work());
    } catch (error) {
      notify("bad", tell(error));
    }
    await client.invalidateQueries({ queryKey: ["sessions"] });
  };
  const end = (id: string) => act(() => request(`/api/v1/me/sessions/${id}`, { method: "DELETE" }).then(() => t("ended")));
  const endOthers = () =>
    act(async () => {
      const { ended } = await request<{ ended: number }>("/api/v1/me/sessions:end-others", { method: "POST" });
      return t("othersEnded", { count: ended });
    });
  if (sessions.isPending) return <Loading />;
  if (sessions.error) return <Callout tone="bad">{tell(sessions.error)}</Callout>;
  const { items } = sessions.data;
  return (
    <Page
      title={t("sessions")}
      actions={
        items.length > 1 && (
          <Button icon="signout" onClick={() => void endOthers()}>
            {t("endOthers")}
          </Button>
        )
      }
    >
      <p className="text-muted">{t("sessionsHint")}</p>
      <Section className="max-w-4xl" flush>
        <ul className="divide-y divide-line">
          {items.map((session) => (
            <li key={session.id} className="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2.5">
              <Icon name="monitor" className="text-faint" />
              <div className="min-w-0 flex-1">
                <p className="flex flex-wrap items-center gap-2 font-medium">
                  {describe(session.user_agent)}
                  {session.current && <Badge tone="ok">{t("thisOne")}</Badge>}
                </p>
                <p className="text-xs text-faint">
                  <span className="font-mono">{session.address}</span> · {t("signedIn")} <Time at={session.created_at} /> · {t("lastUsed")}{" "}
                  <Time at={session.last_used_at} /> · {t("expires")} <Time at={session.expires_at} />
                </p>
              </div>
              {!session.current && (
                <Button small onClick={() => void end(session.id)}>
                  {t("end")}
                </Button>
              )}
            </li>
          ))}
        </ul>
      </Section>
    </Page>
  );
}

const BROWSERS: [RegExp, string][] = [
  [/Edg\//, "Edge"],
  [/Firefox\//, "Firefox"],
  [/Chrome\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS: [RegExp, string][] = [
  [/Windows/, "Windows"],
  [/Android/, "Android"],
  [/iPhone|iPad/, "iOS"],
  [/Mac OS/, "macOS"],
  [/Linux/, "Linux"],
];

/** `Chrome on Linux`, from what the browser says of itself; other programs as they name themselves. */
export function describe(agent: string | null): string {
  if (!agent) return t("unknownBrowser");
  const browser = BROWSERS.find(([pattern]) => pattern.test(agent))?.[1];
  const system = SYSTEMS.find(([pattern]) => pattern.test(agent))?.[1];
  if (!browser) return agent.split(/[\s(]/)[0] ?? agent;
  return system ? `${browser} on ${system}` : browser;
}
