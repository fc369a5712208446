"use strict";
// Two trials side by side. Which ones stands behind the # of the address; their data are loaded as scripts.
(function (report) {
  var first = document.getElementById("first"), second = document.getElementById("second");
  var target = document.getElementById("comparison");
  var loaded = {}, make = report.make;

  report.receiveAll = function (trials) {
    [first, second].forEach(function (select) {
      var groups = {};
      trials.forEach(function (trial) {
        var group = groups[trial.experiment] = groups[trial.experiment] || make("optgroup", { label: trial.experiment });
        group.append(make("option", { value: trial.slug }, trial.text));
      });
      select.append(...Object.values(groups));
    });
    if (trials.length < 2) {
      target.replaceChildren(make("p", {}, "There is only one trial in this report."));
      return;
    }
    first.value = trials[0].slug;
    second.value = trials[1].slug;
    first.addEventListener("change", choose);
    second.addEventListener("change", choose);
    document.getElementById("swap").addEventListener("click", function () {
      var before = first.value;
      first.value = second.value;
      second.value = before;
      choose();
    });
    window.addEventListener("hashchange", follow);
    follow();
  };

  report.receive = function (trial) {
    loaded[trial.slug] = trial;
    show();
  };

  function choose() {
    location.hash = first.value + "+" + second.value;
  }

  function follow() {
    var wanted = location.hash.slice(1).split("+");
    [first, second].forEach(function (select, i) {
      var there = Array.from(select.options).some(function (option) { return option.value === wanted[i]; });
      if (there) select.value = wanted[i];
    });
    [first.value, second.value].forEach(load);
    show();
  }

  function load(slug) {
    if (slug in loaded) return;
    loaded[slug] = null;
    var script = make("script", { src: "data/" + slug + ".js" });
    script.addEventListener("error", function () {
      target.replaceChildren(make("p", { class: "missing" }, "The data of trial " + slug + " are not beside this page."));
    });
    document.head.append(script);
  }

  function show() {
    var a = loaded[first.value], b = loaded[second.value];
    if (!a || !b) return;
    var names = a.id.slice(0, 8) === b.id.slice(0, 8) ? [a.id, b.id] : [a.id.slice(0, 8), b.id.slice(0, 8)];
    document.getElementById("compared").textContent = "Comparing " + names[0] + " with " + names[1];
    target.replaceChildren(
      notes(a, b),
      section("Outcome", table("How far they came", outcome(a, b), a, b, names)),
      ...metrics(a, b, names),
      samples(a, b, names),
      section("Recipe", table("What the recipes differ in", differing(a.recipe, b.recipe, "path"), a, b, names)),
      section("Circumstances", table("What else differs", differing(a.circumstances, b.circumstances, "label"), a, b, names)),
      course(a, b, names)
    );
  }

  function section(title, ...content) {
    return make("section", {}, make("h2", {}, title), ...content);
  }

  function notes(a, b) {
    var found = [];
    if (a.fingerprint !== b.fingerprint) found.push("The trials learnt different data sets: their distances do not compare.");
    a.metrics.forEach(function (x) {
      var other = b.metrics.find(function (y) { return y.protocol === x.protocol && y.checksum !== x.checksum; });
      if (other) found.push(x.protocol + ": the extractors' weights differ, so the numbers do not compare.");
    });
    if (!pairs(a, b).length) found.push("No protocol scored both trials.");
    if (!found.length) return make("span", {});
    return make("aside", { class: "notes", "aria-label": "Before you compare" }, make("ul", {}, ...found.map(function (text) { return make("li", {}, text); })));
  }

  function outcome(a, b) {
    return [["experiment", a.experiment, b.experiment], ["status", a.status, b.status], ["reached", a.reached, b.reached]];
  }

  function pairs(a, b) {
    return a.metrics.flatMap(function (x) {
      var y = b.metrics.find(function (y) { return y.protocol === x.protocol && y.checksum === x.checksum; });
      return y ? [[x, y]] : [];
    });
  }

  function metrics(a, b, names) {
    var comparable = a.fingerprint === b.fingerprint;
    return pairs(a, b).map(function (pair) {
      var labels = Array.from(new Set(pair.flatMap(function (block) { return block.rows.map(function (row) { return row[0]; }); })));
      var rows = labels.map(function (label) {
        var cells = pair.map(function (block) { return block.rows.find(function (row) { return row[0] === label; }) || [label, "–", null, 0]; });
        var known = cells[0][2] !== null && cells[1][2] !== null;
        var better = known ? (cells[1][2] - cells[0][2]) * cells[0][3] : 0;
        return [label, cells[0][1], cells[1][1], comparable ? (better < 0 ? 0 : better > 0 ? 1 : -1) : -1];
      });
      return section("Metrics under " + pair[0].protocol, table(comparable ? "The better one is bold; each is one seed, so small differences may be luck" : "On different images, so neither is better", rows, a, b, names, true));
    });
  }

  function differing(left, right, key) {
    var own = {}, other = {}, labels = {};
    left.forEach(function (row) { own[row[key]] = row.text; labels[row[key]] = row.label; });
    right.forEach(function (row) { other[row[key]] = row.text; labels[row[key]] = row.label; });
    return Object.keys(labels).filter(function (name) { return own[name] !== other[name]; }).map(function (name) {
      return [labels[name], own[name] || "–", other[name] || "–"];
    });
  }

  function table(caption, rows, a, b, names, numeric) {
    if (!rows.length) return make("p", { class: "dim" }, "The same.");
    function head(trial, name) {
      return make("th", { scope: "col", class: numeric ? "n" : null }, make("a", { href: "trials/" + trial.slug + ".html" }, name));
    }
    function cell(text, isBetter) {
      var content = isBetter ? [make("strong", {}, text), make("span", { class: "unseen" }, " better")] : [text];
      return make("td", { class: numeric ? "n" : null }, ...content);
    }
    return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
      make("table", { class: "sides-table" }, make("caption", {}, caption),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "what")), head(a, names[0]), head(b, names[1]))),
        make("tbody", {}, ...rows.map(function (row) {
          return make("tr", {}, make("th", { scope: "row" }, row[0]), cell(row[1], row[3] === 0), cell(row[2], row[3] === 1));
        }))));
  }

  function samples(a, b, names) {
    var grids = section("Samples"), start = a.start === null ? b.start : a.start;
    if (!a.grids.length && !b.grids.length) {
      grids.append(make("p", { class: "dim" }, "No samples were stored."));
      return grids;
    }
    report.slider(grids, [{ caption: names[0], pictures: a.grids }, { caption: names[1], pictures: b.grids }], start, "", "Samples");
    if (a.pairs.length || b.pairs.length) {
      grids.append(make("h3", {}, "Nearest training images"));
      report.slider(grids, [{ caption: names[0], pictures: a.pairs }, { caption: names[1], pictures: b.pairs }], start, "", "Pairs of samples and training images");
    }
    return grids;
  }

  // The colour says which trial, the dashes which curve.
  function course(a, b, names) {
    var panels = a.panels.map(function (panel) { return { title: panel.title, log: panel.log, lines: lines(panel, names[0], 0) }; });
    b.panels.forEach(function (panel) {
      var shared = panels.find(function (each) { return each.title === panel.title; });
      if (shared) shared.lines.push(...lines(panel, names[1], 1));
      else panels.push({ title: panel.title, log: panel.log, lines: lines(panel, names[1], 1) });
    });
    var place = make("div", { class: "panels" });
    report.curves(place, panels, []);
    return section("Course over kimg", place);
  }

  function lines(panel, name, tone) {
    return panel.lines.map(function (line, i) {
      return { name: line.name + " (" + name + ")", points: line.points, tone: tone, dash: i % 4 };
    });
  }
})(window.GanrayReport);
