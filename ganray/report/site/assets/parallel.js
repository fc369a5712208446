"use strict";
// Parallel coordinates: one line per trial over the fields that differ, to its distance. Drawn once it is in sight.
(function (report) {
  var HEIGHT = 320, TOP = 34, BOTTOM = 14, EDGE = 70, BANDS = 5, NARROWEST = 150, WIDEST = 260;

  // Where a value stands on its axis, from 0 at the bottom to 1 on top, and the ticks.
  function axis(spec, values) {
    var known = values.filter(function (value) { return value !== null; });
    if (spec.numeric) return numeric(known, spec.flipped);
    var kinds = Array.from(new Set(known.map(String))).sort(new Intl.Collator("en", { numeric: true }).compare);
    var place = {};
    kinds.forEach(function (kind, i) { place[kind] = kinds.length > 1 ? i / (kinds.length - 1) : 0.5; });
    return { at: function (value) { return place[String(value)]; }, ticks: kinds.map(function (kind) { return [kind, place[kind]]; }), room: kinds.length };
  }

  function numeric(known, isFlipped) {
    var low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
    var isLog = low > 0 && high / low > 9, scaled = isLog ? Math.log : Number;
    function at(value) {
      var share = high > low ? (scaled(value) - scaled(low)) / (scaled(high) - scaled(low)) : 0.5;
      return isFlipped ? 1 - share : share;
    }
    var distinct = Array.from(new Set(known)).sort(function (a, b) { return a - b; });
    var shown = distinct.length <= 6 ? distinct : isLog ? [low, Math.sqrt(low * high), high] : [low, (low + high) / 2, high];
    return { at: at, ticks: shown.map(function (value) { return [report.number(value), at(value)]; }), room: distinct.length };
  }

  function draw(figure) {
    var data = JSON.parse(figure.querySelector("script").textContent);
    var specs = data.axes.concat([{ label: "distance", numeric: true, flipped: true }]);
    var columns = specs.map(function (spec, i) {
      return data.lines.map(function (line) { return i < data.axes.length ? line.values[i] : line.distance; });
    });
    var axes = specs.map(function (spec, i) { return axis(spec, columns[i]); });
    var room = (figure.clientWidth - 2 * EDGE) / (specs.length - 1);
    var step = Math.floor(Math.min(WIDEST, Math.max(NARROWEST, room)));
    var width = 2 * EDGE + step * (specs.length - 1);
    var plot = report.svg("svg", { viewBox: "0 0 " + width + " " + HEIGHT, width: width, height: HEIGHT, role: "img", "aria-label": figure.querySelector(".plot").getAttribute("aria-label") });
    var lines = report.svg("g", { class: "lines" });
    var order = data.lines.map(function (line, i) { return i; }).sort(function (a, b) { return data.lines[b].distance - data.lines[a].distance; });
    order.forEach(function (i, place) {
      lines.append(trace(data.lines[i], i, axes, step, Math.floor(BANDS * place / order.length)));
    });
    plot.append(lines, ...specs.map(function (spec, i) { return scaleOf(spec, axes[i], EDGE + step * i); }));
    var output = figure.querySelector("output");
    lines.addEventListener("pointerover", function (event) {
      if (event.target.dataset.text) output.textContent = event.target.dataset.text;
    });
    lines.addEventListener("click", function (event) {
      if (event.target.dataset.slug) location.href = "trials/" + event.target.dataset.slug + ".html";
    });
    figure.querySelector(".plot").append(plot);
    return plot;
  }

  function y(share) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
  }

  function trace(line, index, axes, step, band) {
    var path = "", gap = true;
    axes.forEach(function (each, i) {
      var value = i < line.values.length ? line.values[i] : line.distance;
      if (value === null) {
        gap = true;
        return;
      }
      // Lines through few places are spread a little, or a hundred of them would look like one.
      var spread = each.room < 12 && i < line.values.length ? ((index * 0.618034) % 1 - 0.5) * 0.07 : 0;
      path += (gap ? "M" : "L") + (EDGE + step * i) + " " + y(each.at(value) * 0.94 + 0.03 + spread).toFixed(1);
      gap = false;
    });
    return report.svg("path", { d: path, class: "band-" + band, "data-slug": line.slug, "data-text": line.id.slice(0, 12) + ": " + line.text });
  }

  function scaleOf(spec, place, x) {
    var group = report.svg("g", { class: "scale" },
      report.svg("text", { x: x, y: 16, "text-anchor": "middle", class: "name" }, short(spec.label, 20)),
      report.svg("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
    var ticks = place.ticks.length <= 14 ? place.ticks : place.ticks.filter(function (tick, n) { return n % Math.ceil(place.ticks.length / 14) === 0; });
    ticks.forEach(function (tick) {
      group.append(report.svg("text", { x: x + 6, y: y(tick[1] * 0.94 + 0.03) + 4 }, short(tick[0], 18), report.svg("title", {}, tick[0])));
    });
    return group;
  }

  function short(text, most) {
    return text.length <= most ? text : text.slice(0, most - 1) + "…";
  }

  var figures = Array.from(document.querySelectorAll(".parallel"));
  var drawn = new Map(), passing = null;

  function show(figure) {
    if (!drawn.has(figure)) drawn.set(figure, draw(figure));
    apply(figure);
  }

  function apply(figure) {
    if (!passing || !drawn.has(figure)) return;
    drawn.get(figure).querySelectorAll(".lines path").forEach(function (path) {
      path.classList.toggle("out", !passing.has(path.dataset.slug));
    });
  }

  var observer = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (entry.isIntersecting) {
        observer.unobserve(entry.target);
        show(entry.target);
      }
    });
  }, { rootMargin: "200px" });
  figures.forEach(function (figure) { observer.observe(figure); });

  document.addEventListener("ganray-filter", function (event) {
    passing = event.detail.slugs;
    document.querySelectorAll("#choices [data-board]").forEach(function (part) {
      part.hidden = part.dataset.board !== event.detail.board;
    });
    figures.forEach(apply);
  });
})(window.GanrayReport);
