// One line at the foot of the window that says what was just done, also to those who hear the page.
import { useEffect, useState } from "preact/hooks";

const shown_for_ms = 6_000;
let show: ((text: string) => void) | null = null;

export const announce = (text: string) => show?.(text);

export function Announcement() {
  const [text, set_text] = useState("");
  useEffect(() => {
    let over = 0;
    show = (next) => {
      set_text(next);
      window.clearTimeout(over);
      over = window.setTimeout(() => set_text(""), shown_for_ms);
    };
    return () => {
      show = null;
      window.clearTimeout(over);
    };
  }, []);
  return (
    <p class="announcement" role="status">
      {text}
    </p>
  );
}
