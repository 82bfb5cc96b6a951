// Takes the README's pictures; started by scripts/screenshots with all that it needs as one JSON argument.
import { createRequire } from "node:module";
import { join } from "node:path";

const given = JSON.parse(process.argv[2]);
const { chromium } = createRequire(join(given.packages, "package.json"))("playwright-core");
const browser = await chromium.launch({ executablePath: given.chromium, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
let address = given.address; // it works once, and leads to the one for all

/// `act`: what is to be done before the picture, once there is `ready`.
async function take(name, { place, ready, language = "en", theme = "light", width = 1200, height = 700, act = async () => undefined }) {
  const locale = language === "ko" ? "ko-KR" : "en-GB";
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, locale });
  const page = await context.newPage();
  await page.goto(address);
  address = page.url().replace(/#.*$/, "");
  await page.waitForSelector("main .wall");
  await page.evaluate((to) => (location.hash = to), "#/" + place);
  await page.waitForSelector(ready);
  await act(page);
  await page.waitForTimeout(1500); // the newest numbers
  await page.screenshot({ path: join(given.folder, name + ".png") });
  await context.close();
}

try {
  await take("now", { place: "now", ready: ".wall-row [data-job]", height: 640 });
  await take("timeline-ko", {
    place: "timeline",
    ready: "rect.bar-planned",
    language: "ko",
    theme: "dark",
    height: 920,
    act: (page) => page.locator("rect.bar-planned").first().dispatchEvent("click"),
  });
  await take("job", { place: "job/" + given.train, ready: ".chart canvas", theme: "dark", height: 760 });
} finally {
  await browser.close();
}
