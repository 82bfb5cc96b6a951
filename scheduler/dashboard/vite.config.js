// Builds the page into one folder of hashed files, each with its .gz beside it: the scheduler sends files as they lie.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

/// The sentences of the scheduler in Korean: those of the command line's catalogue that are marked as heard, as [English, Korean].
function heard_sentences() {
  const name = "virtual:heard-ko";
  const file = resolve(process.env.ULTRAMARINE_HEARD || "../cli/languages/ko.po");
  return {
    name: "heard-sentences",
    resolveId: (id) => (id === name ? "\0" + name : undefined),
    load(id) {
      if (id !== "\0" + name) return undefined;
      this.addWatchFile(file);
      const text_of = (block, keyword) => {
        const found = block.match(new RegExp(`^${keyword} ((?:".*"\\n?)+)`, "m"));
        return found ? found[1].trim().split("\n").map((line) => JSON.parse(line)).join("") : "";
      };
      const pairs = [];
      for (const block of readFileSync(file, "utf8").split(/\n\n+/)) {
        if (!/^msgctxt "heard"$/m.test(block)) continue;
        const pair = [text_of(block, "msgid"), text_of(block, "msgstr")];
        if (pair[0] && pair[1]) pairs.push(pair);
      }
      return `export default ${JSON.stringify(pairs)}`;
    },
  };
}

function compressed_beside() {
  let folder = "";
  return {
    name: "compressed-beside",
    apply: "build",
    configResolved: (config) => void (folder = resolve(config.root, config.build.outDir)),
    closeBundle() {
      for (const part of [".", "assets"]) {
        for (const entry of readdirSync(join(folder, part), { withFileTypes: true })) {
          if (!entry.isFile() || !/\.(html|js|css|svg)$/.test(entry.name)) continue;
          const path = join(folder, part, entry.name);
          writeFileSync(path + ".gz", gzipSync(readFileSync(path), { level: 9 }));
        }
      }
    },
  };
}

export default defineConfig({
  base: "./", // `ultra dashboard` has the page below a path of its own
  plugins: [heard_sentences(), compressed_beside()],
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { outDir: process.env.ULTRAMARINE_DASHBOARD_OUT || "dist", emptyOutDir: true, target: "es2021", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: "es" },
});
