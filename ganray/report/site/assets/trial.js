"use strict";
// A trial's page: its data script calls receive().
(function (report) {
  report.receive = function (trial) {
    var curves = document.getElementById("curves");
    if (curves) report.curves(curves, trial.panels, trial.marks);
    var grids = document.getElementById("grids");
    if (grids) report.slider(grids, [{ caption: "", pictures: trial.grids }], trial.start, "../", "Samples");
    var pairs = document.getElementById("pair-pictures");
    if (pairs) report.slider(pairs, [{ caption: "", pictures: trial.pairs }], trial.start, "../", "Pairs of samples and training images");
  };
})(window.GanrayReport);
