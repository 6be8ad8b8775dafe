import type { Resource } from "@ironworks/sdk";

export interface Replica {
  name: string;
  address: string;
  state: string;
  restarts: number;
}

export type Endpoint = Resource<
  { cluster: string; model: { name: string; registry: string }; engine: { engine: string }; replicas: { num: number } },
  {
    /** What a controller has not written yet is not there. */
    service_url?: string | null;
    ready_replicas?: number;
    desired_replicas?: number;
    model?: { name: string; version: string; task: string; engine_version: string } | null;
    replicas?: Replica[];
  }
>;

export const PLURAL = "endpoints";
