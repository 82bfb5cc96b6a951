// The frame: name and numbers of the cluster, the tabs, language and theme; which tab is open stands behind the # of the address.
import { useEffect, useState } from "preact/hooks";
import { Announcement } from "./announce";
import { caller, cluster, use, use_away } from "./feed";
import { moment_in_full, number } from "./format";
import { language, speak, t, type Language } from "./language";
import { HistoryTab } from "./tabs/history";
import { JobTab } from "./tabs/job";
import { NodesTab } from "./tabs/nodes";
import { NowTab } from "./tabs/now";
import { QueueTab } from "./tabs/queue";
import { TeamsTab } from "./tabs/teams";
import { TimelineTab } from "./tabs/timeline";
import { WasteTab } from "./tabs/waste";

interface Tab {
  name: string;
  title: string;
  show: () => preact.JSX.Element;
  identity: boolean; // only for callers whom the scheduler knows
}

export const tabs: Tab[] = [
  { name: "now", title: "Now", show: () => <NowTab />, identity: false },
  { name: "queue", title: "Queue", show: () => <QueueTab />, identity: false },
  { name: "timeline", title: "Timeline", show: () => <TimelineTab />, identity: false },
  { name: "teams", title: "Teams", show: () => <TeamsTab />, identity: true },
  { name: "waste", title: "Waste", show: () => <WasteTab />, identity: true },
  { name: "nodes", title: "Nodes", show: () => <NodesTab />, identity: false },
  { name: "history", title: "History", show: () => <HistoryTab />, identity: false },
];

export function preference(name: string, allowed: string[]): string | null {
  try {
    const value = localStorage.getItem(name);
    return value !== null && allowed.includes(value) ? value : null;
  } catch {
    return null; // storage is switched off
  }
}

function prefer(name: string, value: string) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // It holds until the page is left.
  }
}

export const is_dark = () => {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function place_of(hash: string): [string, string] {
  const [, name = "", detail = ""] = hash.match(/^#\/([^/]*)(?:\/(.*))?$/) ?? [];
  return [name || "now", decodeURIComponent(detail)];
}

function is_typing(target: EventTarget | null) {
  return target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

export function Page() {
  const [[name, detail], go] = useState(place_of(location.hash));
  const [, redraw] = useState(0);
  const now = use(cluster);
  const me = use(caller);
  const is_away = use_away();

  const shown = tabs.filter((tab) => !tab.identity || me?.identified);
  useEffect(() => {
    const moved = () => {
      go(place_of(location.hash));
      window.scrollTo(0, 0);
    };
    const pressed = (event: KeyboardEvent) => {
      if (is_typing(event.target) || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
      if (event.key >= "1" && event.key <= "9") {
        const tab = shown[Number(event.key) - 1];
        if (tab) location.hash = "#/" + tab.name;
      } else if (event.key === "/") {
        const field = document.querySelector<HTMLInputElement>("input[type=search]");
        if (field) field.focus();
        else location.hash = "#/queue";
        event.preventDefault();
      }
    };
    window.addEventListener("hashchange", moved);
    window.addEventListener("keydown", pressed);
    return () => {
      window.removeEventListener("hashchange", moved);
      window.removeEventListener("keydown", pressed);
    };
  }, [shown.length]);

  const open = tabs.find((tab) => tab.name === name);
  const title = name === "job" ? t("Job {0}", detail) : t(open?.title ?? "Now");
  useEffect(() => {
    document.title = `${title} - ${now?.name ?? "Ultramarine"}`;
  }, [title, now?.name]);

  const change_language = async (wish: Language) => {
    prefer("language", wish);
    await speak(wish);
    redraw((count) => count + 1);
  };
  const change_theme = () => {
    const theme = is_dark() ? "light" : "dark";
    prefer("theme", theme);
    document.documentElement.dataset.theme = theme;
    redraw((count) => count + 1);
  };
  const locked = me !== null && !me.identified;

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        {t("To the content")}
      </a>
      <header>
        <div class="head">
          <h1>
            <img src="icon.svg" alt="" width="20" height="20" /> {now?.name ?? "Ultramarine"}
            {now?.virtual_devices ? <span class="badge">{t("virtual")}</span> : null}
          </h1>
          {now ? (
            <p class="numbers">
              {t("nodes {0}/{1}", number(now.nodes_up), number(now.nodes))} · {t("GPUs {0}/{1}", number(now.gpus_allocated), number(now.gpus))} ·{" "}
              {t("{0} running, {1} waiting", number(now.jobs_running), number(now.jobs_queued))}
            </p>
          ) : null}
          <div class="switches">
            {me?.identified ? <span class="me">{me.user}</span> : null}
            <button type="button" lang={language() === "en" ? "ko" : "en"} onClick={() => void change_language(language() === "en" ? "ko" : "en")}>
              {language() === "en" ? "한국어" : "English"}
            </button>
            <button type="button" onClick={change_theme}>
              {is_dark() ? t("Light") : t("Dark")}
            </button>
          </div>
        </div>
        <nav aria-label={t("Tabs")}>
          {shown.map((tab) => (
            <a key={tab.name} href={"#/" + tab.name} aria-current={tab.name === name ? "page" : undefined}>
              {t(tab.title)}
            </a>
          ))}
        </nav>
        {is_away ? (
          <p class="away" role="status">
            {now ? t("The scheduler doesn't answer; this is as of {0}.", moment_in_full(now.now_ms)) : t("The scheduler doesn't answer.")}
          </p>
        ) : null}
      </header>
      <main id="main" tabIndex={-1} aria-label={title} key={language()}>
        {name === "job" ? <JobTab key={detail} name={detail} /> : open && (!open.identity || me?.identified) ? open.show() : <p>{t("There is nothing here.")}</p>}
      </main>
      <Announcement />
      <footer>
        {locked ? (
          <p>
            {t("This address has no identity: it shows cluster and queue. For teams, waste, output of jobs and actions run")} <code>ultra dashboard</code>
          </p>
        ) : null}
        <p>
          Ultramarine {now?.version}
          <span class="keys"> · {t("keys: 1-{0} tabs, / filter, arrows on the wall", shown.length)}</span>
        </p>
      </footer>
    </>
  );
}
