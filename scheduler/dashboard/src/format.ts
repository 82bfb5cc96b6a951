// Numbers, times and money as people read them, in the language chosen.
import { language, t } from "./language";

const locale = () => (language() === "ko" ? "ko-KR" : "en-GB");

const formats = new Map<string, Intl.NumberFormat>();
export function number(value: number, digits = 0): string {
  const key = locale() + digits;
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits })));
  return format.format(value);
}

export const percent = (permille: number) => number(permille / 10, permille >= 1000 ? 0 : 1) + " %";
export const gpu_hours = (gpu_ms: number) => number(gpu_ms / 3_600_000, gpu_ms >= 360_000_000 ? 0 : 1);

export function money(milli: number, currency: string): string {
  return new Intl.NumberFormat(locale(), { style: "currency", currency, maximumFractionDigits: currency === "KRW" ? 0 : 2 }).format(milli / 1000);
}

/// 2d 3h, 1h 30m, 12m, 40s.
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return t("{0}s", s);
  const m = Math.floor(s / 60);
  if (m < 60) return t("{0}m", m);
  const h = Math.floor(m / 60);
  if (h < 24) return m % 60 ? t("{0}h", h) + " " + t("{0}m", m % 60) : t("{0}h", h);
  return h % 24 ? t("{0}d", Math.floor(h / 24)) + " " + t("{0}h", h % 24) : t("{0}d", Math.floor(h / 24));
}

const clock_formats = new Map<string, Intl.DateTimeFormat>();
let time_zone = "UTC";

/// From now on all clocks are those of this zone, as in the cluster's own sentences; one that the browser doesn't know changes nothing.
export function use_time_zone(zone: string): void {
  if (zone === time_zone) return;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
  } catch {
    return;
  }
  time_zone = zone;
  clock_formats.clear();
}

export const clocks_of = () => time_zone;

function formatted(ms: number, kind: string, options: Intl.DateTimeFormatOptions): string {
  const key = locale() + kind;
  let format = clock_formats.get(key);
  if (!format) clock_formats.set(key, (format = new Intl.DateTimeFormat(locale(), { ...options, timeZone: time_zone })));
  return format.format(ms);
}

export const clock = (ms: number) => formatted(ms, "clock", { hour: "2-digit", minute: "2-digit", hour12: false });

export const time_of_day = (ms: number) => formatted(ms, "time of day", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/// 14:20, or with the day when it isn't within half a day of `now`.
export function moment(ms: number, now: number): string {
  return Math.abs(ms - now) < 43_200_000 ? clock(ms) : formatted(ms, "day", { month: "short", day: "numeric" }) + " " + clock(ms);
}

export const moment_in_full = (ms: number) =>
  formatted(ms, "full", { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
