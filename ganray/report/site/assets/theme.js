"use strict";
// In the head, not deferred: the page must not flash in the other theme.
(function () {
  var KEY = "ganray-report-theme";
  var root = document.documentElement;
  var prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

  function remembered() {
    try {
      return localStorage.getItem(KEY);
    } catch (error) {
      return null; // some browsers give pages from disk no storage
    }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
  }

  var theme = remembered();
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;

  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    function show() {
      button.setAttribute("aria-pressed", String(isDark()));
    }
    button.addEventListener("click", function () {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem(KEY, root.dataset.theme);
      } catch (error) {
        // lasts for this page only
      }
      show();
    });
    prefersDark.addEventListener("change", show);
    show();
  });
})();
