import "./style.css";
import { render } from "preact";
import { start } from "./feed";
import { speak, type Language } from "./language";
import { Page, preference } from "./page";

const wish = preference("language", ["en", "ko"]) ?? (navigator.language.startsWith("ko") ? "ko" : "en");
const theme = preference("theme", ["light", "dark"]);
if (theme) document.documentElement.dataset.theme = theme;
void speak(wish as Language).then(() => {
  start();
  render(<Page />, document.getElementById("page") as HTMLElement);
});
