// A line over time, drawn by uPlot in the page's own colours.
import "uplot/dist/uPlot.min.css";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { number, time_of_day } from "./format";
import { t } from "./language";

export default function Chart({ title, xs, ys, digits }: { title: string; xs: number[]; ys: (number | null)[]; digits: number }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const folder = place.current;
    if (!folder) return undefined;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    plot.current = new uPlot(
      {
        width: folder.clientWidth,
        height: 170,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        axes: [{ ...axis, space: 90, values: (_, splits) => splits.map((at) => time_of_day(at * 1000)) }, { ...axis, size: 64, values: (_, splits) => splits.map((value) => number(value, digits)) }],
        series: [{}, { stroke: colour("--accent"), width: 2, points: { show: xs.length < 3 } }],
      },
      [xs, ys],
      folder,
    );
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: folder.clientWidth, height: 170 }));
    resized.observe(folder);
    return () => {
      resized.disconnect();
      plot.current?.destroy();
    };
  }, [document.documentElement.dataset.theme]);
  useEffect(() => plot.current?.setData([xs, ys]), [xs.length, xs[xs.length - 1]]);
  const last = ys[ys.length - 1];
  return (
    <figure class="chart">
      <figcaption>
        {title}
        {typeof last === "number" ? <b> {number(last, digits)}</b> : null}
      </figcaption>
      <div ref={place} role="img" aria-label={t("{0}, {1} points, the last {2}", title, xs.length, typeof last === "number" ? number(last, digits) : "-")} />
    </figure>
  );
}
