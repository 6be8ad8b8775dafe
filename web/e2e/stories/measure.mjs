/**
 * No story but a measurement, told by bench/console.py: how fast the console comes, scrolls, answers and how much it
 * keeps. IRONWORKS_ROWS says how many API keys there are at IRONWORKS_SCOPE. Writes JSON to stdout.
 */
const { IRONWORKS_SCOPE: scope, IRONWORKS_ROWS: rows, IRONWORKS_REPEAT: repeat = "5" } = process.env;
const TIMES = Number(repeat);
const FRAME_MS = 1000 / 60;
const LIST = `/s/${scope}/keys`;
const WORDS = ["overview", "key-9", "key-77", "settings", "key-4321", "usage", "key-1", "resources", "key-05", "endpoints"];

export default async function ({ page, url, open, signIn, assert }) {
  const found = { shell: await visits({ url, open }) };
  found.page = await visits({ url, open, path: `/s/${scope}/overview`, signIn });
  await signIn(page);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  found.calls = await callsOf(page, url);
  found.list = await list(page, devtools, url, assert);
  found.palette = await palette(page);
  found.heap = await heap(page, devtools);
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

/** Paints and bytes of first visits, each in a browser context of its own with nothing in its cache, and of visits after them. */
async function visits({ url, open, path = "/", signIn }) {
  const cold = [];
  const warm = [];
  let bytes = null;
  for (let time = 0; time < TIMES; time += 1) {
    const { page, context } = await open();
    const devtools = await context.newCDPSession(page);
    const received = { all: 0, fonts: 0 };
    const fonts = new Set();
    if (signIn) await signIn(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.clearBrowserCache");
    devtools.on("Network.responseReceived", ({ requestId, type }) => type === "Font" && fonts.add(requestId));
    devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      received.all += encodedDataLength;
      if (fonts.has(requestId)) received.fonts += encodedDataLength;
    });
    cold.push(await paints(page, url + path));
    bytes ??= { ...received };
    warm.push(await paints(page, url + path));
    await context.close();
  }
  return { cold, warm, bytes };
}

/** First and largest paint in ms since the navigation began, when nothing has come for half a second. */
async function paints(page, address) {
  await page.goto(address);
  await page.locator("main h1").first().waitFor();
  await page.waitForTimeout(500);
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const first = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null;
        new PerformanceObserver((list) => resolve({ first, largest: list.getEntries().at(-1).startTime })).observe({ type: "largest-contentful-paint", buffered: true });
      }),
  );
}

/** Calls to the API of each page that the navigation leads to, without those that the shell makes once. */
async function callsOf(page, url) {
  await page.goto(`${url}/s/${scope}/overview`);
  await page.locator("[data-live=live]").waitFor();
  const links = await page.locator("aside nav a").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  const counts = {};
  let calls = 0;
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith("/api/") && !/\/(session|bootstrap|watch|reports|console)/.test(pathname)) calls += 1;
  });
  for (const link of new Set(links.filter((each) => each.startsWith("/s/")))) {
    calls = 0;
    await page.goto(url + link);
    await page.locator("[data-live=live]").waitFor();
    await page.waitForTimeout(700);
    counts[link.split("/").slice(3).join("/")] = calls;
  }
  return counts;
}

/** Opening a long list, and scrolling through all of it: at first while it loads, then again. */
async function list(page, devtools, url, assert) {
  const opened = [];
  for (let time = 0; time < TIMES; time += 1) {
    await page.goto(`${url}/s/${scope}/settings`);
    await page.locator("[data-live=live]").waitFor();
    opened.push(await page.evaluate(openList, LIST));
  }
  const scroll = (step) => scrolled(page, devtools, step);
  const loading = await scroll(120);
  const loaded = await page.getByRole("grid").getAttribute("aria-rowcount");
  assert.equal(Number(loaded), Number(rows) + 1, "the list did not load to its end");
  await page.evaluate(() => document.querySelector("[role=grid]").scrollTo(0, 0));
  const held = { walk: await scroll(120), fling: await scroll(600), bare: await bare(page, 600) };
  const filter = await page.evaluate(typeInto, { selector: "main label input", words: ["key-9", "key-77", "key-4321"] });
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  const row = await page.evaluate(() => document.querySelectorAll("[role=row]")[1].offsetHeight);
  return { opened, loading, ...held, filter, elements, row };
}

async function scrolled(page, devtools, step) {
  const before = await metricsOf(devtools);
  const times = await page.evaluate(scrollThrough, step);
  const after = await metricsOf(devtools);
  return { ...frames(times), cpu: ((after.TaskDuration - before.TaskDuration) * 1000) / times.length };
}

/** The same through a list of the same size whose rows are empty boxes: what browser and machine can do at best. */
async function bare(page, step) {
  const size = await page.evaluate(() => {
    const grid = document.querySelector("[role=grid]");
    const [, ...drawn] = document.querySelectorAll("[role=row]");
    return { width: grid.clientWidth, height: grid.clientHeight, row: drawn[0].offsetHeight, drawn: drawn.length };
  });
  const other = await page.context().newPage();
  const devtools = await page.context().newCDPSession(other);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  await other.evaluate(drawBoxes, { ...size, rows: Number(rows) });
  const found = await scrolled(other, devtools, step);
  await other.close();
  await page.bringToFront();
  return found;
}

/** A box goes from the end that it leaves to the other one; nothing is in it and no library moves it. */
function drawBoxes({ width, height, row, drawn, rows }) {
  document.body.innerHTML = `<div role="grid" style="overflow: auto; width: ${width}px; height: ${height}px"><div style="position: relative; height: ${rows * row}px"></div></div>`;
  const grid = document.querySelector("[role=grid]");
  const style = `position: absolute; inset-inline: 0; box-sizing: border-box; height: ${row}px; border-bottom: 1px solid gray; contain: strict`;
  const boxes = Array.from({ length: drawn }, () => Object.assign(document.createElement("div"), { style }));
  grid.firstElementChild.append(...boxes);
  const draw = () => {
    const first = Math.floor(grid.scrollTop / row);
    for (let at = first; at < Math.min(rows, first + drawn); at += 1) boxes[at % drawn].style.top = `${at * row}px`;
  };
  grid.addEventListener("scroll", draw, { passive: true });
  draw();
}

/** Milliseconds from a click in the navigation until rows are painted. */
function openList(path) {
  return new Promise((resolve) => {
    const began = performance.now();
    document.querySelector(`aside nav a[href="${path}"]`).click();
    const look = () => {
      if (document.querySelectorAll("[role=row]").length > 10) requestAnimationFrame(() => resolve(performance.now() - began));
      else requestAnimationFrame(look);
    };
    look();
  });
}

/** The times between frames while a list moves by `step` pixels in each, to its end. */
function scrollThrough(step) {
  const grid = document.querySelector("[role=grid]");
  grid.scrollTo(0, 0);
  return new Promise((resolve) => {
    const times = [];
    let last = 0;
    let still = 0;
    const move = (now) => {
      if (last) times.push(now - last);
      last = now;
      const before = grid.scrollTop;
      grid.scrollTop = before + step;
      still = grid.scrollTop === before ? still + 1 : 0;
      // at the end for a second: nothing more comes
      if (still > 60) resolve(times.slice(0, -60));
      else requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  });
}

function frames(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  const dropped = times.reduce((sum, time) => sum + Math.max(0, Math.round(time / FRAME_MS) - 1), 0);
  return { count: times.length, p50: at(0.5), p99: at(0.99), worst: at(1), dropped };
}

/** Milliseconds from each letter until what it changes is painted. */
async function typeInto({ selector, words }) {
  const input = document.querySelector(selector);
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  const times = [];
  for (const word of words) {
    for (let length = 1; length <= word.length; length += 1) {
      const began = performance.now();
      set.call(input, word.slice(0, length));
      input.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      times.push(performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }
  set.call(input, "");
  input.dispatchEvent(new Event("input", { bubbles: true }));
  return times;
}

/** The palette: until it is there, until each letter is painted, until resources that the API found are shown. */
async function palette(page) {
  const opened = [];
  const found = [];
  let letters = [];
  for (let time = 0; time < TIMES; time += 1) {
    opened.push(
      await page.evaluate(() => {
        const began = performance.now();
        dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true, bubbles: true }));
        return new Promise((resolve) => {
          const look = () => (document.querySelector("dialog [role=option]") ? requestAnimationFrame(() => resolve(performance.now() - began)) : requestAnimationFrame(look));
          look();
        });
      }),
    );
    letters = letters.concat(await page.evaluate(typeInto, { selector: "dialog input", words: WORDS }));
    const name = `key-0${1000 + time}`;
    const began = performance.now();
    await page.fill("dialog input", name);
    await page.getByRole("option", { name: new RegExp(name) }).first().waitFor();
    found.push(performance.now() - began);
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
  }
  return { opened, letters, found };
}

const metricsOf = async (devtools) =>
  Object.fromEntries((await devtools.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));

/** What the page keeps after garbage is collected: once it has seen every page, and after a hundred page changes more. */
async function heap(page, devtools) {
  const count = await page.locator("aside nav a").count();
  const go = async (times) => {
    for (let time = 0; time < times; time += 1) {
      await page.locator("aside nav a").nth(time % count).click();
      await page.locator("main h1, main h2").first().waitFor();
      await page.waitForTimeout(120);
    }
  };
  const used = async () => {
    await page.locator("aside nav a").first().click();
    await page.waitForTimeout(1_000);
    await devtools.send("HeapProfiler.collectGarbage");
    const { JSHeapUsedSize: bytes, Nodes: nodes, JSEventListeners: listeners } = await metricsOf(devtools);
    return { bytes, nodes, listeners };
  };
  await go(2 * count);
  const before = await used();
  await go(100);
  return { before, after: await used() };
}
