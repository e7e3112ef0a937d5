// The explorer: a heatmap over lr and weight_decay with a slider over record points; a cell's
// curves beside it. Without libraries; everything is drawn as SVG, in CSS pixels.
(function () {
  "use strict";
  const root = document.getElementById("explorer");
  const source = document.getElementById("explorer-data");
  if (!root || !source) return;
  const all = JSON.parse(source.textContent);
  const planes = all.planes || [all];  // of a scale, one a value
  let data = planes[planes.length - 1];
  const find = (name) => root.querySelector("[data-part=" + name + "]");
  const map = find("map"), chart = find("curves"), bar = find("bar"), tip = find("tip");
  const choice = find("series"), slider = find("slider"), told = find("point");
  const along = find("scale"), valued = find("value");
  const title = find("cell");
  const LINES = {
    primary_loss: ["var(--blue)", ""], decay_loss: ["var(--vermilion)", "6 4"],
    val_loss: ["var(--green)", "2 3"], total_loss: ["var(--ink)", "9 3 2 3"],
  };
  let cells, lrs, decays, series, point, chosen;

  function make(name, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  }

  function words(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e-3 && size < 1e4) return String(Number(value.toPrecision(3)));
    return value.toExponential(1).replace(".0e", "e").replace("e+", "e");
  }

  // The last record point at which most cells have a value: not all trials run equally long.
  function lastCommon() {
    const counts = data.points.map((_, k) => series.values.filter((v) => v[k] !== null).length);
    const most = Math.max(...counts);
    let last = counts.length - 1;
    while (last > 0 && counts[last] < most / 2) last--;
    return last;
  }

  const unique = (values) => [...new Set(values)].sort((a, b) => a - b);

  // A logarithmic axis. What is not near stands apart from it, as 0 does: few far values on one
  // side or the other, for the others to have the room.
  function axis(values, near) {
    const known = unique(values), low = Math.log10(near[0]), high = Math.log10(near[1]);
    const below = known.filter((v) => v > 0 && v < near[0]);
    const above = known.filter((v) => v > near[1]);
    const under = below.length ? low - 0.6 : low, over = above.length ? high + 0.6 : high;
    const zero = known[0] === 0 ? under - 0.6 : under;
    const from = zero - 0.2, to = over + 0.2;
    const place = (v) => v === 0 ? zero : v < near[0] ? under : v > near[1] ? over : Math.log10(v);
    const apart = [...(known[0] === 0 ? [0] : []), ...below.slice(-1), ...above.slice(0, 1)];
    return { values: known, near, apart, at: (v) => (place(v) - from) / (to - from) };
  }

  // Take up a plane, and of the one before the series, the share of the run and the cell; where
  // that was the best, the best.
  function take(k) {
    const before = series && { name: series.name, share: point / Math.max(1, data.points.length - 1),
      atBest: chosen === data.best, lr: data.lr[chosen], decay: data.weight_decay[chosen] };
    data = planes[k];
    cells = data.lr.map((_, i) => i);
    lrs = axis(data.lr, data.near.lr);
    decays = axis(data.weight_decay, data.near.weight_decay);
    series = data.series.find((s) => before && s.name === before.name) || data.series[0];
    point = before ? Math.round(before.share * (data.points.length - 1)) : lastCommon();
    chosen = data.best === null ? 0 : data.best;
    if (before && !before.atBest) chosen = nearest(before.lr, before.decay);
    choice.replaceChildren();
    data.series.forEach((s) => choice.add(new Option(s.label)));
    choice.selectedIndex = data.series.indexOf(series);
    slider.max = data.points.length - 1;
    slider.value = point;
    slider.disabled = data.points.length < 2;
    if (!along) return;
    valued.textContent = all.at[k];
    along.setAttribute("aria-valuetext", all.scale + " " + all.at[k]);
  }

  function nearest(lr, decay) {
    const away = (i) => Math.abs(lrs.at(data.lr[i]) - lrs.at(lr)) +
      Math.abs(decays.at(data.weight_decay[i]) - decays.at(decay));
    return cells.reduce((best, i) => (away(i) < away(best) ? i : best), 0);
  }

  function share(value, scale) {
    const low = scale.log ? Math.log(scale.low) : scale.low;
    const high = scale.log ? Math.log(scale.high) : scale.high;
    const at = scale.log ? Math.log(Math.max(value, scale.low)) : value;
    return Math.min(1, Math.max(0, (at - low) / (high - low)));
  }

  function colour(value) {
    const at = share(value, series);
    const place = series.bright_low ? 1 - at : at;
    return data.colours[Math.round(place * (data.colours.length - 1))];
  }

  const isBright = (value) => {
    const at = share(value, series);
    return (series.bright_low ? 1 - at : at) > 0.6;
  };

  const valueOf = (i) => series.values[i][point];
  const diverged = (i) => data.diverged[i] >= 0.5;

  function label(i) {
    const value = valueOf(i);
    const state = value === null ? (diverged(i) ? "diverged" : "no value") : words(value);
    return "lr " + words(data.lr[i]) + ", weight_decay " + words(data.weight_decay[i]) +
      ": " + series.label + " " + state;
  }

  function hatch(svg) {
    const pattern = make("pattern", { id: "hatch", width: 6, height: 6,
      patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, make("defs", {}, svg));
    make("rect", { width: 6, height: 6, fill: "var(--hatch-ground)" }, pattern);
    make("rect", { width: 1.2, height: 6, fill: "var(--muted)" }, pattern);
  }

  let marks = [], plot = null;  // and where in the picture the plane lies

  function drawMap() {
    const width = map.clientWidth, left = 78, bottom = 40, top = 6, right = 6;
    const rows = data.grid ? decays.values.length : 10;
    const inner = width - left - right;
    const cellWidth = data.grid ? inner / lrs.values.length : 0;
    const height = data.grid
      ? Math.min(Math.max(rows * Math.min(cellWidth * 0.75, 44), 150), 620) : inner * 0.72;
    const cellHeight = data.grid ? height / rows : 0;
    plot = { left, top, inner, height };
    map.replaceChildren();
    const svg = make("svg", { width, height: height + top + bottom, role: "group",
      "aria-label": "heatmap over lr and weight_decay" }, map);
    hatch(svg);
    marks = cells.map((i) => {
      const common = { role: "button", tabindex: i === chosen ? 0 : -1, class: "mark" };
      const node = data.grid
        ? make("rect", { ...common, x: left + lrs.values.indexOf(data.lr[i]) * cellWidth + 0.5,
            y: top + (rows - 1 - decays.values.indexOf(data.weight_decay[i])) * cellHeight + 0.5,
            width: cellWidth - 1, height: cellHeight - 1 }, svg)
        : make("circle", { ...common, cx: left + lrs.at(data.lr[i]) * inner,
            cy: top + height - decays.at(data.weight_decay[i]) * height,
            r: cells.length > 500 ? 4 : 6.5 }, svg);
      node.dataset.cell = i;
      return node;
    });
    drawTicks(svg, left, top, inner, height, cellWidth, cellHeight);
    svg.appendChild(make("g", { "data-part": "numbers", "aria-hidden": "true" }));
    svg.appendChild(make("g", { "data-part": "outline", "aria-hidden": "true" }));
    if (data.grid && cellWidth >= 30 && cellHeight >= 15 && cells.length <= 150) {
      svg.dataset.numbered = "yes";
    }
    paint();
  }

  function drawTicks(svg, left, top, inner, height, cellWidth, cellHeight) {
    const text = { fill: "var(--ink)", "font-size": 11, "aria-hidden": "true" };
    const fits = Math.max(1, Math.floor(inner / 46));
    const stride = Math.ceil(lrs.values.length / fits);
    const downStride = Math.ceil(decays.values.length / Math.max(1, Math.floor(height / 17)));
    const across = data.grid ? lrs.values : decades(lrs, fits);
    const down = data.grid ? decays.values : decades(decays, 8);
    across.forEach((v, k) => {
      if (data.grid && k % stride) return;
      const x = data.grid ? left + (k + 0.5) * cellWidth : left + lrs.at(v) * inner;
      make("text", { ...text, x, y: top + height + 15, "text-anchor": "middle" }, svg, words(v));
    });
    down.forEach((v, k) => {
      if (data.grid && k % downStride && v > 0) return;
      const y = data.grid ? top + height - (k + 0.5) * cellHeight
        : top + height - decays.at(v) * height;
      make("text", { ...text, x: left - 6, y: y + 4, "text-anchor": "end" }, svg, words(v));
    });
    make("text", { ...text, x: left + inner / 2, y: top + height + 33, "text-anchor": "middle" },
      svg, "lr");
    make("text", { ...text, "text-anchor": "middle",
      transform: "translate(11 " + (top + height / 2) + ") rotate(-90)" }, svg, "weight_decay");
  }

  // Decades of an axis, and the names of what stands apart.
  function decades(axis, most) {
    if (!axis.values.some((v) => v > 0)) return axis.apart;
    const [low, high] = axis.near;
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.max(1, Math.ceil((last - first + 1) / most));
    const ticks = [];
    for (let e = first; e <= last; e += every) ticks.push(Number("1e" + e));
    return [...axis.apart, ...(ticks.length ? ticks : [low])];
  }

  function paint() {
    const svg = map.querySelector("svg");
    const numbers = svg.querySelector("[data-part=numbers]");
    numbers.replaceChildren();
    marks.forEach((node, i) => {
      const value = valueOf(i);
      node.setAttribute("fill", value !== null ? colour(value)
        : diverged(i) ? "url(#hatch)" : "var(--empty)");
      node.setAttribute("aria-label", label(i));
      node.setAttribute("aria-pressed", i === chosen ? "true" : "false");
      if (svg.dataset.numbered && value !== null) {
        const box = node.getBBox();
        make("text", { x: box.x + box.width / 2, y: box.y + box.height / 2 + 3.5,
          "text-anchor": "middle", "font-size": 10,
          fill: isBright(value) ? "#1f2328" : "#fff" }, numbers, words2(value));
      }
    });
    outline();
    told.textContent = data.points.length > 1
      ? data.x + " " + words(data.points[point]) : "at the end";
    slider.setAttribute("aria-valuetext", told.textContent);
    drawBar();
  }

  const words2 = (v) => (Math.abs(v) >= 1e-3 && Math.abs(v) < 1e4
    ? String(Number(v.toPrecision(2))) : v.toExponential(0).replace("e+", "e"));

  function outline() {
    const group = map.querySelector("[data-part=outline]");
    group.replaceChildren();
    const ring = (i, stroke, width, dash) => {
      if (i === null) return;
      const copy = marks[i].cloneNode(false);
      for (const name of ["role", "tabindex", "aria-label", "aria-pressed", "data-cell"]) {
        copy.removeAttribute(name);
      }
      copy.setAttribute("class", "ring");
      copy.setAttribute("fill", "none");
      copy.setAttribute("stroke", stroke);
      copy.setAttribute("stroke-width", width);
      if (dash) copy.setAttribute("stroke-dasharray", dash);
      group.appendChild(copy);
    };
    for (const i of data.tied) circle(i, group);
    ring(data.best, "#fff", 4);
    ring(data.best, "#1f2328", 2);
    ring(chosen, "#fff", 5);
    ring(chosen, "var(--mark)", 3);
    optimum(group);
  }

  // Where the best is by the law of all values of a scale; nothing where that is not known.
  function optimum(group) {
    if (!data.optimum) return;
    const x = within(lrs, data.optimum[0]), y = within(decays, data.optimum[1]);
    if (x === null || y === null) return;
    make("circle", { cx: plot.left + x * plot.inner, cy: plot.top + (1 - y) * plot.height, r: 5,
      fill: "#d55e00", stroke: "#fff", "stroke-width": 1.6, class: "ring",
      "data-part": "optimum" }, group);
  }

  // The place of any value on an axis, as a share of it; between columns of a grid by its log.
  function within(axis, value) {
    if (!data.grid) return axis.at(value);
    const known = axis.values, k = known.findIndex((v, i) => v > 0 && v <= value &&
      value <= known[i + 1]);
    if (k < 0) return null;
    const share = Math.log(value / known[k]) / Math.log(known[k + 1] / known[k]);
    return (k + share + 0.5) / known.length;
  }

  // Round a cell that the noise does not tell from the best.
  function circle(i, group) {
    const box = marks[i].getBBox(), value = valueOf(i), out = data.grid ? -2.5 : 3;
    make("ellipse", { cx: box.x + box.width / 2, cy: box.y + box.height / 2,
      rx: box.width / 2 + out, ry: box.height / 2 + out, fill: "none", class: "ring",
      "stroke-width": 1.2, "data-tied": i, stroke: !data.grid ? "var(--ink)"
        : value === null || isBright(value) ? "#1f2328" : "#fff" }, group);
  }

  function drawBar() {
    const width = bar.clientWidth, left = 78, inner = width - left - 14;
    bar.replaceChildren();
    if (!series.values.some((row) => row.some((v) => v !== null))) return;
    const svg = make("svg", { width, height: 46, "aria-hidden": "true" }, bar);
    const stops = make("linearGradient", { id: "shades" }, make("defs", {}, svg));
    data.colours.forEach((shade, k) => {
      const at = k / (data.colours.length - 1);
      make("stop", { offset: at, "stop-color":
        series.bright_low ? data.colours[data.colours.length - 1 - k] : shade }, stops);
    });
    make("rect", { x: left, y: 2, width: inner, height: 10, fill: "url(#shades)", rx: 2 }, svg);
    const ticks = ticksOf(series.low, series.high, series.log, Math.max(2, Math.floor(inner / 52)));
    for (const v of ticks) {
      make("text", { x: left + share(v, series) * inner, y: 25, fill: "var(--ink)",
        "font-size": 11, "text-anchor": "middle" }, svg, words(v));
    }
    make("text", { x: left + inner / 2, y: 41, fill: "var(--muted)", "font-size": 11,
      "text-anchor": "middle" }, svg, series.label + (series.log ? " (log scale)" : ""));
  }

  function ticksOf(low, high, log, most) {
    const ticks = [];
    if (log) {
      for (const digits of [[1, 2, 5], [1, 3], [1]]) {
        ticks.length = 0;
        for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
          for (const d of digits) {
            const v = Number(d + "e" + e);
            if (v >= low * 0.999 && v <= high * 1.001) ticks.push(v);
          }
        }
        if (ticks.length <= most) return ticks.length > 1 ? ticks : [low, high];
      }
      return ticks.filter((_, k) => k % Math.ceil(ticks.length / most) === 0);
    }
    const rough = (high - low) / Math.max(1, Math.min(most, 5));
    const unit = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map((d) => d * unit).find((s) => s >= rough) || rough;
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
      ticks.push(Number((k * step).toPrecision(8)));
    }
    return ticks;
  }

  function lossesOf(i) {
    const found = {};
    for (const s of data.series) {
      if (s.name in LINES) found[s.name] = s.values[i];
    }
    if (found.primary_loss && found.decay_loss) {
      found.total_loss = found.primary_loss.map((v, k) =>
        v === null || found.decay_loss[k] === null ? null : v + found.decay_loss[k]);
    }
    if (!(series.name in LINES)) return { [series.name]: series.values[i] };
    return found;
  }

  function drawCurves() {
    const what = "lr " + words(data.lr[chosen]) + ", weight_decay " + words(data.weight_decay[chosen]);
    title.textContent = what;
    find("facts").textContent = facts(chosen);
    const width = chart.clientWidth, height = 300, left = 52, bottom = 38, top = 10, right = 12;
    const lines = lossesOf(chosen);
    const other = data.best !== null && data.best !== chosen ? lossesOf(data.best) : {};
    const values = Object.values(lines).flat().filter((v) => v !== null);
    chart.replaceChildren();
    if (!values.length || data.points.length < 2) {
      const note = document.createElement("p");
      note.textContent = "This cell has no curves.";
      chart.appendChild(note);
      legend([]);
      return;
    }
    const svg = make("svg", { width, height, role: "img", "aria-label":
      "curves of " + what }, chart);
    const positive = values.filter((v) => v > 0);
    const log = positive.length > 0 && Math.max(...positive) / Math.min(...positive) >= 8;
    let low = log ? Math.min(...positive) / 1.3 : Math.min(...values);
    let high = Math.max(...values) * (log ? 1.3 : 1);
    if (low === high) { low -= Math.abs(low) * 0.1 + 1e-9; high += Math.abs(high) * 0.1 + 1e-9; }
    const scale = { low, high, log };
    const first = data.points[0], span = data.points[data.points.length - 1] - first || 1;
    const x = (k) => left + (data.points[k] - first) / span * (width - left - right);
    const y = (v) => top + (1 - share(v, scale)) * (height - top - bottom);
    frame(svg, scale, width, height, left, right, bottom, top, x, y);
    for (const name in lines) {
      if (other[name]) draw(svg, other[name], x, y, log, "var(--rule-strong)", "", 1, "best");
      const [stroke, dash] = LINES[name] || ["var(--ink)", ""];
      draw(svg, lines[name], x, y, log, stroke, dash, 2, name);
    }
    make("line", { x1: x(point), x2: x(point), y1: top, y2: height - bottom, stroke: "var(--mark)",
      "stroke-width": 1, "stroke-dasharray": "3 3", "data-part": "now" }, svg);
    legend(Object.keys(lines), Object.keys(other).length > 0);
  }

  function draw(svg, values, x, y, log, stroke, dash, width, name) {
    let path = "", pen = "M";
    values.forEach((v, k) => {
      if (v === null || (log && v <= 0)) { pen = "M"; return; }
      path += pen + x(k).toFixed(1) + " " + y(v).toFixed(1);
      pen = "L";
    });
    if (path) make("path", { d: path, fill: "none", stroke, "stroke-width": width,
      "stroke-dasharray": dash, "stroke-linejoin": "round", "data-series": name }, svg);
  }

  function frame(svg, scale, width, height, left, right, bottom, top, x, y) {
    const text = { fill: "var(--ink)", "font-size": 11 };
    for (const v of ticksOf(scale.low, scale.high, scale.log, 7)) {
      make("line", { x1: left, x2: width - right, y1: y(v), y2: y(v), stroke: "var(--rule)" }, svg);
      make("text", { ...text, x: left - 6, y: y(v) + 4, "text-anchor": "end" }, svg, words(v));
    }
    const first = data.points[0], last = data.points[data.points.length - 1];
    for (const v of ticksOf(first, last, false, 5)) {
      const at = x(0) + (v - first) / (last - first) * (x(data.points.length - 1) - x(0));
      make("text", { ...text, x: at, y: height - bottom + 16, "text-anchor": "middle" }, svg,
        words(v));
    }
    make("text", { ...text, x: (left + width - right) / 2, y: height - 5,
      "text-anchor": "middle" }, svg, data.x);
  }

  function legend(names, withBest) {
    const list = find("legend");
    list.replaceChildren();
    const entry = (text, stroke, dash, width) => {
      const item = document.createElement("li");
      const svg = make("svg", { width: 28, height: 10, "aria-hidden": "true" }, item);
      make("line", { x1: 1, x2: 27, y1: 5, y2: 5, stroke, "stroke-width": width,
        "stroke-dasharray": dash }, svg);
      item.append(" " + text);
      list.appendChild(item);
    };
    for (const name of names) {
      const [stroke, dash] = LINES[name] || ["var(--ink)", ""];
      entry(data.labels[name] || series.label, stroke, dash, 2);
    }
    if (withBest) entry("the same of the best cell", "var(--rule-strong)", "", 1);
  }

  function facts(i) {
    const parts = [data.final_label + " " + (data.final[i] === null
      ? (diverged(i) ? "none: diverged" : "none") : words(data.final[i]))];
    parts.push(data.seeds[i] + " " + data.replica + (data.seeds[i] === 1 ? "" : "s"));
    parts.push("lr · weight_decay " + words(data.lr[i] * data.weight_decay[i]));
    parts.push("trial " + data.trials[i]);
    if (i === data.best) parts.push("the best cell");
    if (data.tied.includes(i)) parts.push("as good as the best, within the noise");
    return parts.join(" · ");
  }

  function choose(i, focus) {
    marks[chosen].setAttribute("tabindex", -1);
    chosen = i;
    marks[i].setAttribute("tabindex", 0);
    marks.forEach((node, k) => node.setAttribute("aria-pressed", k === i ? "true" : "false"));
    if (focus) marks[i].focus();
    outline();
    drawCurves();
  }

  function showTip(i, event) {
    const value = valueOf(i);
    tip.replaceChildren();
    const lines = ["lr " + words(data.lr[i]) + " · weight_decay " + words(data.weight_decay[i]),
      series.label + (data.points.length > 1 ? " at " + told.textContent : "") + ": " +
        (value === null ? (diverged(i) ? "diverged" : "no value") : words(value)), facts(i)];
    for (const line of lines) {
      const row = document.createElement("div");
      row.textContent = line;
      tip.appendChild(row);
    }
    tip.hidden = false;
    const box = root.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const x = Math.min(event.clientX - box.left + 14, box.width - size.width - 4);
    const y = event.clientY - box.top + 18;
    tip.style.left = Math.max(0, x) + "px";
    tip.style.top = y + "px";
  }

  // The nearest cell in a direction, for the arrow keys.
  function neighbour(i, dx, dy) {
    const here = [lrs.at(data.lr[i]), decays.at(data.weight_decay[i])];
    let best = i, least = Infinity;
    for (const k of cells) {
      const x = lrs.at(data.lr[k]) - here[0], y = decays.at(data.weight_decay[k]) - here[1];
      const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (ahead > 1e-9 && ahead + 4 * aside < least) { least = ahead + 4 * aside; best = k; }
    }
    return best;
  }

  const cellOf = (event) => {
    const node = event.target.closest("[data-cell]");
    return node ? Number(node.dataset.cell) : null;
  };
  map.addEventListener("click", (event) => {
    const i = cellOf(event);
    if (i !== null) choose(i, true);
  });
  map.addEventListener("mousemove", (event) => {
    const i = cellOf(event);
    if (i === null) tip.hidden = true; else showTip(i, event);
  });
  map.addEventListener("mouseleave", () => { tip.hidden = true; });
  map.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!(event.key in ways) || cellOf(event) === null) return;
    event.preventDefault();
    choose(neighbour(chosen, ...ways[event.key]), true);
  });
  choice.addEventListener("change", () => {
    series = data.series[choice.selectedIndex];
    paint();
    drawCurves();
  });
  slider.addEventListener("input", () => {
    point = Number(slider.value);
    paint();
    drawCurves();
  });

  take(planes.length - 1);
  if (along) {
    along.max = planes.length - 1;
    along.value = along.max;
    along.addEventListener("input", () => {
      take(Number(along.value));
      drawMap();
      drawCurves();
    });
  }
  root.hidden = false;
  drawMap();
  drawCurves();
  let width = map.clientWidth;
  new ResizeObserver(() => {
    if (map.clientWidth === width || map.clientWidth === 0) return;  // 0: hidden, on paper
    width = map.clientWidth;
    drawMap();
    drawCurves();
  }).observe(map);
})();
