// A table of any length of which only the rows in sight are in the document. All rows have the same height, said by the style sheet; the page
// itself scrolls, so that it scrolls like every other.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

export interface Column<T> {
  title: string;
  class?: string; // also of its cells: number, wide, aside (left out on narrow screens)
  cell: (row: T) => preact.ComponentChildren;
}

const rows_beside = 8; // above and below of those in sight

interface Given<T> {
  caption: string;
  columns: Column<T>[];
  rows: T[];
  key_of: (row: T) => string;
  href_of?: (row: T) => string;
  empty: string;
}

export function LongTable<T>({ caption, columns, rows, key_of, href_of, empty }: Given<T>) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [first, set_first] = useState(0);
  const [height, set_height] = useState(36);
  const in_sight = Math.ceil((typeof window === "undefined" ? 900 : window.innerHeight) / height) + 2 * rows_beside;

  const measure = () => {
    if (!body.current) return;
    const top = body.current.getBoundingClientRect().top;
    const wanted = Math.floor(-top / height) - rows_beside;
    set_first(Math.max(0, wanted - (wanted % 2))); // in twos: stripes stay where they are
  };
  useLayoutEffect(() => {
    const said = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row-height"));
    if (said > 0 && said !== height) set_height(said);
  });
  useEffect(() => {
    let asked = 0;
    const moved = () => {
      if (!asked)
        asked = requestAnimationFrame(() => {
          asked = 0;
          measure();
        });
    };
    window.addEventListener("scroll", moved, { passive: true });
    window.addEventListener("resize", moved);
    measure();
    return () => {
      cancelAnimationFrame(asked);
      window.removeEventListener("scroll", moved);
      window.removeEventListener("resize", moved);
    };
  }, [height, rows.length]);

  const from = Math.min(first, Math.max(0, rows.length - in_sight));
  const to = Math.min(rows.length, from + in_sight);
  return (
    <table class="long" aria-rowcount={rows.length + 1}>
      <caption>{caption}</caption>
      <thead>
        <tr aria-rowindex={1}>
          {columns.map((column) => (
            <th key={column.title} scope="col" class={column.class}>
              {column.title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body}>
        {from > 0 ? <tr class="space" aria-hidden="true" style={{ height: `${from * height}px` }} /> : null}
        {rows.slice(from, to).map((row, i) => (
          <tr
            key={key_of(row)}
            aria-rowindex={from + i + 2}
            onClick={(event) => {
              if (href_of && !(event.target as HTMLElement).closest("a, button") && !getSelection()?.toString()) location.hash = href_of(row);
            }}
            class={href_of ? "opens" : undefined}
          >
            {columns.map((column) => (
              <td key={column.title} class={column.class}>
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
        {to < rows.length ? <tr class="space" aria-hidden="true" style={{ height: `${(rows.length - to) * height}px` }} /> : null}
        {rows.length === 0 ? (
          <tr>
            <td colSpan={columns.length}>{empty}</td>
          </tr>
        ) : null}
      </tbody>
    </table>
  );
}
