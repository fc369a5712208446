"use strict";
// Elements without innerHTML, numbers as people read them, and line plots. Names and values only ever become text nodes.
window.GanrayReport = window.GanrayReport || {};
(function (report) {
  var SVG = "http://www.w3.org/2000/svg";
  var WIDTH = 560, HEIGHT = 232, LEFT = 58, RIGHT = 14, TOP = 10, BOTTOM = 30;
  var plots = 0;

  function build(element, attributes, children) {
    Object.keys(attributes || {}).forEach(function (name) {
      if (attributes[name] !== null) element.setAttribute(name, attributes[name]);
    });
    children.forEach(function (child) {
      if (child !== null) element.append(child); // texts become text nodes
    });
    return element;
  }

  report.make = function (tag, attributes, ...children) {
    return build(document.createElement(tag), attributes, children);
  };

  report.svg = function (tag, attributes, ...children) {
    return build(document.createElementNS(SVG, tag), attributes, children);
  };

  // Four significant digits, as in the tables.
  report.number = function (value) {
    if (value === null || !isFinite(value)) return "–";
    var size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e6) return String(value);
    if (size >= 1e-3 && size < 1e6) {
      var text = value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(size))));
      return size >= 10 ? text : text.replace(/0+$/, "").replace(/\.$/, "");
    }
    return value.toPrecision(3);
  };

  report.ticks = function (low, high, about) {
    var rough = (high - low) / (about || 5);
    var power = Math.pow(10, Math.floor(Math.log10(rough)));
    var step = [1, 2, 5, 10].map(function (s) { return s * power; }).find(function (s) { return s >= rough; });
    var found = [];
    for (var n = Math.ceil(low / step); n <= Math.floor(high / step); n++) found.push(n * step);
    return found;
  };

  function logTicks(low, high) {
    var found = [], first = Math.ceil(Math.log10(low)), last = Math.floor(Math.log10(high));
    var every = Math.max(1, Math.ceil((last - first + 1) / 5));
    for (var n = first; n <= last; n += every) found.push(Math.pow(10, n));
    return found.length > 1 ? found : report.ticks(low, high);
  }

  function scale(panel) {
    var points = panel.lines.flatMap(function (line) { return line.points; });
    var scaled = panel.log ? Math.log10 : Number;
    var values = points.map(function (point) { return scaled(point[1]); });
    var low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
    var room = 0.05 * (high - low) || Math.max(0.05 * Math.abs(high), 0.5);
    var last = points.reduce((a, point) => Math.max(a, point[0]), 1e-9);
    low -= room;
    high += room;
    return {
      last: last,
      x: function (kimg) { return LEFT + (WIDTH - LEFT - RIGHT) * kimg / last; },
      y: function (value) { return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (scaled(value) - low) / (high - low); },
      ticks: panel.log ? logTicks(Math.pow(10, low), Math.pow(10, high)) : report.ticks(low, high),
    };
  }

  function axes(panel, to, marks) {
    var group = report.svg("g", { class: "axes" });
    to.ticks.forEach(function (value) {
      group.append(
        report.svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: to.y(value), y2: to.y(value) }),
        report.svg("text", { x: LEFT - 8, y: to.y(value) + 4, "text-anchor": "end" }, report.number(+value.toPrecision(12)))
      );
    });
    report.ticks(0, to.last).forEach(function (kimg) {
      if (to.x(kimg) > WIDTH - RIGHT - 44) return; // the axis' name stands there
      group.append(report.svg("text", { x: to.x(kimg), y: HEIGHT - 10, "text-anchor": "middle" }, report.number(+kimg.toPrecision(12))));
    });
    group.append(report.svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 10, "text-anchor": "end" }, "kimg"));
    marks.forEach(function (mark) {
      if (mark.kimg > to.last) return;
      group.append(report.svg("line", { class: "mark", x1: to.x(mark.kimg), x2: to.x(mark.kimg), y1: TOP, y2: HEIGHT - BOTTOM },
        report.svg("title", {}, mark.name + " from " + report.number(mark.kimg) + " kimg")));
    });
    return group;
  }

  function curve(line, to) {
    var path = line.points.map(function (point, i) {
      return (i ? "L" : "M") + to.x(point[0]).toFixed(1) + " " + to.y(point[1]).toFixed(1);
    }).join("");
    var group = report.svg("g", { class: "curve tone-" + line.tone + " dash-" + line.dash }, report.svg("path", { d: path }));
    if (line.points.length <= 30) {
      line.points.forEach(function (point) {
        group.append(report.svg("circle", { cx: to.x(point[0]), cy: to.y(point[1]), r: 2.5 }));
      });
    }
    return group;
  }

  function legend(lines) {
    return report.make("ul", { class: "legend" }, ...lines.map(function (line) {
      var sample = report.svg("svg", { width: 26, height: 8, "aria-hidden": "true", class: "curve tone-" + line.tone + " dash-" + line.dash },
        report.svg("path", { d: "M0 4L26 4" }));
      return report.make("li", {}, sample, " " + line.name);
    }));
  }

  function nearest(points, kimg) {
    return points.reduce(function (a, b) { return Math.abs(b[0] - kimg) < Math.abs(a[0] - kimg) ? b : a; });
  }

  // A vertical line that follows the pointer or the arrow keys, and the values there as text.
  function reader(plot, panel, to, output) {
    var places = Array.from(new Set(panel.lines.flatMap(function (line) {
      return line.points.map(function (point) { return point[0]; });
    }))).sort(function (a, b) { return a - b; });
    var at = places.length - 1;
    var cross = report.svg("line", { class: "cross", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    plot.append(cross);
    function show(index) {
      at = Math.min(Math.max(index, 0), places.length - 1);
      cross.setAttribute("x1", to.x(places[at]));
      cross.setAttribute("x2", to.x(places[at]));
      cross.setAttribute("visibility", "visible");
      output.textContent = report.number(places[at]) + " kimg: " + panel.lines.map(function (line) {
        return line.name + " " + report.number(nearest(line.points, places[at])[1]);
      }).join(", ");
    }
    plot.addEventListener("pointermove", function (event) {
      var box = plot.getBoundingClientRect();
      var kimg = ((event.clientX - box.left) / box.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * to.last;
      var index = places.findIndex(function (place) { return place >= kimg; });
      show(index < 0 ? places.length - 1 : index);
    });
    plot.addEventListener("keydown", function (event) {
      var step = { ArrowLeft: -1, ArrowRight: 1, Home: -places.length, End: places.length }[event.key];
      if (!step) return;
      event.preventDefault();
      show(at + step);
    });
  }

  function summary(panel) {
    return panel.title + ": " + panel.lines.map(function (line) {
      var ends = [line.points[0], line.points[line.points.length - 1]];
      return line.name + " from " + report.number(ends[0][1]) + " to " + report.number(ends[1][1]);
    }).join("; ");
  }

  // panels: [{title, log, lines: [{name, points: [[kimg, value]], tone, dash}]}]; marks: [{name, kimg}]
  report.curves = function (container, panels, marks) {
    panels.forEach(function (panel) {
      panel.lines.forEach(function (line, i) {
        if (line.tone === undefined) line.tone = i % 4;
        if (line.dash === undefined) line.dash = i % 4;
      });
      var to = scale(panel), output = report.make("output", { id: "read-" + ++plots });
      var plot = report.svg("svg", { viewBox: "0 0 " + WIDTH + " " + HEIGHT, role: "img", tabindex: "0", "aria-label": summary(panel), "aria-describedby": output.id });
      plot.append(axes(panel, to, marks));
      panel.lines.forEach(function (line) { plot.append(curve(line, to)); });
      reader(plot, panel, to, output);
      container.append(report.make("figure", { class: "panel" }, report.make("figcaption", {}, panel.title), legend(panel.lines), plot, output));
    });
  };
})(window.GanrayReport);
