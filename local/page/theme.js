// Runs before the first paint, so that a page set to dark never flashes white.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("tollspan.theme");
  } catch {
    // Storage may be switched off: then the system's choice holds.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
