/* The report at work: search, all images of a cluster, the map, and one image with its neighbours.
   Ids and paths are data: they come into the page as text, never as markup. */
(() => {
  "use strict";
  const data = window.imgclusterData;
  const AT_ONCE = 120;
  const RESULTS = 240;
  const DRAWN_AS_SVG = 2000;
  const COLOURS = ["#1b7f86", "#d1495b", "#8c6bb1", "#c98a00", "#3f7fbf", "#5f9e3f", "#b0578d", "#7d6a55", "#e06c2b", "#4a5fc1", "#2f9e77", "#9a8f00"];
  const POINT_SIZES = [[2000, 7], [20000, 5], [Infinity, 3]]; // of up to so many images, in pixels
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star"];
  // As `visible` in page.py: what would act on the text around it is shown by its escape.
  const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const visible = (text) => text.replace(UNSEEN, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  const short = (number) => number.toLocaleString("en", { maximumSignificantDigits: 3 });
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  }

  function picture(row, eager = false) {
    const name = data.thumbnails[row];
    if (name === null) return make("span", { class: "gone" }, "no picture");
    return make("img", { src: `t/${name}.jpg`, alt: "", loading: eager ? "eager" : "lazy", decoding: "async" });
  }

  function thumb(row, note = "") {
    const id = make("span", { class: "id" }, make("bdi", {}, visible(data.ids[row])));
    const button = make("button", { type: "button", class: "thumb", "data-row": row, title: visible(data.ids[row]) }, picture(row), id);
    if (note) button.append(make("span", { class: "note" }, note));
    return make("li", {}, button);
  }

  const nameOf = (label) => data.names[label] ?? (label === -1 ? "Noise" : `Cluster ${label}`);

  /* Fill a place with thumbnails, so many at once: tens of thousands would make the page slow. */
  function fill(place, rows, noteOf = () => "") {
    const grid = make("ul", { class: "grid" });
    let shown = 0;
    const more = make("button", { type: "button", class: "more" });
    const add = () => {
      const first = shown;
      for (const row of rows.slice(shown, shown + AT_ONCE)) grid.append(thumb(row, noteOf(row)));
      shown = Math.min(rows.length, shown + AT_ONCE);
      more.textContent = `Show ${Math.min(AT_ONCE, rows.length - shown)} more of ${(rows.length - shown).toLocaleString("en")}`;
      more.hidden = shown >= rows.length;
      return grid.children[first];
    };
    more.addEventListener("click", () => find("button", add()).focus());
    add();
    place.replaceChildren(grid, make("p", {}, more));
  }

  /* All images of a cluster, the most typical first. */

  let byCluster = null;
  function rowsOf(label) {
    if (byCluster === null) {
      byCluster = new Map();
      data.labels.forEach((each, row) => {
        if (each !== null) byCluster.has(each) ? byCluster.get(each).push(row) : byCluster.set(each, [row]);
      });
      for (const rows of byCluster.values()) rows.sort((a, b) => (data.distance[a] ?? 0) - (data.distance[b] ?? 0));
    }
    return byCluster.get(label) ?? [];
  }

  function toggleAll(button) {
    const place = document.getElementById(button.dataset.into);
    const label = Number(button.dataset.cluster);
    if (button.dataset.into === "elsewhere") {
      const grid = make("div");
      fill(grid, rowsOf(label), noteOf);
      place.replaceChildren(make("h3", { tabindex: "-1" }, visible(nameOf(label))), grid);
      place.firstChild.focus();
      return;
    }
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", String(!place.hidden));
    if (!place.hidden && !place.hasChildNodes()) fill(place, rowsOf(label), noteOf);
  }

  function showGroup(button) {
    const place = button.parentElement.previousElementSibling;
    const all = make("div");
    fill(all, button.dataset.rows.split(" ").map(Number));
    button.parentElement.remove();
    place.replaceWith(all);
    find("button", all).focus();
  }

  function noteOf(row) {
    const other = data.runnerUp[row];
    const distance = data.distance[row];
    const parts = [distance === null ? null : `distance ${short(distance)}`, other === null ? null : `second choice: ${visible(nameOf(other))}`];
    return parts.filter((part) => part !== null).join(", ");
  }

  /* Search. */

  function search(text) {
    const place = find("#results");
    const wanted = text.trim().toLowerCase();
    place.hidden = wanted === "";
    if (wanted === "") return place.replaceChildren();
    const rows = [];
    data.ids.forEach((id, row) => { if (id.toLowerCase().includes(wanted)) rows.push(row); });
    const grid = make("div");
    fill(grid, rows.slice(0, RESULTS), (row) => (data.labels[row] === null ? "failed" : nameOf(data.labels[row])));
    const shown = rows.length > RESULTS ? `, the first ${RESULTS} of them` : "";
    place.replaceChildren(make("h2", {}, "Found"), make("p", { role: "status" }, `${count(rows.length, "image")}${shown}`), grid);
  }

  /* One image: what is known of it, and its nearest neighbours. */

  const loading = new Map();
  function near(row) {
    const chunk = Math.floor(row / data.chunk);
    if (!loading.has(chunk)) {
      loading.set(chunk, new Promise((done, failed) => {
        document.head.append(make("script", { src: `near/${chunk}.js`, onload: () => done(window[`imgclusterNear${chunk}`]), onerror: failed }));
      }));
    }
    return loading.get(chunk).then((rows) => rows[row - chunk * data.chunk]);
  }

  const original = (path) => {
    if (/^https?:\/\//.test(path)) return path;
    if (/^([a-z][a-z0-9+.-]+::)*[a-z][a-z0-9+.-]+:\/\//.test(path) || /\.parquet#row=\d+$/.test(path)) return null;
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    return path.startsWith("/") ? `file://${encoded}` : `${data.root}/${encoded}`;
  };

  function facts(row) {
    const label = data.labels[row];
    const pairs = [
      ["cluster", label === null ? "failed" : visible(nameOf(label))],
      ["distance", data.distance[row]],
      ["second choice", data.runnerUp[row] === null ? null : `${visible(nameOf(data.runnerUp[row]))}, distance ${data.runnerUpDistance[row]}`],
      ["silhouette", data.silhouette[row]],
      ["how sure", data.probability[row] === null ? null : `${Math.round(100 * data.probability[row])} %`],
    ];
    const list = make("dl", { class: "pairs" });
    for (const [name, value] of pairs) if (value !== null) list.append(make("dt", {}, name), make("dd", {}, String(value)));
    const text = make("bdi", {}, visible(data.paths[row]));
    const href = original(data.paths[row]);  // none where a browser cannot go
    const link = href === null ? text : make("a", { href, target: "_blank", rel: "noopener" }, text);
    list.append(make("dt", {}, "original"), make("dd", {}, link));
    return list;
  }

  const seen = [];
  function show(row) {
    const dialog = find("#image");
    const close = make("button", { type: "button", onclick: () => dialog.close() }, "Close");
    const back = make("button", { type: "button", hidden: seen.length === 0, onclick: () => show(seen.pop()) }, "Back");
    const title = make("h2", { id: "image-title" }, make("bdi", {}, visible(data.ids[row])));
    const neighbours = make("div", { role: "status" }, data.compared ? "Loading neighbours …" : "");
    const maps = data.explained.filter((each) => each.row === row).map((each) =>
      make("figure", {}, make("img", { src: each.file, alt: visible(each.title) }), make("figcaption", {}, visible(each.title))));
    dialog.dataset.row = row;
    dialog.replaceChildren(
      make("div", { class: "image-head" }, title, make("div", {}, back, " ", close)),
      make("div", { class: "image-body" }, picture(row, true), facts(row)),
      make("div", { class: "figures" }, ...maps),
      neighbours,
    );
    if (!dialog.open) dialog.showModal();
    close.focus();
    if (data.compared && data.labels[row] !== null) {
      near(row).then((found) => showNear(neighbours, found), () => { neighbours.textContent = "Its neighbours are not there: a file in the folder near, beside this page, is missing."; });
    } else neighbours.textContent = "";
  }

  function showNear(place, found) {
    if (found.length === 0) return place.replaceChildren();
    const grid = make("ul", { class: "grid" });
    for (const [row, cosine] of found) grid.append(thumb(row, `similarity ${cosine.toFixed(2)}`));
    place.replaceChildren(make("h3", { class: "small" }, "Nearest neighbours"), grid);
  }

  /* The map. */

  let plot = null;
  let home = null;
  const known = () => data.labels.map((_, row) => row).filter((row) => data.labels[row] !== null && data.x[row] !== null);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /* A trace for each colour and symbol, which clusters share where there are more of them than of these. */
  const styleOf = (label) => (label === -1 ? -1 : label % (COLOURS.length * SYMBOLS.length));

  function traces(only = "") {
    const groups = new Map();
    for (const row of known()) {
      if (only !== "" && data.labels[row] !== Number(only)) continue;
      const style = styleOf(data.labels[row]);
      groups.has(style) ? groups.get(style).push(row) : groups.set(style, [row]);
    }
    const styles = [...groups.keys()].sort((a, b) => (a === -1) - (b === -1) || a - b);
    const kind = data.ids.length > DRAWN_AS_SVG && hasWebGL() ? "scattergl" : "scatter";
    return styles.map((style) => {
      const rows = groups.get(style);
      return {
        type: kind, mode: "markers", name: visible(nameOf(data.labels[rows[0]])).replace(/&/g, "&amp;").replace(/</g, "&lt;"),
        x: rows.map((row) => data.x[row]), y: rows.map((row) => data.y[row]), customdata: rows, hoverinfo: "none",
        marker: {
          color: style === -1 ? "#8a8f98" : COLOURS[style % COLOURS.length],
          symbol: style === -1 ? "x" : SYMBOLS[Math.floor(style / COLOURS.length)],
          size: POINT_SIZES.find(([most]) => data.ids.length <= most)[1], opacity: 0.8,
        },
      };
    });
  }

  function hasWebGL() {
    try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
  }

  function layout() {
    const axis = { visible: false, zeroline: false };
    return {
      margin: { l: 8, r: 8, t: 8, b: 8 }, dragmode: "pan", hovermode: "closest",
      showlegend: Object.keys(data.names).length <= COLOURS.length * SYMBOLS.length,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: style("--ink") },
      xaxis: { ...axis }, yaxis: { ...axis, scaleanchor: "x" },
      legend: { bgcolor: "rgba(0,0,0,0)", itemsizing: "constant" },
    };
  }

  function draw() {
    plot = find("#plot");
    window.Plotly.newPlot(plot, traces(), layout(), { displayModeBar: false, displaylogo: false, scrollZoom: true, responsive: true }).then(() => {
      home = ranges();
      plot.on("plotly_hover", (event) => hover(event));
      plot.on("plotly_unhover", () => { find("#hover").hidden = true; });
      plot.on("plotly_click", (event) => show(event.points[0].customdata));
      plot.on("plotly_selected", (event) => { if (event) list(event.points.map((point) => point.customdata), "selected"); });
      plot.dataset.ready = "yes";
    });
  }

  function hover(event) {
    const row = event.points[0].customdata;
    const place = find("#hover");
    place.replaceChildren(picture(row, true), make("bdi", {}, visible(data.ids[row])), make("div", { class: "quiet" }, visible(nameOf(data.labels[row]))));
    place.hidden = false;
    const { clientX, clientY } = event.event;
    place.style.left = `${Math.min(clientX + 16, window.innerWidth - place.offsetWidth - 8)}px`;
    place.style.top = `${Math.max(8, Math.min(clientY + 16, window.innerHeight - place.offsetHeight - 8))}px`;
  }

  const ranges = () => ({ x: [...plot._fullLayout.xaxis.range], y: [...plot._fullLayout.yaxis.range] });
  const relayout = ({ x, y }) => window.Plotly.relayout(plot, { "xaxis.range": x, "yaxis.range": y });

  function zoom(factor) {
    const { x, y } = ranges();
    const scaled = ([low, high]) => { const middle = (low + high) / 2; return [middle + (low - middle) * factor, middle + (high - middle) * factor]; };
    return relayout({ x: scaled(x), y: scaled(y) });
  }

  function move(across, up) {
    const { x, y } = ranges();
    const by = ([low, high], share) => [low + (high - low) * share, high + (high - low) * share];
    return relayout({ x: by(x, across), y: by(y, up) });
  }

  function listView() {
    const { x, y } = ranges();
    const only = find("#map-cluster").value;
    list(known().filter((row) => data.x[row] >= x[0] && data.x[row] <= x[1] && data.y[row] >= y[0] && data.y[row] <= y[1]
      && (only === "" || data.labels[row] === Number(only))), "in view");
  }

  /* Ids to be copied: one a line; quoted as in a CSV where one would not be read back otherwise. */
  const quoted = (id) => (/[",\n\r]/.test(id) ? `"${id.replace(/"/g, '""')}"` : id);

  function list(rows, what) {
    const text = make("textarea", { readonly: true, "aria-label": `Ids of the images ${what}` });
    text.value = rows.map((row) => quoted(data.ids[row])).join("\n");
    const grid = make("div");
    fill(grid, rows);
    find("#selection").replaceChildren(
      make("h3", { class: "small" }, `${count(rows.length, "image")} ${what}`), text,
      make("p", {}, make("button", { type: "button", class: "copy", onclick: (event) => copy(text.value, event.currentTarget) }, "Copy ids")), grid);
  }

  function copy(text, button) {
    const label = button.textContent;
    const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = label; }, 1500); };
    const byHand = () => {
      const area = make("textarea");
      area.value = text;
      (button.closest("dialog") ?? document.body).append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      done();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, byHand);
    else byHand();
  }

  const MODES = ["pan", "lasso", "select"];
  const TOOLS = {
    in: () => zoom(0.6), out: () => zoom(1 / 0.6), whole: () => relayout(home), view: listView,
    ...Object.fromEntries(MODES.map((mode) => [mode, () => {
      window.Plotly.relayout(plot, { dragmode: mode });
      for (const each of MODES) find(`[data-map="${each}"]`).setAttribute("aria-pressed", String(each === mode));
    }])),
  };
  const KEYS = {
    ArrowLeft: () => move(-0.15, 0), ArrowRight: () => move(0.15, 0), ArrowUp: () => move(0, 0.15), ArrowDown: () => move(0, -0.15),
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: () => relayout(home), Enter: listView,
  };

  function onlyCluster(value) {
    window.Plotly.react(plot, traces(value), { ...plot.layout, uirevision: "kept" });
  }

  /* The library is large: it is loaded when the map comes near. */
  function loadMap() {
    const place = find("#plot");
    if (place === null || data.x === null) return;
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      document.head.append(make("script", { src: "plotly.min.js", onload: draw, onerror: () => { place.textContent = "plotly.min.js is missing beside this page."; } }));
    }, { rootMargin: "600px" });
    watcher.observe(place);
    place.addEventListener("keydown", (event) => {
      const act = KEYS[event.key];
      if (!act || plot === null || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    for (const button of all("[data-map]")) button.addEventListener("click", () => { if (plot?.dataset.ready) TOOLS[button.dataset.map](); });
    find("#map-cluster").addEventListener("change", (event) => { if (plot?.dataset.ready) onlyCluster(event.target.value); });
  }

  /* Light, dark, or as the system says. */

  const THEMES = ["auto", "light", "dark"];
  function setTheme(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    find("#theme").textContent = `Theme: ${theme}`;
    try { localStorage.setItem("imgcluster-theme", theme); } catch { /* a page from a file may have no storage */ }
    if (plot?.dataset.ready) window.Plotly.relayout(plot, { "font.color": style("--ink") });
  }
  function storedTheme() {
    try { return localStorage.getItem("imgcluster-theme") ?? "auto"; } catch { return "auto"; }
  }

  function start() {
    setTheme(THEMES.includes(storedTheme()) ? storedTheme() : "auto");
    find("#theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3]));
    find("#search-form").addEventListener("submit", (event) => { event.preventDefault(); find("#results .thumb")?.focus(); });
    let waiting = 0;
    find("#search").addEventListener("input", (event) => { clearTimeout(waiting); waiting = setTimeout(() => search(event.target.value), 120); });
    find("#image").addEventListener("close", () => { seen.length = 0; });
    find("#image").addEventListener("click", (event) => { if (event.target === event.currentTarget) event.currentTarget.close(); });
    document.addEventListener("click", (event) => {
      const target = event.target.closest("button");
      if (target === null) return;
      if (target.matches(".thumb")) {
        const dialog = target.closest("dialog");
        if (dialog) seen.push(Number(dialog.dataset.row));
        show(Number(target.dataset.row));
      } else if (target.matches(".all")) toggleAll(target);
      else if (target.matches(".group")) showGroup(target);
      else if (target.matches(".copy[data-copy]")) copy(target.dataset.copy, target);
    });
    window.addEventListener("beforeprint", () => { for (const image of all("img[loading=lazy]")) image.loading = "eager"; });
    loadMap();
    document.documentElement.dataset.ready = "yes";
  }
  start();
})();
