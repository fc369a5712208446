"use strict";
// Pictures of checkpoints: one slider over kimg for one trial's, or for two trials' side by side.
(function (report) {
  var sliders = 0;

  // series: [{caption, pictures: [{kimg, path, width, height, missing}]}]; up: the way to the report's root
  report.slider = function (container, series, start, up, what) {
    var kimgs = Array.from(new Set(series.flatMap(function (one) {
      return one.pictures.map(function (picture) { return picture.kimg; });
    }))).sort(function (a, b) { return a - b; });
    if (!kimgs.length) return;
    var id = what.toLowerCase().replace(/\W+/g, "-") + "-" + ++sliders;
    var input = report.make("input", { type: "range", id: id, min: 0, max: kimgs.length - 1, step: 1 });
    var output = report.make("output", { for: id });
    var places = series.map(function () { return report.make("div", { class: "picture" }); });
    var figures = series.map(function (one, i) {
      return report.make("figure", {}, places[i], one.caption ? report.make("figcaption", {}, one.caption) : null);
    });
    var label = report.make("label", { for: id }, "Checkpoint");
    var row = report.make("div", { class: "slide" }, label, input, output);
    if (kimgs.length === 1) input.disabled = true;

    function show() {
      var kimg = kimgs[Number(input.value)];
      var text = report.number(kimg) + " kimg";
      input.setAttribute("aria-valuetext", text);
      output.textContent = text + " (" + (Number(input.value) + 1) + " of " + kimgs.length + ")";
      series.forEach(function (one, i) { place(places[i], latest(one.pictures, kimg), up, what, one.caption); });
    }

    input.value = start === null ? kimgs.length - 1 : closest(kimgs, start);
    input.addEventListener("input", show);
    container.append(report.make("div", { class: series.length > 1 ? "pictures pair" : "pictures" }, row, report.make("div", { class: "sides" }, ...figures)));
    show();
  };

  function closest(kimgs, wanted) {
    var best = 0;
    kimgs.forEach(function (kimg, i) {
      if (Math.abs(kimg - wanted) < Math.abs(kimgs[best] - wanted)) best = i;
    });
    return best;
  }

  // The newest picture up to that checkpoint; the first where there is none yet.
  function latest(pictures, kimg) {
    var before = pictures.filter(function (picture) { return picture.kimg <= kimg; });
    return before.length ? before[before.length - 1] : pictures[0] || null;
  }

  function place(element, picture, up, what, caption) {
    if (!picture || !picture.path) {
      element.replaceChildren(report.make("p", { class: "missing" }, picture ? picture.missing : "No picture was stored."));
      return;
    }
    var image = element.querySelector("img") || report.make("img", { decoding: "async" });
    image.width = picture.width;
    image.height = picture.height;
    image.alt = what + (caption ? " of " + caption : "") + " at " + report.number(picture.kimg) + " kimg";
    image.src = up + picture.path;
    if (picture.width < 400) image.className = "pixels"; // enlarged pixels stay pixels
    if (!image.parentNode) element.replaceChildren(image);
  }
})(window.GanrayReport);
