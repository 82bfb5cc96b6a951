// The bodies of the scheduler's public API, as far as the page reads them (scheduler/protocol/*_messages.h). Times are milliseconds since 1970.

export interface ClusterView {
  name: string;
  version: string;
  now_ms: number;
  started_ms: number;
  policy: string;
  nodes: number;
  nodes_up: number;
  gpus: number;
  gpus_allocated: number;
  gpus_idle: number;
  gpus_down: number;
  jobs_queued: number;
  jobs_running: number;
  jobs_ended: number;
  virtual_devices: boolean;
  journal_sequence: number;
  time_zone: string;
}

export interface CallerView {
  identified: boolean;
  user: string;
  roles: string[];
}

export interface Actor {
  uid: number;
  name?: string;
  channel?: string;
}

export interface DeviceReport {
  device: number;
  model: string;
  utilization_permille: number | null;
  memory_total_bytes: number | null;
  memory_used_bytes: number | null;
  temperature_celsius: number | null;
  power_milliwatts: number | null;
  ecc_uncorrected: number | null;
}

export interface NodeView {
  node: {
    config: { name: string; gpus: number; gpu_type: string; leaf: string };
    state: string;
    since_ms: number;
    agent_version: string;
    drain: { reason: string; actor: Actor; since_ms: number } | null;
    lost: { reason: string; actor: Actor; since_ms: number } | null;
  };
  source: "virtual_devices" | "nvml";
  allocated: number;
  device_jobs: (number | null)[];
  device_utilization_permille: number[];
  devices: DeviceReport[];
  heartbeat_age_ms: number;
}

export interface NodeList {
  now_ms: number;
  nodes: NodeView[];
}

export interface NodeAllocation {
  node: string;
  devices: number[];
}

export interface Failure {
  rank: number;
  node: string;
  exit_code: number;
  signal: number;
  detail: string;
  last_lines?: string[];
}

export interface Attempt {
  attempt: number;
  decided_ms: number;
  allocation: NodeAllocation[];
  backfilled?: boolean;
  trial_ms?: number | null;
  started_ms?: number | null;
  ended_ms?: number | null;
  outcome?: string | null;
  failure?: Failure | null;
  gangs?: { gang: number; ranks?: RankResult[] }[];
}

export interface RankResult {
  rank: number;
  node: string;
  exit_code: number;
  signal: number;
  peak_memory_bytes: number;
  cpu_time_ms: number;
  device_utilization_permille: number;
}

export interface ArrayElement {
  array: number;
  index?: number;
}

/// Members that hold nothing are left out of lists, a 0 too.
export interface JobView {
  details: {
    job: number;
    spec: {
      name: string;
      account: string;
      partition: string;
      qos: string;
      time_limit_ms: number;
      command?: string[];
      working_directory?: string;
    };
    owner: Actor;
    state: string;
    submitted_ms: number;
    ended_ms?: number | null;
    attempts?: Attempt[];
    array?: ArrayElement | null;
    checkpoint?: { step: number; path: string; at_ms: number } | null;
    boost?: { bill: number; until_ms: number } | null;
    restarts?: number;
  };
  gpus: number;
  planned?: { position?: number; start_ms?: number | null; end_ms?: number | null; allocation?: NodeAllocation[]; backfilled?: boolean } | null;
  why?: string;
  progress?: { step?: number; loss?: number; tokens_per_s?: number; phase?: string } | null;
  pids?: Record<string, number[]>;
  exit_code?: number | null;
}

export interface JobList {
  now_ms: number;
  jobs: JobView[];
}

export interface AccountReport {
  account: string;
  parent: string;
  depth: number;
  used_gpu_ms: number;
  failed_gpu_ms: number;
  idle_gpu_ms: number;
  cost_milli: number;
  cloud_milli: number;
  jobs_tried: number;
  jobs_completed: number;
  jobs_failed: number;
  jobs_failed_early: number;
  cost_per_completed_milli: number | null;
  median_wait_ms: number | null;
  boosts_bought: number;
  boosts_bought_gpu_ms: number;
  boosts_suffered_gpu_ms: number;
  used_share_permille: number;
  entitled_share_permille: number | null;
}

export interface ReportView {
  now_ms: number;
  month: string;
  time_zone: string;
  start_ms: number;
  end_ms: number;
  currency: string;
  price_per_gpu_hour_milli: number;
  accounts: AccountReport[];
  total: AccountReport;
}

export interface WaitRollUp {
  now_ms: number;
  month: string;
  accounts: { account: string; jobs: number; gpu_ms: number; rows: WaitRow[]; text: string[] }[];
}

export interface WaitRow {
  for_account: string;
  cause: string;
  gpu_ms: number;
  boost_gpu_ms: number;
}

export interface WhyReply {
  why: string;
  ahead: number;
  reasons: string[];
  ways: WayView[];
  no_way: string;
}

export interface WayView {
  number: number;
  change: Record<string, unknown>; // what /edit takes
  sentence: string;
}

export interface WaitsOfJob {
  wait_ms: number;
  parts: { details: { cause: string; time_ms: number }; text: string }[];
  overtaking: string[];
}

export interface EventList {
  events: { sequence: number; at_ms: number; type: string; actor: string; sentence: string }[];
}

export interface PastView {
  sequence: number;
  at_ms: number;
  type: string;
  actor: string;
  job: number | null;
  job_name: string;
  label: string;
  account: string;
  node: string;
  sentence: string;
}

export interface PastList {
  now_ms: number;
  events: PastView[]; // newest first
  before: number | null; // what to ask for next
}

export interface ProgressList {
  now_ms: number;
  points: { at_ms: number; attempt: number; step: number; loss: number; tokens_per_s: number }[];
}

export interface JobPrice {
  currency: string;
  at_most_gpu_ms: number;
  at_most_milli: number;
  held_gpu_ms: number;
  cost_milli: number;
  ended: boolean;
}

export interface MovedStart {
  job: number;
  user: string;
  account: string;
  gpus: number;
  before_ms?: number | null;
  after_ms?: number | null;
}

export interface WhatIfReply {
  sentences: string[];
  delayed: MovedStart[];
  helped: MovedStart[];
  displaced_gpu_ms: number;
}

export interface FavourReply {
  bill: { bill: number; delayed: MovedStart[]; helped: MovedStart[]; displaced_gpu_ms: number };
  granted: boolean;
  token: string;
  sentences: string[];
}

export interface LogLine {
  rank: number;
  stream: string;
  data_base64: string;
  error: string;
}

export interface ErrorReply {
  code: string;
  field: string;
  message: string;
  remedy: string;
}
