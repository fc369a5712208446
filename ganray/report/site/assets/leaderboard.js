"use strict";
// Sorting, filtering and choosing rows. Rows are sorted within their data set: numbers of two sets do not compare.
(function () {
  var collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  var boards = Array.from(document.querySelectorAll(".board"));
  var chosen = [];

  function rowsOf(part) {
    return Array.from(part.querySelectorAll("tr[data-slug]"));
  }

  function key(row, column, isNumeric) {
    var cell = row.cells[column];
    if (isNumeric) return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
    var text = cell.textContent.trim();
    return text === "–" ? null : text;
  }

  // What is not known comes last in both directions.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
  }

  function sort(table, head) {
    var isDown = head.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("thead th[aria-sort]").forEach(function (each) { each.setAttribute("aria-sort", "none"); });
    head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    Array.from(table.tBodies).forEach(function (body) {
      var keyed = rowsOf(body).map(function (row) { return [key(row, head.cellIndex, head.classList.contains("n")), row]; });
      keyed.sort(function (a, b) { return compare(a[0], b[0], isDown ? -1 : 1); });
      body.append(...keyed.map(function (pair) { return pair[1]; }));
    });
  }

  function value(id) {
    var field = document.getElementById(id);
    return field ? field.value : "";
  }

  function filter() {
    var words = value("filter-text").toLowerCase().split(/\s+/).filter(Boolean);
    var wanted = { experiment: value("filter-experiment"), status: value("filter-status"), loss: value("filter-loss") };
    var current = value("filter-board") || "board-1";
    var slugs = new Set();
    boards.forEach(function (board) {
      board.hidden = board.id !== current;
      var shown = 0, rows = rowsOf(board);
      rows.forEach(function (row) {
        if (words.length && row.searchable === undefined) row.searchable = (row.textContent + " " + row.dataset.slug).toLowerCase();
        var fits = Object.keys(wanted).every(function (name) { return !wanted[name] || row.dataset[name] === wanted[name]; }) &&
          words.every(function (word) { return row.searchable.includes(word); });
        row.hidden = !fits;
        if (fits) {
          shown++;
          if (!board.hidden) slugs.add(row.dataset.slug);
        }
      });
      Array.from(board.querySelectorAll("tbody")).forEach(function (body) {
        body.hidden = rowsOf(body).every(function (row) { return row.hidden; });
      });
      board.querySelector(".none").hidden = shown > 0;
      if (!board.hidden) document.getElementById("shown").textContent = shown.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " trials";
    });
    document.dispatchEvent(new CustomEvent("ganray-filter", { detail: { slugs: slugs, board: current } }));
  }

  function choose(box) {
    var slug = box.closest("tr").dataset.slug;
    chosen = chosen.filter(function (each) { return each !== slug; });
    if (box.checked) chosen.push(slug);
    chosen = chosen.slice(-2); // a third one takes the place of the first
    document.querySelectorAll(".pick input").forEach(function (each) {
      each.checked = chosen.includes(each.closest("tr").dataset.slug);
    });
    var link = document.getElementById("compare-chosen");
    var ready = chosen.length === 2;
    link.textContent = ready ? "Compare the two ticked trials" : chosen.length ? "Tick one more trial to compare" : "Tick two trials to compare them";
    link.toggleAttribute("aria-disabled", false);
    if (ready) {
      link.href = "compare.html#" + chosen.join("+");
      link.removeAttribute("aria-disabled");
    } else {
      link.removeAttribute("href");
      link.setAttribute("aria-disabled", "true");
    }
  }

  boards.forEach(function (board) {
    board.querySelector("table").addEventListener("click", function (event) {
      var button = event.target.closest("thead button");
      if (button) sort(button.closest("table"), button.closest("th"));
    });
    board.addEventListener("change", function (event) {
      if (event.target.closest(".pick")) choose(event.target);
    });
  });
  var form = document.getElementById("filters");
  form.addEventListener("input", filter);
  form.addEventListener("change", filter); // not every way of choosing an option is an input
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("reset", function () { setTimeout(filter); }); // after the fields are empty
  window.addEventListener("pageshow", function () {
    // Browsers give a page its fields back on the way back.
    chosen = [];
    document.querySelectorAll(".pick input:checked").forEach(choose);
    var fields = Array.from(form.querySelectorAll("input, select"));
    if (fields.some(function (field) { return field.value && field.value !== "board-1"; })) filter();
  });
})();
